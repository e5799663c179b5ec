/**
 * One layer, from blob to image: read, decompress, hash, write the raw tar, and read its headers on the way. The work of a Worker: it blocks its
 * thread with plain reads and writes, which is the fastest way to do them.
 */

import { closeSync, fsyncSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../base/digest.ts";
import { corrupt, hasCode, messageOf, unavailable } from "../base/errors.ts";
import { openDecompressor } from "./decompress.ts";
import { erofsOf, stepsOf } from "./erofs.ts";
import { extract } from "./extract.ts";
import { type TarLimits, TarReader } from "./tar.ts";

/** `erofs`: a file `erofs`, to be mounted with `tar` as its device. `directory`: a directory `fs`. */
export type LayerFormat = "erofs" | "directory";

export interface UnpackJob {
  /** Path of the blob. */
  readonly blob: string;
  /** An empty directory. It gets `tar`, the raw tar, and the layer; both are on disk when the job is done. */
  readonly directory: string;
  readonly diffId: Digest;
  /** What to make. A layer that EROFS cannot express becomes a directory anyway. */
  readonly format: LayerFormat;
  readonly limits?: Partial<TarLimits>;
  /** Most bytes that the tar may have. */
  readonly maxTarBytes: number;
}

export interface Unpacked {
  readonly format: LayerFormat;
  readonly tarBytes: number;
  readonly entries: number;
}

/** Calls between chunks. */
export interface Watcher {
  /** Bytes of the blob that are done. */
  progress(bytes: number): void;
  /** Throws to stop. */
  check(): void;
}

/** @throws corrupt for a bad blob, unavailable when the disk is full; the directory may then have incomplete files */
export async function unpack(job: UnpackJob, watcher: Watcher): Promise<Unpacked> {
  const tar = await TarReader.open(job.limits);
  const tarBytes = await withFile(join(job.directory, "tar"), (fd) => copy(job, tar, fd, watcher));
  tar.finish();
  const counts = { tarBytes, entries: tar.core.entries() };
  const index = job.format === "erofs" ? erofsOf(tar) : undefined;
  if (index === undefined) {
    extractTo(job.directory, stepsOf(tar));
    return { format: "directory", ...counts };
  }
  await withFile(join(job.directory, "erofs"), (fd) => writeAll(fd, index));
  return { format: "erofs", ...counts };
}

function extractTo(directory: string, steps: Uint8Array): void {
  const root = join(directory, "fs");
  mkdirSync(root);
  try {
    extract(root, join(directory, "tar"), steps);
  } catch (error) {
    throw told(root, error);
  }
}

async function copy(job: UnpackJob, tar: TarReader, fd: number, watcher: Watcher): Promise<number> {
  using blob = openDecompressor(job.blob);
  const hash = new Bun.CryptoHasher("sha256");
  let total = 0;
  for (;;) {
    const room = tar.room();
    const size = await blob.read(room);
    if (size === 0) break;
    total += size;
    if (total > job.maxTarBytes)
      throw corrupt(`Cannot unpack ${job.diffId}: its tar has more than ${job.maxTarBytes} bytes`);
    const chunk = room.subarray(0, size);
    hash.update(chunk);
    writeAll(fd, chunk);
    tar.take(size);
    watcher.progress(blob.consumed);
    watcher.check();
  }
  const actual = `sha256:${hash.digest("hex")}`;
  if (actual !== job.diffId) throw corrupt(`Cannot unpack ${job.blob}: its tar is ${actual}, want ${job.diffId}`);
  return total;
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

/** Creates a file and syncs it. @throws unavailable when the disk is full */
async function withFile<T>(path: string, use: (fd: number) => T | Promise<T>): Promise<T> {
  const fd = openSync(path, "wx", 0o600);
  try {
    const result = await use(fd);
    fsyncSync(fd);
    return result;
  } catch (error) {
    throw told(path, error);
  } finally {
    closeSync(fd);
  }
}

const told = (path: string, error: unknown): unknown =>
  hasCode(error, "ENOSPC", "EDQUOT")
    ? unavailable(`Cannot write ${path}: ${messageOf(error)}`, { cause: error })
    : error;
