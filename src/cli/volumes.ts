/** `volume …`: data that outlives containers. */

import type { Client } from "./client.ts";
import { type Command, forEach } from "./command.ts";
import { filterQuery } from "./filters.ts";
import type { Flags } from "./flags.ts";
import { formatted, type Layout, LIST_FORMAT, printLines, type Row } from "./format.ts";
import { INSPECT_FORMAT, inspectAll } from "./inspect.ts";
import { pairs } from "./pairs.ts";
import { isSure } from "./sure.ts";
import { humanSize, table } from "./table.ts";

export interface VolumeSummary {
  readonly Name: string;
  readonly Driver: string;
  readonly Mountpoint: string;
  readonly Scope: string;
  readonly Labels: Readonly<Record<string, string>> | null;
  readonly UsageData?: { readonly RefCount: number; readonly Size: number };
}

const LAYOUT: Layout = {
  columns: ["Driver", "Name"],
  headings: {
    Driver: "DRIVER",
    Name: "VOLUME NAME",
    Mountpoint: "MOUNTPOINT",
    Scope: "SCOPE",
    Labels: "LABELS",
    Links: "LINKS",
    Size: "SIZE",
  },
};

const orUnknown = (value: number | undefined, show: (value: number) => string): string =>
  value === undefined || value < 0 ? "N/A" : show(value);

const rowOf = ({ Name, Driver, Mountpoint, Scope, Labels, UsageData }: VolumeSummary): Row => ({
  Name,
  Driver,
  Mountpoint,
  Scope,
  Labels: Object.entries(Labels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(","),
  Links: orUnknown(UsageData?.RefCount, String),
  Size: orUnknown(UsageData?.Size, humanSize),
});

/** For `system df -v`. */
export const volumeDetails = (volumes: readonly VolumeSummary[]): string =>
  table([
    ["VOLUME NAME", "LINKS", "SIZE"],
    ...volumes.map(rowOf).map(({ Name = "", Links = "", Size = "" }) => [Name, Links, Size]),
  ]);

const path = (name: string): string => `/volumes/${encodeURIComponent(name)}`;

const createCommand: Command = {
  usage: "volume create [OPTIONS] [VOLUME]",
  summary: "Create a volume",
  flags: {
    driver: { kind: "text", short: "d", help: 'Specify volume driver name (default "local")' },
    label: { kind: "list", help: "Set metadata for a volume" },
    name: { kind: "text", help: "The same as VOLUME" },
    opt: { kind: "list", short: "o", help: "Set driver specific options" },
  },
  args: [0, 1],
  async run(client, flags) {
    const { Name } = await client.post<VolumeSummary>("/volumes/create", {
      json: {
        Name: flags.args[0] ?? flags.text("name") ?? "",
        Driver: flags.text("driver") ?? "local",
        DriverOpts: pairs(flags.list("opt")),
        Labels: pairs(flags.list("label")),
      },
    });
    console.log(Name);
    return 0;
  },
};

const lsCommand: Command = {
  usage: "volume ls [OPTIONS]",
  summary: "List volumes",
  flags: {
    filter: { kind: "list", short: "f", help: 'Provide filter values (e.g. "dangling=true")' },
    format: LIST_FORMAT,
    quiet: { kind: "bool", short: "q", help: "Only display volume names" },
  },
  args: [0, 0],
  async run(client, flags) {
    const filters = filterQuery(flags.list("filter"));
    const { Volumes } = await client.get<{ readonly Volumes: readonly VolumeSummary[] | null }>("/volumes", {
      filters,
    });
    const volumes = Volumes ?? [];
    printLines(
      flags.on("quiet")
        ? volumes.map(({ Name }) => Name).join("\n")
        : formatted(volumes.map(rowOf), flags.text("format"), LAYOUT),
    );
    return 0;
  },
};

const inspectCommand: Command = {
  usage: "volume inspect [OPTIONS] VOLUME [VOLUME...]",
  summary: "Display detailed information on one or more volumes",
  flags: { format: INSPECT_FORMAT },
  args: [1, Number.POSITIVE_INFINITY],
  run: (client, flags) => inspectAll(flags.args, flags.text("format"), (name) => client.get(path(name))),
};

const rmCommand: Command = {
  usage: "volume rm [OPTIONS] VOLUME [VOLUME...]",
  summary: "Remove one or more volumes",
  flags: { force: { kind: "bool", short: "f", help: "Do not complain of volumes that are missing" } },
  args: [1, Number.POSITIVE_INFINITY],
  run: (client, flags) =>
    forEach(flags.args, async (name) => {
      await client.request("DELETE", path(name), { query: { force: flags.on("force") ? "1" : "0" } });
      return name;
    }),
};

interface Pruned {
  readonly VolumesDeleted: readonly string[] | null;
  readonly SpaceReclaimed: number;
}

/** @returns bytes */
export async function pruneVolumes(client: Client, filters: readonly string[]): Promise<number> {
  const query = { filters: filterQuery(filters) };
  const { VolumesDeleted, SpaceReclaimed } = await client.post<Pruned>("/volumes/prune", { query });
  if (VolumesDeleted && VolumesDeleted.length > 0) printLines(["Deleted Volumes:", ...VolumesDeleted, ""].join("\n"));
  return SpaceReclaimed;
}

const pruneFilters = (flags: Flags): readonly string[] => [
  ...flags.list("filter"),
  ...(flags.on("all") ? ["all=true"] : []),
];

const pruneCommand: Command = {
  usage: "volume prune [OPTIONS]",
  summary: "Remove unused local volumes",
  flags: {
    all: { kind: "bool", short: "a", help: "Remove all unused volumes, not just anonymous ones" },
    filter: { kind: "list", help: 'Provide filter values (e.g. "label=<label>")' },
    force: { kind: "bool", short: "f", help: "Do not prompt for confirmation" },
  },
  args: [0, 0],
  async run(client, flags) {
    const what = flags.on("all") ? "all" : "anonymous";
    if (await isSure(flags, `This will remove ${what} local volumes not used by at least one container.`))
      console.log(`Total reclaimed space: ${humanSize(await pruneVolumes(client, pruneFilters(flags)))}`);
    return 0;
  },
};

export const VOLUME_COMMANDS: Readonly<Record<string, Command>> = {
  create: createCommand,
  inspect: inspectCommand,
  list: lsCommand,
  ls: lsCommand,
  prune: pruneCommand,
  rm: rmCommand,
};
