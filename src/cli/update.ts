/** `update`: other limits, another restart policy and other published ports for containers that are there. */

import { type Command, forEach } from "./command.ts";
import { path } from "./containers.ts";
import { type Flags, type Specs, UsageError } from "./flags.ts";
import { RESTART_FLAG, restartPolicy } from "./lifecycle.ts";
import { CHANGEABLE_FLAGS, changeableOf } from "./limits.ts";
import { portBindings } from "./publish.ts";

const FLAGS: Specs = {
  ...CHANGEABLE_FLAGS,
  "publish-add": {
    kind: "list",
    help: "Publish another port, [ip:]host:container[/proto]; of a running container, too, whose connections last (Bosun only)",
  },
  "publish-rm": {
    kind: "list",
    help: "Publish a port no longer; connections that are open last until they end (Bosun only)",
  },
  restart: RESTART_FLAG,
};

function body(flags: Flags): object {
  const restart = flags.text("restart");
  return {
    ...changeableOf(flags),
    PublishAdd: portBindings(flags.list("publish-add")),
    PublishRemove: portBindings(flags.list("publish-rm")),
    ...(restart !== undefined && { RestartPolicy: restartPolicy(restart) }),
  };
}

export const updateCommand: Command = {
  usage: "update [OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Update configuration of one or more containers",
  flags: FLAGS,
  args: [1, Number.POSITIVE_INFINITY],
  async run(client, flags) {
    if (flags.values.size === 0) throw new UsageError("you must provide one or more flags when using this command");
    const warnings: string[] = [];
    const code = await forEach(flags.args, async (name) => {
      const { Warnings } = await client.post<{ readonly Warnings: readonly string[] | null }>(`${path(name)}/update`, {
        json: body(flags),
      });
      warnings.push(...(Warnings ?? []));
      return name;
    });
    if (warnings.length > 0) console.log(warnings.join("\n"));
    return code;
  },
};
