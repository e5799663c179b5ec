/** Directories, and what is in them. */

import { lstat, readdir } from "node:fs/promises";
import { ifMissing } from "../base/errors.ts";

/** @returns names in a directory; none when it is missing */
export const namesIn = (directory: string): Promise<string[]> => readdir(directory).catch(ifMissing([]));

const SLASH = Buffer.from("/");

/** As Docker counts: bytes of files, each inode once, directories for nothing. What vanishes meanwhile counts nothing. */
export async function bytesBelow(directory: string): Promise<number> {
  const seen = new Set<number>();
  const waiting: Buffer[] = [Buffer.from(directory)];
  let bytes = 0;
  for (let here = waiting.pop(); here !== undefined; here = waiting.pop())
    for (const name of await readdir(here, { encoding: "buffer" }).catch(ifMissing<Buffer[]>([], "ENOTDIR"))) {
      const path = Buffer.concat([here, SLASH, name]);
      const stats = await lstat(path).catch(ifMissing(undefined, "ENOTDIR"));
      if (stats?.isDirectory()) waiting.push(path);
      else if (stats && !seen.has(stats.ino)) bytes += stats.size;
      if (stats && stats.nlink > 1) seen.add(stats.ino);
    }
  return bytes;
}
