/** Commands that only look: state, list, ps, events. */

import { conflict, invalid, unavailable } from "../base/errors.ts";
import type { CgroupStats, Cgroups } from "../runtime/cgroup.ts";
import { type ContainerRecord, type States, stateOf } from "./state.ts";

/** `state` with what runc adds to the specification's. */
export async function describe(
  states: States,
  cgroups: Cgroups,
  record: ContainerRecord,
): Promise<Readonly<Record<string, unknown>>> {
  const status = await states.status(record, cgroups);
  const { annotations, ...state } = stateOf(record, status, status === "stopped" ? 0 : record.pid);
  const { pid = 0, status: _, bundle: __, ociVersion, id } = state;
  const { bundle, rootfs, created, owner } = record;
  return {
    ociVersion,
    id,
    pid,
    status,
    bundle,
    rootfs,
    created,
    ...(annotations === undefined ? {} : { annotations }),
    owner,
  };
}

const COLUMNS = ["id", "pid", "status", "bundle", "created", "owner"] as const;

/** Rows of texts as a table, as Go's tabwriter with a padding of 3 aligns them. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = COLUMNS.map((_, column) => Math.max(12, ...rows.map((row) => (row[column]?.length ?? 0) + 3)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("")
          .trimEnd()}\n`,
    )
    .join("");
}

/** @param format  `table` or `json`. @throws invalid */
export async function listContainers(
  states: States,
  cgroups: Cgroups,
  format: string,
  quiet: boolean,
): Promise<string> {
  const all = await Promise.all(states.list().map((record) => describe(states, cgroups, record)));
  if (quiet) return all.map(({ id }) => `${id}\n`).join("");
  if (format === "json") return `${JSON.stringify(all)}\n`;
  if (format !== "table") throw invalid("invalid format option");
  return table([
    COLUMNS.map((name) => name.toUpperCase()),
    ...all.map((state) => COLUMNS.map((name) => String(state[name]))),
  ]);
}

/** The host's ps, of which the container's lines are kept. @throws conflict, unavailable */
export async function listProcesses(
  states: States,
  cgroups: Cgroups,
  id: string,
  format: string,
  args: readonly string[],
): Promise<string> {
  const record = states.load(id);
  if ((await states.status(record, cgroups)) === "stopped") throw conflict("container not running");
  const pids = await cgroups.processes(record.cgroup);
  if (format === "json") return `${JSON.stringify(pids)}\n`;
  if (format !== "table") throw invalid(`invalid format option`);
  const program = Bun.which("ps");
  if (program === null) throw unavailable('exec: "ps": executable file not found in $PATH');
  const child = Bun.spawn([program, ...(args.length > 0 ? args : ["-ef"])], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const text = await child.stdout.text();
  if ((await child.exited) !== 0) throw invalid("ps has failed");
  const [head = "", ...lines] = text.split("\n");
  const at = head.trim().split(/\s+/).indexOf("PID");
  if (at < 0) throw invalid("couldn't find PID field in ps output");
  const ours = lines.filter((line) => pids.includes(Number(line.trim().split(/\s+/)[at])));
  return `${[head, ...ours].join("\n")}\n`;
}

const statsOf = ({ cpu, memory, pids, block }: CgroupStats): object => ({
  cpu: {
    usage: { total: cpu.total, kernel: cpu.system, user: cpu.user },
    throttling: { periods: cpu.periods, throttledPeriods: cpu.throttledPeriods, throttledTime: cpu.throttledNs },
  },
  memory: {
    usage: { limit: memory.limit ?? 0, usage: memory.usage, max: memory.peak, failcnt: memory.failures },
    raw: memory.detail,
  },
  pids: { current: pids.current, limit: pids.limit ?? 0 },
  blkio: {
    ioServiceBytesRecursive: block.flatMap(({ major, minor, readBytes, writeBytes }) => [
      { major, minor, op: "Read", value: readBytes },
      { major, minor, op: "Write", value: writeBytes },
    ]),
  },
});

export interface EventsOptions {
  /** Once, and no events. */
  readonly statsOnly: boolean;
  readonly intervalMs: number;
}

/** Statistics every now and then, and want of memory when it has killed; ends with the container. @throws conflict */
export async function* events(
  states: States,
  cgroups: Cgroups,
  id: string,
  { statsOnly, intervalMs }: EventsOptions,
): AsyncIterable<string> {
  const record = states.load(id);
  if ((await states.status(record, cgroups)) === "stopped") throw conflict(`container with id ${id} is not running`);
  let kills = await cgroups.oomKills(record.cgroup);
  for (;;) {
    yield `${JSON.stringify({ type: "stats", id, data: statsOf(await cgroups.stats(record.cgroup)) })}\n`;
    if (statsOnly) return;
    await Bun.sleep(intervalMs);
    if ((await states.status(record, cgroups)) === "stopped") return;
    const now = await cgroups.oomKills(record.cgroup);
    if (now > kills) yield `${JSON.stringify({ type: "oom", id })}\n`;
    kills = now;
  }
}
