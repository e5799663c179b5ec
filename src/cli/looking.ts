/** `top` and `stats`: what containers do just now. */

import type { Client } from "./client.ts";
import type { Command } from "./command.ts";
import { path } from "./containers.ts";
import { formatted, printLines, type Row } from "./format.ts";
import { shortId, table } from "./table.ts";

export const topCommand: Command = {
  usage: "top CONTAINER [ps OPTIONS]",
  summary: "Display the running processes of a container",
  flags: {},
  args: [1, Number.POSITIVE_INFINITY],
  stopAtArgument: true,
  async run(client, { args: [name = "", ...words] }) {
    const query = { ps_args: words.join(" ") };
    const { Titles, Processes } = await client.get<{
      readonly Titles: readonly string[];
      readonly Processes: readonly (readonly string[])[];
    }>(`${path(name)}/top`, query);
    console.log(table([Titles, ...Processes]));
    return 0;
  },
};

interface Cpu {
  readonly cpu_usage: { readonly total_usage: number };
  readonly system_cpu_usage?: number;
  readonly online_cpus?: number;
}

interface Stats {
  readonly id: string;
  readonly name: string;
  readonly cpu_stats: Cpu;
  readonly precpu_stats: Cpu;
  readonly memory_stats: {
    readonly usage?: number;
    readonly limit?: number;
    readonly stats?: Readonly<Record<string, number>>;
  };
  readonly pids_stats: { readonly current?: number };
  readonly networks?: Readonly<Record<string, { readonly rx_bytes: number; readonly tx_bytes: number }>>;
  readonly blkio_stats: {
    readonly io_service_bytes_recursive?: readonly { readonly op: string; readonly value: number }[] | null;
  };
}

/** Of one processor; 200% are two. */
function cpuPercent({ cpu_stats: now, precpu_stats: before }: Pick<Stats, "cpu_stats" | "precpu_stats">): number {
  const own = now.cpu_usage.total_usage - before.cpu_usage.total_usage;
  const all = (now.system_cpu_usage ?? 0) - (before.system_cpu_usage ?? 0);
  return own > 0 && all > 0 ? (own / all) * (now.online_cpus ?? 1) * 100 : 0;
}

/** Without what the kernel can take back at once: pages of files that nobody has read lately. */
function memoryUsed({ usage = 0, stats = {} }: Stats["memory_stats"]): number {
  const cache = stats.total_inactive_file ?? stats.inactive_file ?? 0;
  return cache < usage ? usage - cache : usage;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Four significant digits. */
function scaled(value: number, base: number, units: readonly string[]): string {
  let rest = value;
  let at = 0;
  for (; rest >= base && at < units.length - 1; at++) rest /= base;
  return `${Number(rest.toPrecision(base === 1000 ? 3 : 4))}${units[at]}`;
}
const decimal = (value: number): string => scaled(value, 1000, ["B", "kB", "MB", "GB", "TB", "PB"]);
const binary = (value: number): string => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);

const LAYOUT = {
  columns: ["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"],
  headings: {
    ...{ ID: "CONTAINER ID", Container: "CONTAINER", Name: "NAME", CPUPerc: "CPU %", MemUsage: "MEM USAGE / LIMIT" },
    ...{ MemPerc: "MEM %", NetIO: "NET I/O", BlockIO: "BLOCK I/O", PIDs: "PIDS" },
  },
} as const;

function rowOf(stats: Stats, asked: string, full: boolean): Row {
  const { memory_stats: memory, networks = {}, blkio_stats: block } = stats;
  const used = memoryUsed(memory);
  const limit = memory.limit ?? 0;
  const traffic = Object.values(networks);
  const moved = (letter: string) =>
    sum(
      (block.io_service_bytes_recursive ?? []).filter(({ op }) => op[0]?.toLowerCase() === letter).map((e) => e.value),
    );
  return {
    BlockIO: `${decimal(moved("r"))} / ${decimal(moved("w"))}`,
    CPUPerc: `${cpuPercent(stats).toFixed(2)}%`,
    Container: asked,
    ID: full ? stats.id : shortId(stats.id),
    MemPerc: `${(limit > 0 ? (used / limit) * 100 : 0).toFixed(2)}%`,
    MemUsage: `${binary(used)} / ${binary(limit)}`,
    Name: stats.name.replace(/^\//, ""),
    NetIO: `${decimal(sum(traffic.map((one) => one.rx_bytes)))} / ${decimal(sum(traffic.map((one) => one.tx_bytes)))}`,
    PIDs: String(stats.pids_stats.current ?? 0),
  };
}

const running = async (client: Client, all: boolean): Promise<readonly string[]> =>
  (await client.get<{ readonly Id: string }[]>("/containers/json", { all: all ? "1" : "0" })).map(({ Id }) => Id);

const CLEAR = "\x1b[H\x1b[J";

export const statsCommand: Command = {
  usage: "stats [OPTIONS] [CONTAINER...]",
  summary: "Display a live stream of container(s) resource usage statistics",
  flags: {
    all: { kind: "bool", short: "a", help: "Show all containers (default shows just running)" },
    format: { kind: "text", help: "Format output using a custom template" },
    "no-stream": { kind: "bool", help: "Disable streaming stats and only pull the first result" },
    "no-trunc": { kind: "bool", help: "Do not truncate output" },
  },
  args: [0, Number.POSITIVE_INFINITY],
  async run(client, flags) {
    for (;;) {
      const names = flags.args.length > 0 ? flags.args : await running(client, flags.on("all"));
      // The engine takes a second for it, which is the pause between two looks.
      const query = { stream: "0" };
      const all = await Promise.all(names.map((name) => client.get<Stats>(`${path(name)}/stats`, query)));
      const rows = all.map((one, at) => rowOf(one, names[at] ?? "", flags.on("no-trunc")));
      const isOnce = flags.on("no-stream");
      if (!isOnce && process.stdout.isTTY) process.stdout.write(CLEAR);
      printLines(formatted(rows, flags.text("format"), LAYOUT));
      if (isOnce) return 0;
      if (names.length === 0) await Bun.sleep(1000);
    }
  },
};
