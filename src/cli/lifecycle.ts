/** `kill`, `restart`, `pause`, `unpause`, `wait` and `rename`: one request for each container. */

import type { Client } from "./client.ts";
import { type Command, forEach } from "./command.ts";
import { path } from "./containers.ts";
import { type FlagSpec, type Flags, type Specs, UsageError } from "./flags.ts";

const MANY = [1, Number.POSITIVE_INFINITY] as const;

/** A command that posts to each container that it names, and prints the names. */
const posting = (
  verb: string,
  summary: string,
  flags: Specs = {},
  query: (flags: Flags) => Readonly<Record<string, string | undefined>> = () => ({}),
): Command => ({
  usage: `${verb} ${Object.keys(flags).length > 0 ? "[OPTIONS] " : ""}CONTAINER [CONTAINER...]`,
  summary,
  flags,
  args: MANY,
  run: (client, given) =>
    forEach(given.args, async (name) => {
      await client.request("POST", `${path(name)}/${verb}`, { query: query(given) });
      return name;
    }),
});

export const killCommand = posting(
  "kill",
  "Kill one or more running containers",
  { signal: { kind: "text", short: "s", help: "Signal to send to the container" } },
  (flags) => ({ signal: flags.text("signal") }),
);

export const restartCommand = posting(
  "restart",
  "Restart one or more containers",
  {
    signal: { kind: "text", short: "s", help: "Signal to send to the container" },
    time: { kind: "text", short: "t", help: "Seconds to wait before killing the container" },
    timeout: { kind: "text", help: "The same as --time" },
  },
  (flags) => ({ t: flags.text("timeout") ?? flags.text("time"), signal: flags.text("signal") }),
);

export const pauseCommand = posting("pause", "Pause all processes within one or more containers");
export const unpauseCommand = posting("unpause", "Unpause all processes within one or more containers");

const exitCode = async (client: Client, name: string): Promise<string> =>
  String((await client.post<{ readonly StatusCode: number }>(`${path(name)}/wait`)).StatusCode);

export const waitCommand: Command = {
  usage: "wait CONTAINER [CONTAINER...]",
  summary: "Block until one or more containers stop, then print their exit codes",
  flags: {},
  args: MANY,
  run: (client, flags) => forEach(flags.args, (name) => exitCode(client, name)),
};

export const renameCommand: Command = {
  usage: "rename CONTAINER NEW_NAME",
  summary: "Rename a container",
  flags: {},
  args: [2, 2],
  async run(client, { args: [name = "", next = ""] }) {
    await client.request("POST", `${path(name)}/rename`, { query: { name: next } });
    return 0;
  },
};

export const RESTART_FLAG: FlagSpec = { kind: "text", help: "Restart policy to apply when a container exits" };

/** `on-failure:3` as the API wants it. @throws UsageError */
export function restartPolicy(text: string): object {
  const [name = "", count, ...more] = text.split(":");
  if (text !== "" && name === "")
    throw new UsageError("invalid restart policy format: no policy provided before colon");
  if (more.length > 0) throw new UsageError("invalid restart policy format");
  if (count !== undefined && !/^[+-]?\d+$/.test(count))
    throw new UsageError("invalid restart policy format: maximum retry count must be an integer");
  return { Name: name, MaximumRetryCount: Number(count ?? 0) };
}
