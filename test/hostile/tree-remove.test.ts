/** Trees that want more to be removed than themselves, or never to be gone. */

import { expect, test } from "bun:test";
import { closeSync, existsSync } from "node:fs";
import { mkdir, readdir, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buildShim } from "../../shim/shim.build.ts";
import { attachMount, detachMount, openMount } from "../../src/base/mounts.ts";
import { removeAll, removeBriefly } from "../../src/base/removal.ts";
import { removeTree } from "../../src/store/directories.ts";
import { Workers } from "../../src/wasm/workers.ts";
import { failureOf } from "../support/errors.ts";
import { makeFolder } from "../support/folder.ts";

await buildShim();
const workers = new Workers();

function mountTmpfs(target: string): void {
  const mount = openMount("tmpfs", []);
  attachMount(mount, target);
  closeSync(mount);
}

/** A folder with `tree` in it, and something beside it that has to stay. @param quick  in memory: on disk it would take long to make a large tree */
async function withTree(body: (path: string, tree: string) => Promise<void>, quick = false): Promise<void> {
  await using folder = await makeFolder();
  const path = join(folder.path, "place");
  await mkdir(path);
  if (quick) mountTmpfs(path);
  const [tree, beside] = [join(path, "tree"), join(path, "beside")];
  for (const each of [tree, beside]) await mkdir(each);
  await writeFile(join(beside, "precious"), "precious");
  await body(path, tree);
  expect(await readdir(beside)).toEqual(["precious"]);
}

/** @param levels  directories, each in the one before, with a file and an empty directory beside it */
async function makeDeep(tree: string, levels: number): Promise<void> {
  // From the inside out: no path that is ever used is long.
  const [inner, outer] = [`${tree}-inner`, `${tree}-outer`];
  await mkdir(inner);
  for (let level = 1; level < levels; level++) {
    await mkdir(outer);
    await writeFile(join(outer, "f"), "");
    await mkdir(join(outer, "e"));
    await rename(inner, join(outer, "rm-0"));
    await rename(outer, inner);
  }
  await rename(inner, join(tree, "deep"));
}

const withDeep = (levels: number, body: (path: string) => Promise<void>) =>
  withTree(async (path, tree) => {
    await makeDeep(tree, levels);
    await body(path);
    expect(await readdir(path)).toEqual(["beside"]);
  }, true);

// 62 levels are walked at a time.
for (const levels of [1, 61, 62, 63, 64, 130, 3000])
  test(`a tree of ${levels} levels goes`, () => withDeep(levels, async (path) => removeAll(path, "tree")));

test("a tree goes piece by piece, too", () =>
  withDeep(200, async (path) => {
    let calls = 1;
    while (!removeBriefly(path, "tree")) calls++;
    expect(calls).toBeGreaterThan(5);
  }));

test("a large tree goes without the main thread", () =>
  withDeep(200, (path) => removeTree(workers, join(path, "tree"))));

test("links are removed, not what they lead to", () =>
  withTree(async (path, tree) => {
    await symlink("../beside", join(tree, "relative"));
    await symlink(join(path, "beside"), join(tree, "absolute"));
    await symlink("../beside/precious", join(tree, "file"));
    await symlink(".", join(tree, "itself"));
    removeAll(path, "tree");
    await symlink("beside", join(path, "top"));
    removeAll(path, "top");
    expect(await readdir(path)).toEqual(["beside"]);
  }));

test("what is mounted in it stays, and is told of; all else goes", () =>
  withTree(async (path, tree) => {
    const at = join(tree, "a/b");
    await mkdir(at, { recursive: true });
    await writeFile(join(tree, "a/file"), "");
    mountTmpfs(at);
    await writeFile(join(at, "precious"), "");
    try {
      expect(await failureOf(async () => removeAll(path, "tree"))).toContain("EBUSY");
      expect(await readdir(at)).toEqual(["precious"]);
      expect(await readdir(join(tree, "a"))).toEqual(["b"]);
    } finally {
      detachMount(at);
    }
    removeAll(path, "tree");
    expect(existsSync(tree)).toBe(false);
  }));

test("names and kinds of any sort go", () =>
  withTree(async (path, tree) => {
    for (const name of ["n".repeat(255), "-rf", "*", "new\nline", "rm-0", "..."]) await mkdir(join(tree, name));
    await writeFile(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0xfe])]), "");
    for (const [name, ...type] of [
      ["pipe", "p"],
      ["null", "c", "1", "3"],
    ] as const)
      expect(Bun.spawnSync(["mknod", join(tree, name), ...type]).exitCode).toBe(0);
    removeAll(path, "tree");
    expect(await readdir(path)).toEqual(["beside"]);
  }));

test("two may remove the same tree at once, and none is no failure", () =>
  withTree(async (path, tree) => {
    for (let i = 0; i < 300; i++) await mkdir(join(tree, `${i % 10}/${i}/x`), { recursive: true });
    await Promise.all([1, 2].map(() => workers.remove({ directory: path, name: "tree" })));
    expect(await readdir(path)).toEqual(["beside"]);
    removeAll(path, "tree");
    removeAll(join(path, "none"), "tree");
  }));
