/** What a container can leave in its files for whoever reads them from outside: `docker diff`, commit, export. */

import { expect, test } from "bun:test";
import { mkdir, readdir, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { removeAll } from "../../src/base/removal.ts";
import { collect } from "../../src/base/streams.ts";
import type { Snapshotter } from "../../src/store/snapshot.ts";
import { ErofsSnapshotter } from "../../src/store/snapshot-erofs.ts";
import { Packer } from "../../src/wasm/packer.ts";
import { tarOfTree } from "../../src/wasm/tree-tar.ts";
import { Pour } from "../../src/wasm/walk.ts";
import { failureOf } from "../support/errors.ts";
import { makeFolder } from "../support/folder.ts";
import { workers } from "../support/hostile.ts";

async function listed(changes: ReturnType<Snapshotter["changes"]>): Promise<string[]> {
  const lines: string[] = [];
  for await (const { path, kind } of changes) lines.push(`${kind} ${path}`);
  return lines;
}

/** A snapshot without layers, whose top is filled by hand. */
async function withTop(
  fill: (top: string) => Promise<void>,
  look: (snapshotter: Snapshotter, layers: () => Promise<string[]>) => Promise<void>,
  maxLayerBytes?: number,
): Promise<void> {
  await using folder = await makeFolder();
  const root = join(folder.path, "root");
  const snapshotter = new ErofsSnapshotter({
    root,
    runRoot: join(folder.path, "run"),
    workers,
    ...(maxLayerBytes !== undefined && { maxLayerBytes }),
  });
  await snapshotter.prepare("c", []);
  try {
    await fill(join(root, "snapshots/c/diff"));
    await look(snapshotter, () => readdir(join(root, "layers")).catch(() => []));
  } finally {
    removeAll(folder.path, "root");
  }
}

/** Deeper than any path can be: each directory is made in the one before. */
function makeDeep(top: string, levels: number): void {
  const { exitCode, stderr } = Bun.spawnSync(["perl", "-e", `for (1..${levels}) { mkdir "d"; chdir "d" or die; }`], {
    cwd: top,
  });
  if (exitCode !== 0) throw new Error(`Cannot make directories: ${stderr.toString()}`);
}

test("a tree deeper than any path is refused in words, and nothing is left", () =>
  withTop(
    async (top) => makeDeep(top, 3000),
    async (snapshotter, layers) => {
      for (const act of [() => snapshotter.commit("c"), () => listed(snapshotter.changes("c"))])
        expect(await failureOf(act)).toMatch(/ENAMETOOLONG|the path is too long/);
      expect(await layers()).toEqual([]);
    },
  ));

test("a file larger than a layer may be is refused before it is read", () =>
  withTop(
    async (top) => {
      await writeFile(join(top, "holes"), "");
      await truncate(join(top, "holes"), 2 ** 40);
    },
    async (snapshotter, layers) => {
      expect(await failureOf(() => snapshotter.commit("c"))).toContain("more than 1048576 bytes");
      expect(await layers()).toEqual([]);
      expect(await listed(snapshotter.changes("c"))).toEqual(["added /holes"]);
    },
    1 << 20,
  ));

test("symlinks that lead out are symlinks in the layer, and are never followed", () =>
  withTop(
    async (top) => {
      await symlink("/etc", join(top, "abs"));
      await symlink("../../../../../../../etc", join(top, "up"));
    },
    async (snapshotter) => {
      expect(await listed(snapshotter.changes("c"))).toEqual(["added /abs", "added /up"]);
      using tree = await snapshotter.read("c");
      const tar = await collect(tarOfTree(tree.path), 1 << 20);
      expect(tar.length).toBeLessThan(8192);
      expect(Buffer.from(tar).includes("root:x:0")).toBe(false);
    },
  ));

/** The tree is told, then changed, then its files are read: what a container would have to hit by luck. */
async function pouredAfter(change: (root: string, outside: string) => Promise<void>): Promise<Buffer> {
  await using folder = await makeFolder();
  const [root, outside] = [join(folder.path, "root"), join(folder.path, "outside")];
  await mkdir(join(root, "d"), { recursive: true });
  await mkdir(outside);
  await writeFile(join(root, "d/f"), "inside");
  await writeFile(join(root, "last"), "last");
  await writeFile(join(outside, "f"), "secret");
  using packer = await Packer.open("tree", { root });
  using pour = new Pour(root);
  const parts: Buffer[] = [];
  const room = new Uint8Array(1 << 16);
  for (let items = packer.next(), first = true; items !== undefined; items = packer.next(), first = false) {
    if (first) await change(root, outside);
    parts.push(Buffer.from(room.subarray(0, pour.next(items, room))));
  }
  return Buffer.concat(parts);
}

const SWAPS: readonly (readonly [
  what: string,
  change: (root: string, outside: string) => Promise<void>,
  kept: boolean,
])[] = [
  [
    "its directory for a symlink that leads out",
    async (root, outside) => {
      await rename(join(root, "d"), join(root, "was"));
      await symlink(outside, join(root, "d"));
    },
    false,
  ],
  [
    "it for a symlink that leads out",
    async (root, outside) => {
      await rm(join(root, "d/f"));
      await symlink(join(outside, "f"), join(root, "d/f"));
    },
    false,
  ],
  [
    "it for a pipe that nobody writes to",
    async (root) => {
      await rm(join(root, "d/f"));
      Bun.spawnSync(["mkfifo", join(root, "d/f")]);
    },
    false,
  ],
  ["nothing, but empties it", (root) => truncate(join(root, "d/f")), true],
  ["nothing, but lets it grow", (root) => truncate(join(root, "d/f"), 1 << 20), true],
];

for (const [what, change, kept] of SWAPS)
  test(`a file is read from where it was, or not at all, when a container swaps ${what}`, async () => {
    const tar = await pouredAfter(change);
    expect(tar.includes("secret")).toBe(false);
    const child = Bun.spawn(["tar", "-tf", "-"], { stdin: tar, stdout: "pipe" });
    expect(await child.stdout.text()).toBe(kept ? "d/\nd/f\nlast\n" : "d/\nlast\n");
    expect(await child.exited).toBe(0);
  });
