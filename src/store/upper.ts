/** What a snapshot's top takes, read from outside. */

import type { Stats } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { ifMissing } from "../base/errors.ts";
import type { Change } from "./snapshot.ts";

const SLASH = Buffer.from("/");
const below = (directory: Buffer, name: Buffer): Buffer => Buffer.concat([directory, SLASH, name]);

/** @returns undefined when there is nothing */
const look = (path: Buffer): Promise<Stats | undefined> => lstat(path).catch(ifMissing(undefined, "ENOTDIR"));

/** What is below a directory, each inode once. */
async function* inodesBelow(directory: string): AsyncGenerator<Stats> {
  const seen = new Set<number>();
  const waiting: Buffer[] = [Buffer.from(directory)];
  for (let here = waiting.pop(); here !== undefined; here = waiting.pop()) {
    const parent = here;
    for (const name of await readdir(parent, { encoding: "buffer" }).catch(noneIfGone)) {
      const path = below(parent, name);
      const stats = await look(path);
      if (stats === undefined || (stats.nlink > 1 && !stats.isDirectory() && seen.has(stats.ino))) continue;
      if (stats.nlink > 1) seen.add(stats.ino);
      if (stats.isDirectory()) waiting.push(path);
      yield stats;
    }
  }
}

/**
 * As Docker counts a container's size: bytes of files, directories for nothing.
 * @returns `inodes` counts directories too, the top one not
 */
export async function usageOf(directory: string): Promise<{ bytes: number; inodes: number }> {
  const total = { bytes: 0, inodes: 0 };
  for await (const stats of inodesBelow(directory)) {
    total.inodes++;
    if (!stats.isDirectory()) total.bytes += stats.size;
  }
  return total;
}

/** As `usageOf`, of a whole tree: what is not as it was below counts. */
export async function usageOfChanges(
  root: string,
  changes: AsyncIterable<Change>,
): Promise<{ bytes: number; inodes: number }> {
  const total = { bytes: 0, inodes: 0 };
  const seen = new Set<number>();
  for await (const { path, kind } of changes) {
    const stats = kind === "deleted" ? undefined : await look(Buffer.from(root + path));
    if (stats === undefined || (stats.isDirectory() && kind === "modified") || seen.has(stats.ino)) continue;
    seen.add(stats.ino);
    total.inodes++;
    if (!stats.isDirectory()) total.bytes += stats.size;
  }
  return total;
}

/** Bytes of a block as stat(2) counts them. */
const BLOCK = 512;

/** As `du` counts: bytes that are taken from the disk, for directories and what files are padded with, too; holes for nothing. */
export async function diskUsageOf(directory: string): Promise<number> {
  let blocks = 0;
  for await (const stats of inodesBelow(directory)) blocks += stats.blocks;
  return blocks * BLOCK;
}

/** Containers run while they are counted: what is gone counts nothing. */
const noneIfGone = ifMissing<Buffer[]>([], "ENOTDIR");
