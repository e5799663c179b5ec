/**
 * One layer, from blob to image: read, decompress, hash, write the raw tar, and read its headers on the way. The work of a Worker: it blocks its
 * thread with plain reads and writes, which is the fastest way to do them, and gives half of the work for a large layer to another one.
 */

import { closeSync, linkSync, mkdirSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../base/digest.ts";
import { corrupt, hasCode, toldOf } from "../base/errors.ts";
import { compressionOf, openDecompressor } from "./decompress.ts";
import { erofsOf, stepsOf } from "./erofs.ts";
import { extract } from "./extract.ts";
import { type TarLimits, TarReader } from "./tar.ts";
import { NewFile, PresentTar, TarFile, type TarSink } from "./tar-file.ts";
import { TarThread } from "./tar-thread.ts";

/** `erofs`: a file `erofs`, to be mounted with `tar` as its device. `directory`: a directory `fs`. */
export type LayerFormat = "erofs" | "directory";

export interface UnpackJob {
  /** Path of the blob. */
  readonly blob: string;
  /** Of its Arrival, when the blob is not whole yet; then with its size, bytes. */
  readonly arrival?: SharedArrayBuffer | undefined;
  readonly blobBytes?: number | undefined;
  /** The blob is nobody's any more: a plain tar on the same disk becomes the layer's as it is, under one more name. */
  readonly given?: boolean | undefined;
  /** An empty directory. It gets `tar`, the raw tar, and the layer; neither is synced. */
  readonly directory: string;
  /** What the tar's digest has to be, when that is known. */
  readonly diffId?: Digest | undefined;
  /** What to make. A layer that EROFS cannot express becomes a directory anyway. */
  readonly format: LayerFormat;
  readonly limits?: Partial<TarLimits>;
  /** Most bytes that the tar may have. */
  readonly maxTarBytes: number;
}

export interface Unpacked {
  readonly diffId: Digest;
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

/** Blobs that take long enough for a second thread to pay, bytes. */
const LARGE = 8 << 20;

/** @throws corrupt for a bad blob, unavailable when the disk is full; the directory may then have incomplete files */
export async function unpack(job: UnpackJob, watcher: Watcher): Promise<Unpacked> {
  const path = join(job.directory, "tar");
  const tar = await TarReader.open(job.limits);
  using sink = await sinkOf(job, path);
  const tarBytes = await copy(job, tar, sink, watcher);
  return { ...(await saveLayer(job, tar, sink)), tarBytes };
}

async function sinkOf(job: UnpackJob, path: string): Promise<TarSink> {
  if (job.given === true && isPlain(job.blob) && linked(job.blob, path)) return new PresentTar();
  return (job.blobBytes ?? statSync(job.blob).size) < LARGE ? new TarFile(path) : await TarThread.open(path);
}

function isPlain(path: string): boolean {
  const head = new Uint8Array(4);
  const fd = openSync(path, "r");
  try {
    readSync(fd, head, 0, 4, 0);
  } finally {
    closeSync(fd);
  }
  return compressionOf(head) === "none";
}

/** @returns whether the file has the other name, too; not when that would be on another disk */
function linked(path: string, name: string): boolean {
  try {
    linkSync(path, name);
    return true;
  } catch (error) {
    if (hasCode(error, "EXDEV", "EPERM", "EMLINK")) return false;
    throw error;
  }
}

/** What `saveLayer` goes by, in the jobs that make layers. */
export interface LayerJob {
  readonly directory: string;
  readonly format: LayerFormat;
  readonly diffId?: Digest | undefined;
}

/**
 * Ends a tar that was read and written, and makes the layer beside it.
 * @throws corrupt when its digest is not the one that the job wants
 */
export async function saveLayer(job: LayerJob, tar: TarReader, sink: TarSink): Promise<Omit<Unpacked, "tarBytes">> {
  // The index is made while the tar goes to disk.
  const [diffId, index] = await Promise.all([sink.finish(), indexOf(job, tar)]);
  if (job.diffId !== undefined && diffId !== job.diffId)
    throw corrupt(`Cannot make a layer: its tar is ${diffId}, want ${job.diffId}`);
  const result = { diffId, entries: tar.core.entries() };
  if (index === undefined) {
    extractTo(job.directory, stepsOf(tar));
    return { format: "directory", ...result };
  }
  using file = new NewFile(join(job.directory, "erofs"));
  file.write(index);
  return { format: "erofs", ...result };
}

/** Feeds the blob's tar to the reader and the sink. @returns its bytes */
async function copy(job: UnpackJob, tar: TarReader, sink: TarSink, watcher: Watcher): Promise<number> {
  using blob = openDecompressor(job.blob, { arrival: job.arrival });
  let total = 0;
  for (;;) {
    const room = tar.room();
    const size = await blob.read(room);
    if (size === 0) return total;
    total += size;
    if (total > job.maxTarBytes)
      throw corrupt(`Cannot unpack ${job.diffId ?? job.blob}: its tar has more than ${job.maxTarBytes} bytes`);
    if (!sink.write(room.subarray(0, size))) await sink.finish();
    tar.take(size);
    watcher.progress(blob.consumed);
    watcher.check();
  }
}

/** @returns undefined when the layer has to become a directory. @throws corrupt */
async function indexOf({ format }: LayerJob, tar: TarReader): Promise<Uint8Array | undefined> {
  tar.finish();
  return format === "erofs" ? erofsOf(tar) : undefined;
}

function extractTo(directory: string, steps: Uint8Array): void {
  const root = join(directory, "fs");
  mkdirSync(root);
  try {
    extract(root, join(directory, "tar"), steps);
  } catch (error) {
    throw toldOf(root, error);
  }
}
