/**
 * An overlay's upper directory, read from outside: what it changes, what it takes.
 * Source: Linux, Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".
 */

import type { Stats } from "node:fs";
import { closeSync } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { ifMissing } from "../base/errors.ts";
import { getXattr } from "../base/files.ts";
import { openMount } from "../base/mounts.ts";
import type { ChangeKind, Mount } from "./snapshot.ts";

export interface Change {
  readonly path: string;
  readonly kind: ChangeKind;
}

/** A layer: a directory, or what has to be mounted there. */
export interface Lower {
  readonly lower: string;
  readonly mount?: Mount;
}

const SLASH = Buffer.from("/");
const below = (directory: Buffer, name: Buffer): Buffer => Buffer.concat([directory, SLASH, name]);

/** @returns undefined when there is nothing */
const look = (path: Buffer): Promise<Stats | undefined> => lstat(path).catch(ifMissing(undefined, "ENOTDIR"));

const isWhiteout = (stats: Stats): boolean => stats.isCharacterDevice() && stats.rdev === 0;
const isOpaque = (path: Buffer): boolean => getXattr(path, "trusted.overlay.opaque")?.toString() === "y";

/**
 * Parents before children; a directory that holds a change is itself modified. Names that are not UTF-8 come with U+FFFD.
 * @param layers  from the bottom one to the top one; EROFS layers are mounted for the time being, attached nowhere
 */
export async function* changesOf(upper: string, layers: readonly Lower[]): AsyncIterable<Change> {
  const opened: number[] = [];
  try {
    const lowers = layers.map(({ lower, mount }) => {
      if (mount?.type !== "layer") return Buffer.from(lower);
      const fd = openMount("erofs", ["ro", `source=${mount.index}`, `device=${mount.device}`]);
      opened.push(fd);
      return Buffer.from(`/proc/self/fd/${fd}`);
    });
    yield* changesIn(Buffer.from(upper), "", lowers.reverse());
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

/** @param lowers  directories of this path that are visible in the layers, from the top one to the bottom one */
async function* changesIn(upper: Buffer, path: string, lowers: readonly Buffer[]): AsyncIterable<Change> {
  for (const name of (await readdir(upper, { encoding: "buffer" })).sort(Buffer.compare)) {
    const here = below(upper, name);
    const stats = await look(here);
    if (stats === undefined) continue;
    const child = `${path}/${name.toString()}`;
    const found = await find(lowers, name);
    if (isWhiteout(stats)) {
      if (found.exists) yield { path: child, kind: "deleted" };
      continue;
    }
    yield { path: child, kind: found.exists ? "modified" : "added" };
    if (!stats.isDirectory()) continue;
    const hidden = isOpaque(here);
    if (hidden) yield* vanished(here, child, found.directories);
    yield* changesIn(here, child, hidden ? [] : found.directories);
  }
}

/** What an opaque directory hides and does not replace. */
async function* vanished(upper: Buffer, path: string, lowers: readonly Buffer[]): AsyncIterable<Change> {
  const seen = new Set((await readdir(upper, { encoding: "buffer" })).map((name) => name.toString("latin1")));
  for (const lower of lowers)
    for (const name of await readdir(lower, { encoding: "buffer" })) {
      const key = name.toString("latin1");
      if (seen.has(key)) continue;
      seen.add(key);
      if ((await find(lowers, name)).exists) yield { path: `${path}/${name.toString()}`, kind: "deleted" };
    }
}

/** A name as the layers show it: the topmost decides, directories are merged. */
async function find(lowers: readonly Buffer[], name: Buffer): Promise<{ exists: boolean; directories: Buffer[] }> {
  const directories: Buffer[] = [];
  for (const lower of lowers) {
    const path = below(lower, name);
    const stats = await look(path);
    if (stats === undefined) continue;
    if (!stats.isDirectory()) return { exists: directories.length > 0 || !isWhiteout(stats), directories };
    directories.push(path);
    if (isOpaque(path)) break;
  }
  return { exists: directories.length > 0, directories };
}

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
