/** `images`: as a table, in words of the user's, or as a tree of layers. */

import type { Client } from "./client.ts";
import type { Command } from "./command.ts";
import { filterQuery } from "./filters.ts";
import { formatted, type Layout, LIST_FORMAT, printLines, type Row } from "./format.ts";
import { imageTree } from "./image-tree.ts";
import { ago, humanSize, localTime, shortId, splitTag } from "./table.ts";

export interface Summary {
  readonly Id: string;
  readonly RepoTags: readonly string[] | null;
  readonly RepoDigests: readonly string[] | null;
  readonly Created: number;
  readonly Size: number;
  readonly SharedSize: number;
  readonly Containers: number;
}

const LAYOUT: Layout = {
  columns: ["Repository", "Tag", "ID", "CreatedSince", "Size"],
  headings: {
    Repository: "REPOSITORY",
    Tag: "TAG",
    Digest: "DIGEST",
    ID: "IMAGE ID",
    CreatedSince: "CREATED",
    CreatedAt: "CREATED AT",
    Size: "SIZE",
    Containers: "CONTAINERS",
    SharedSize: "SHARED SIZE",
    UniqueSize: "UNIQUE SIZE",
  },
};

const orUnknown = (bytes: number, isKnown: boolean): string => (isKnown ? humanSize(bytes) : "N/A");

/** A name once for each tag, or for an image with none, for its digests. */
function namesOf({
  RepoTags,
  RepoDigests,
}: Summary): readonly (readonly [name: string, tag: string, digest: string])[] {
  const digests = (RepoDigests ?? []).map((text) => text.split("@"));
  const digestOf = (name: string) => digests.find(([repository]) => repository === name)?.[1] ?? "<none>";
  if (RepoTags && RepoTags.length > 0)
    return RepoTags.map((text) => {
      const [name, tag] = splitTag(text);
      return [name, tag, digestOf(name)];
    });
  const [name = "<none>", digest = "<none>"] = digests[0] ?? [];
  return [[name, "<none>", digest]];
}

export function rowsOf(image: Summary, full: boolean): Row[] {
  const { Id, Created, Size, SharedSize, Containers } = image;
  const isShared = SharedSize >= 0;
  return namesOf(image).map(([Repository, Tag, Digest]) => ({
    Containers: Containers < 0 ? "N/A" : String(Containers),
    CreatedAt: localTime(Created),
    CreatedSince: ago(Created),
    Digest,
    ID: full ? Id : shortId(Id),
    Repository,
    SharedSize: orUnknown(SharedSize, isShared),
    Size: humanSize(Size),
    Tag,
    UniqueSize: orUnknown(Size - SharedSize, isShared),
  }));
}

async function tree(client: Client, images: readonly Summary[]): Promise<void> {
  printLines(await imageTree(client, images));
}

export const imagesCommand: Command = {
  usage: "images [OPTIONS] [REPOSITORY[:TAG]]",
  summary: "List images",
  flags: {
    all: { kind: "bool", short: "a", help: "Show all images (default hides intermediate images)" },
    digests: { kind: "bool", help: "Show digests" },
    filter: { kind: "list", short: "f", help: "Filter output based on conditions provided" },
    format: LIST_FORMAT,
    "no-trunc": { kind: "bool", help: "Don't truncate output" },
    quiet: { kind: "bool", short: "q", help: "Only show image IDs" },
    tree: { kind: "bool", help: "Show images by the layers that they share, with what removing one would free" },
  },
  args: [0, 1],
  async run(client, flags) {
    const filters = filterQuery([...flags.list("filter"), ...flags.args.map((name) => `reference=${name}`)]);
    const all = flags.on("all") ? "1" : "0";
    const query = { all, filters, ...(flags.on("tree") && { "shared-size": "1" }) };
    const images = await client.get<Summary[]>("/images/json", query);
    if (flags.on("tree")) {
      await tree(client, images);
      return 0;
    }
    const full = flags.on("no-trunc");
    const rows = images.flatMap((image) => rowsOf(image, full));
    if (flags.on("quiet")) printLines([...new Set(rows.map(({ ID }) => ID ?? ""))].join("\n"));
    else {
      const columns = LAYOUT.columns.flatMap((name) =>
        name === "Tag" && flags.on("digests") ? [name, "Digest"] : name,
      );
      printLines(formatted(rows, flags.text("format"), { ...LAYOUT, columns }));
    }
    return 0;
  },
};
