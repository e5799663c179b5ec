/** `update`: other limits, another restart policy and other published ports for containers that are there. */

import { type Command, forEach } from "./command.ts";
import { path } from "./containers.ts";
import { type Flags, type Specs, UsageError } from "./flags.ts";
import { restartPolicy } from "./lifecycle.ts";
import { bytes } from "./limits.ts";
import { portBindings } from "./publish.ts";

const FLAGS: Specs = {
  "blkio-weight": { kind: "text", help: "Block IO (relative weight), between 10 and 1000, or 0 to disable" },
  "cpu-period": { kind: "text", help: "Limit CPU CFS (Completely Fair Scheduler) period" },
  "cpu-quota": { kind: "text", help: "Limit CPU CFS (Completely Fair Scheduler) quota" },
  "cpu-rt-period": { kind: "text", help: "Limit the CPU real-time period in microseconds" },
  "cpu-rt-runtime": { kind: "text", help: "Limit the CPU real-time runtime in microseconds" },
  "cpu-shares": { kind: "text", short: "c", help: "CPU shares (relative weight)" },
  cpus: { kind: "text", help: "Number of CPUs" },
  "cpuset-cpus": { kind: "text", help: "CPUs in which to allow execution (0-3, 0,1)" },
  "cpuset-mems": { kind: "text", help: "MEMs in which to allow execution (0-3, 0,1)" },
  memory: { kind: "text", short: "m", help: "Memory limit" },
  "memory-reservation": { kind: "text", help: "Memory soft limit" },
  "memory-swap": { kind: "text", help: "Swap limit equal to memory plus swap: -1 to enable unlimited swap" },
  "pids-limit": { kind: "text", help: "Tune container pids limit (set -1 for unlimited)" },
  "publish-add": {
    kind: "list",
    help: "Publish another port, [ip:]host:container[/proto]; of a running container, too, whose connections last (Bosun only)",
  },
  "publish-rm": {
    kind: "list",
    help: "Publish a port no longer; connections that are open last until they end (Bosun only)",
  },
  restart: { kind: "text", help: "Restart policy to apply when a container exits" },
};

function body(flags: Flags): object {
  const restart = flags.text("restart");
  return {
    BlkioWeight: flags.number("blkio-weight"),
    CpuRealtimePeriod: flags.number("cpu-rt-period"),
    CpuRealtimeRuntime: flags.number("cpu-rt-runtime"),
    CpuPeriod: flags.number("cpu-period"),
    CpuQuota: flags.number("cpu-quota"),
    CpuShares: flags.number("cpu-shares"),
    NanoCpus: flags.has("cpus") ? Math.round((flags.number("cpus") ?? 0) * 1e9) : undefined,
    CpusetCpus: flags.text("cpuset-cpus"),
    CpusetMems: flags.text("cpuset-mems"),
    Memory: bytes(flags, "memory"),
    MemoryReservation: bytes(flags, "memory-reservation"),
    MemorySwap: bytes(flags, "memory-swap"),
    PidsLimit: flags.number("pids-limit"),
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
