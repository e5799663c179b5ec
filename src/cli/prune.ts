/** `image prune`, `container prune`, `system prune`: asked for, or asked back. */

import type { Client } from "./client.ts";
import type { Command } from "./command.ts";
import { filterQuery } from "./filters.ts";
import type { Flags, Specs } from "./flags.ts";
import { printLines } from "./format.ts";
import { pruneNetworks } from "./networks.ts";
import { isSure } from "./sure.ts";
import { humanSize } from "./table.ts";
import { pruneVolumes } from "./volumes.ts";

interface Pruned {
  readonly ImagesDeleted?: readonly { readonly Untagged?: string; readonly Deleted?: string }[] | null;
  readonly ContainersDeleted?: readonly string[] | null;
  readonly SpaceReclaimed?: number;
}

const FLAGS: Specs = {
  filter: { kind: "list", help: 'Provide filter values (e.g. "until=<timestamp>")' },
  force: { kind: "bool", short: "f", help: "Do not prompt for confirmation" },
};
const ALL: Specs = { all: { kind: "bool", short: "a", help: "Remove all unused images, not just dangling ones" } };

const prune = (client: Client, what: string, filters: readonly string[]): Promise<Pruned> =>
  client.post<Pruned>(`/${what}/prune`, { query: { filters: filterQuery(filters) } });

/** @returns bytes */
async function pruneImages(client: Client, flags: Flags): Promise<number> {
  const dangling = `dangling=${!flags.on("all")}`;
  const { ImagesDeleted, SpaceReclaimed = 0 } = await prune(client, "images", [...flags.list("filter"), dangling]);
  const lines = (ImagesDeleted ?? []).map(({ Untagged, Deleted }) =>
    Untagged ? `untagged: ${Untagged}` : `deleted: ${Deleted}`,
  );
  if (lines.length > 0) printLines(["Deleted Images:", ...lines, ""].join("\n"));
  return SpaceReclaimed;
}

/** @returns bytes */
async function pruneContainers(client: Client, flags: Flags): Promise<number> {
  const { ContainersDeleted, SpaceReclaimed = 0 } = await prune(client, "containers", flags.list("filter"));
  if (ContainersDeleted && ContainersDeleted.length > 0)
    printLines(["Deleted Containers:", ...ContainersDeleted, ""].join("\n"));
  return SpaceReclaimed;
}

const tell = (bytes: number): void => console.log(`Total reclaimed space: ${humanSize(bytes)}`);

/** Volumes know no `until`. */
const isOfVolumes = (filter: string): boolean => filter.startsWith("label");

const UNUSED = "all images without at least one container associated to them";

export const imagePruneCommand: Command = {
  usage: "image prune [OPTIONS]",
  summary: "Remove unused images",
  flags: { ...ALL, ...FLAGS },
  args: [0, 0],
  async run(client, flags) {
    const what = flags.on("all") ? UNUSED : "all dangling images";
    if (await isSure(flags, `This will remove ${what}.`)) tell(await pruneImages(client, flags));
    return 0;
  },
};

export const containerPruneCommand: Command = {
  usage: "container prune [OPTIONS]",
  summary: "Remove all stopped containers",
  flags: FLAGS,
  args: [0, 0],
  async run(client, flags) {
    if (await isSure(flags, "This will remove all stopped containers.")) tell(await pruneContainers(client, flags));
    return 0;
  },
};

export const systemPruneCommand: Command = {
  usage: "system prune [OPTIONS]",
  summary: "Remove unused data",
  flags: { ...ALL, ...FLAGS, volumes: { kind: "bool", help: "Prune anonymous volumes" } },
  args: [0, 0],
  async run(client, flags) {
    const images = flags.on("all") ? UNUSED : "all dangling images";
    const volumes = flags.on("volumes") ? ["all anonymous volumes not used by at least one container"] : [];
    const listed = ["all stopped containers", "all networks not used by at least one container", ...volumes, images]
      .map((what) => `  - ${what}`)
      .join("\n");
    if (!(await isSure(flags, `This will remove:\n${listed}\n`))) return 0;
    const containers = await pruneContainers(client, flags);
    await pruneNetworks(client, flags.list("filter"));
    const volumeBytes = flags.on("volumes") ? await pruneVolumes(client, flags.list("filter").filter(isOfVolumes)) : 0;
    tell(containers + volumeBytes + (await pruneImages(client, flags)));
    return 0;
  },
};
