/** Images as a tree of their layers: what is shared stands above what shares it, and beside an image what its removal would free. */

import type { Client } from "./client.ts";
import type { Summary } from "./image-list.ts";
import { humanSize, shortId, table } from "./table.ts";

interface Layered {
  readonly image: Summary;
  /** diffIds, bottom first. */
  readonly layers: readonly string[];
  /** Bytes of each; undefined where the engine does not tell. */
  readonly sizes: readonly (number | undefined)[];
}

interface Branch {
  readonly layer: string;
  readonly bytes: number | undefined;
  readonly branches: Map<string, Branch>;
  readonly images: Summary[];
}

/** The history has a line for each layer, and others of no size. */
function sizesOf(
  layers: readonly string[],
  history: readonly { readonly Size: number }[],
): readonly (number | undefined)[] {
  const sizes = history.map(({ Size }) => Size).filter((bytes) => bytes > 0);
  return sizes.length === layers.length ? sizes.toReversed() : layers.map(() => undefined);
}

async function layered(client: Client, image: Summary): Promise<Layered> {
  const path = `/images/${image.Id}`;
  const [{ RootFS }, history] = await Promise.all([
    client.get<{ readonly RootFS: { readonly Layers?: readonly string[] } }>(`${path}/json`),
    client.get<{ readonly Size: number }[]>(`${path}/history`),
  ]);
  const layers = RootFS.Layers ?? [];
  return { image, layers, sizes: sizesOf(layers, history) };
}

export function grow(images: readonly Layered[]): ReadonlyMap<string, Branch> {
  const trunk = new Map<string, Branch>();
  for (const { image, layers, sizes } of images) {
    let level = trunk;
    let last: Branch | undefined;
    for (const [index, layer] of layers.entries()) {
      last = level.get(layer) ?? { layer, bytes: sizes[index], branches: new Map(), images: [] };
      level.set(layer, last);
      level = last.branches;
    }
    last?.images.push(image);
  }
  return trunk;
}

const nameOf = ({ RepoTags, Id }: Summary): string =>
  RepoTags && RepoTags.length > 0 ? RepoTags.join(", ") : `<none> ${shortId(Id)}`;

function usersOf({ images, branches }: Branch): number {
  return [...branches.values()].reduce((sum, branch) => sum + usersOf(branch), images.length);
}

function rows(level: ReadonlyMap<string, Branch>, indent: string): string[][] {
  const branches = [...level.values()];
  return branches.flatMap((branch, index) => {
    const isLast = index === branches.length - 1;
    const { layer, bytes, images } = branch;
    const users = usersOf(branch);
    const line = `${indent}${isLast ? "└─" : "├─"} ${shortId(layer)}`;
    const size = bytes === undefined ? "" : humanSize(bytes);
    const shared = users > 1 ? String(users) : "";
    const [first, ...others] = images;
    const below = `${indent}${isLast ? "   " : "│  "}`;
    return [
      [line, size, shared, first ? nameOf(first) : "", first ? freed(first) : "", first ? inUse(first) : ""],
      ...others.map((image) => [below, "", "", nameOf(image), freed(image), inUse(image)]),
      ...rows(branch.branches, below),
    ];
  });
}

const freed = ({ Size, SharedSize }: Summary): string => (SharedSize < 0 ? "" : humanSize(Size - SharedSize));
const inUse = ({ Containers }: Summary): string => (Containers > 0 ? String(Containers) : "");

/** @returns lines; one for each layer, with the images that end there */
export async function imageTree(client: Client, images: readonly Summary[]): Promise<string> {
  const all: Layered[] = [];
  for (const image of images) all.push(await layered(client, image));
  const bare = all
    .filter(({ layers }) => layers.length === 0)
    .map(({ image }) => ["(no layers)", "", "", nameOf(image), "", ""]);
  return table([["LAYER", "SIZE", "SHARED BY", "IMAGE", "FREES", "CONTAINERS"], ...rows(grow(all), ""), ...bare]);
}
