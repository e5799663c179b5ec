/** An overlay's upper directory, read from outside: what it takes. */

import type { Stats } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { ifMissing } from "../base/errors.ts";

const SLASH = Buffer.from("/");
const below = (directory: Buffer, name: Buffer): Buffer => Buffer.concat([directory, SLASH, name]);

/** @returns undefined when there is nothing */
const look = (path: Buffer): Promise<Stats | undefined> => lstat(path).catch(ifMissing(undefined, "ENOTDIR"));

/**
 * As Docker counts a container's size: bytes of files, each inode once, directories for nothing.
 * @returns `inodes` counts directories too, the top one not
 */
export async function usageOf(directory: string): Promise<{ bytes: number; inodes: number }> {
  const seen = new Set<number>();
  const total = { bytes: 0, inodes: 0 };
  const waiting: Buffer[] = [Buffer.from(directory)];
  for (let here = waiting.pop(); here !== undefined; here = waiting.pop()) {
    const parent = here;
    for (const name of await readdir(parent, { encoding: "buffer" }).catch(noneIfGone)) {
      const path = below(parent, name);
      const stats = await look(path);
      if (stats === undefined || (stats.nlink > 1 && !stats.isDirectory() && seen.has(stats.ino))) continue;
      if (stats.nlink > 1) seen.add(stats.ino);
      total.inodes++;
      if (stats.isDirectory()) waiting.push(path);
      else total.bytes += stats.size;
    }
  }
  return total;
}

/** Containers run while they are counted: what is gone counts nothing. */
const noneIfGone = ifMissing<Buffer[]>([], "ENOTDIR");
