/** A directory tree as lines of text, so that two can be compared by eye and by test. */

import { lstat, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { getXattr, listXattrs } from "../../src/base/files.ts";

/** Attributes that the file system adds by itself, or that say how the tree is stored. */
const IGNORED = /^(security\.selinux|trusted\.overlay\.(origin|impure|uuid))$/;

async function contentOf(path: string): Promise<string> {
  return new Bun.CryptoHasher("sha256")
    .update(await Bun.file(path).bytes())
    .digest("hex")
    .slice(0, 16);
}

/** Bun's own recursive readdir opens symlinks too. */
async function namesIn(root: string, path: string): Promise<string[]> {
  const names: string[] = [];
  for (const name of await readdir(join(root, path))) {
    const here = join(path, name);
    names.push(here);
    if ((await lstat(join(root, here))).isDirectory()) names.push(...(await namesIn(root, here)));
  }
  return names;
}

/**
 * @param root     top of the tree
 * @param options  `root`: with the top itself; `times`: with modification times
 * @returns        one line a name: path, type and mode, owner, links, size, device, time, target, content, xattrs
 */
export async function treeOf(root: string, options: { root?: boolean; times?: boolean } = {}): Promise<string[]> {
  const names = (await namesIn(root, "")).sort();
  const groups = new Map<string, string>();
  const lines: string[] = [];
  for (const name of options.root === true ? [".", ...names] : names) {
    const path = join(root, name);
    const stats = await lstat(path, { bigint: true });
    const directory = stats.isDirectory();
    const inode = `${stats.dev}:${stats.ino}`;
    if (!directory && !groups.has(inode)) groups.set(inode, name);
    const words: (string | number | bigint)[] = [
      name,
      stats.mode.toString(8),
      `${stats.uid}:${stats.gid}`,
      directory ? "" : `links=${stats.nlink}:${groups.get(inode)}`,
      directory ? "" : stats.size,
      stats.isCharacterDevice() || stats.isBlockDevice() ? `dev=${stats.rdev}` : "",
      options.times === false ? "" : `mtime=${stats.mtimeNs}`,
      stats.isSymbolicLink() ? `-> ${await readlink(path)}` : "",
      stats.isFile() ? await contentOf(path) : "",
    ];
    const xattrs = listXattrs(path)
      .filter((each) => !IGNORED.test(each))
      .sort()
      .map((each) => `${each}=${getXattr(path, each)?.toString("hex")}`);
    lines.push([...words, ...xattrs].filter((word) => word !== "").join(" "));
  }
  return lines;
}
