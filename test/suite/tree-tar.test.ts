/** A tree as a tar: judged by GNU tar, and by reading it with the engine itself. */

import { expect, test } from "bun:test";
import { chown, link, mkdir, readdir, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buildShim } from "../../shim/shim.build.ts";
import { collect } from "../../src/base/streams.ts";
import { tarOfTree } from "../../src/wasm/tree-tar.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { failureOf } from "../support/errors.ts";
import { makeFolder } from "../support/folder.ts";
import { treeOf } from "../support/trees.ts";
import { randomBytes } from "./content.ts";

await buildWasm();
await buildShim();

const all = (bytes: ReturnType<typeof tarOfTree>): Promise<Uint8Array> => collect(bytes, 1 << 30);

/** Sizes around blocks and pieces, long names and targets, owners and times that ustar cannot say, links, and nodes. */
async function makeTree(root: string): Promise<void> {
  await mkdir(join(root, "d", "x".repeat(200), "y".repeat(200)), { recursive: true });
  for (const size of [0, 1, 511, 512, 513, 65536, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_000_000])
    await writeFile(join(root, `d/size-${size}`), randomBytes(size, size));
  for (const length of [99, 100, 101, 155, 156, 255]) {
    await writeFile(join(root, "n".repeat(length)), "");
    await writeFile(join(root, "d", "x".repeat(200), "p".repeat(length)), "");
    await symlink("t".repeat(length), join(root, `link-${length}`));
  }
  await writeFile(join(root, "d/ä"), "");
  await utimes(join(root, "d/ä"), 0, 1_700_000_000.123_456);
  await chown(join(root, "d/size-1"), 0o7777777, 0o10000000);
  await link(join(root, "d/size-513"), join(root, "a-hard"));
  await link(join(root, "d/size-513"), join(root, "z-hard"));
  for (const [name, ...type] of [
    ["pipe", "p"],
    ["tty", "c", "4", "1"],
  ])
    Bun.spawnSync(["mknod", join(root, name ?? ""), ...type]);
  Bun.spawnSync(["setfattr", "-n", "user.a", "-v", "1", join(root, "d")]);
}

async function extract(tar: Uint8Array, target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  const options = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "-p", "--same-owner"];
  const { exitCode, stderr } = Bun.spawnSync(["tar", "-C", target, ...options, "-xf", "-"], { stdin: tar });
  expect([exitCode, stderr.toString()]).toEqual([0, ""]);
}

test("tarOfTree() gives a tar that GNU tar makes the same tree of, and the same bytes again", async () => {
  await using folder = await makeFolder();
  const root = join(folder.path, "root");
  await mkdir(root);
  await makeTree(root);
  const tar = await all(tarOfTree(root));
  expect(tar.length % 512).toBe(0);
  await extract(tar, join(folder.path, "out"));
  expect(await treeOf(join(folder.path, "out"))).toEqual(await treeOf(root));
  expect(Buffer.compare(await all(tarOfTree(root)), tar)).toBe(0);
});

test("tarOfTree() gives one thing of a directory, under another name", async () => {
  await using folder = await makeFolder();
  await mkdir(join(folder.path, "in/d/e"), { recursive: true });
  await writeFile(join(folder.path, "in/d/e/f"), "f");
  await writeFile(join(folder.path, "in/other"), "");
  const root = join(folder.path, "in");
  await extract(await all(tarOfTree(root, { only: "d", rename: "new" })), join(folder.path, "1"));
  expect((await readdir(join(folder.path, "1"), { recursive: true })).toSorted()).toEqual(["new", "new/e", "new/e/f"]);
  await extract(await all(tarOfTree(root, { only: "other" })), join(folder.path, "2"));
  expect(await readdir(join(folder.path, "2"))).toEqual(["other"]);
});

test("tarOfTree() of what is called / has no name that begins with two slashes", async () => {
  await using folder = await makeFolder();
  await mkdir(join(folder.path, "d"));
  await writeFile(join(folder.path, "d/f"), "f");
  const tar = await all(tarOfTree(folder.path, { only: "d", rename: "/" }));
  const { stdout } = Bun.spawnSync(["tar", "-tPf", "-"], { stdin: tar });
  expect(stdout.toString()).toBe("/\n/f\n");
});

test("tarOfTree() errors when there is no such directory", async () => {
  await using folder = await makeFolder();
  expect(await failureOf(() => all(tarOfTree(join(folder.path, "no"))))).toContain("ENOENT");
});

test("tarOfTree() can be given up in the middle", async () => {
  await using folder = await makeFolder();
  await writeFile(join(folder.path, "large"), randomBytes(5 << 20));
  const reader = tarOfTree(folder.path).getReader();
  expect((await reader.read()).value?.length).toBe(1 << 20);
  await reader.cancel();
  expect((await reader.read()).done).toBe(true);
});
