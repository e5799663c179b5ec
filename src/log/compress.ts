/**
 * Compressing what of a log is rotated. The shim renames files while this works; both do so under the lock of the folder, and neither waits for
 * it. A file that is in the way again and again is taken after the next rotation.
 */

import { existsSync, renameSync, rmSync, statSync, unlinkSync } from "node:fs";
import { type FileHandle, open, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { ifMissing } from "../base/errors.ts";
import { withFolderLocked } from "./folder-lock.ts";

/** Numbers of files that are not compressed, oldest first. */
async function plainOnes(path: string, maxFiles: number): Promise<number[]> {
  const found: number[] = [];
  for (let number = maxFiles - 1; number > 0; number--)
    if (await stat(`${path}.${number}`).catch(ifMissing(undefined))) found.push(number);
  return found;
}

async function compressInto(source: FileHandle, target: string): Promise<void> {
  await using out = await open(target, "w", 0o640);
  const write = async (pieces: AsyncIterable<Uint8Array>) => {
    for await (const piece of pieces) await out.write(piece);
  };
  await pipeline(source.createReadStream({ start: 0, autoClose: false }), createGzip(), write);
  await out.sync(); // what it replaces goes right after
}

/** The file of this inode, whatever it is called by now, makes room for `made`; in one go, with the folder locked. The oldest may be gone. */
function putInPlace(path: string, maxFiles: number, inode: number, made: string): void {
  for (let number = 1; number < maxFiles; number++) {
    const plain = `${path}.${number}`;
    if (statSync(plain, { throwIfNoEntry: false })?.ino !== inode) continue;
    renameSync(made, `${plain}.gz`);
    unlinkSync(plain);
    return;
  }
}

async function compressOne(path: string, maxFiles: number, number: number): Promise<void> {
  const plain = `${path}.${number}`;
  const made = unfinished(path);
  const opened = await open(plain).catch(ifMissing(undefined));
  if (!opened) return;
  await using source = opened;
  await using _ = { [Symbol.asyncDispose]: () => rm(made, { force: true }) };
  await compressInto(source, made);
  const { ino } = await source.stat();
  await withFolderLocked(path, () => putInPlace(path, maxFiles, ino, made));
}

/** One works on a log at a time, so that one name is enough. */
const unfinished = (path: string): string => `${dirname(path)}/new-log.gz`;

/** Of a daemon that died over it. A file that was compressed to its end is whole, or it would not have its name. */
async function removeRemains(path: string, maxFiles: number): Promise<void> {
  await rm(unfinished(path), { force: true });
  await withFolderLocked(path, () => {
    for (let number = 1; number < maxFiles; number++)
      if (existsSync(`${path}.${number}.gz`)) rmSync(`${path}.${number}`, { force: true });
  });
}

/** All that is rotated. At most one call for a log at a time. @param maxFiles  the current file included */
export async function compressRotated(path: string, maxFiles: number): Promise<void> {
  await removeRemains(path, maxFiles);
  for (const number of await plainOnes(path, maxFiles)) await compressOne(path, maxFiles, number);
}
