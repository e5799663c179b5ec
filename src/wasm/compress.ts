/**
 * A layer's raw tar as a blob for a registry. The same tar gives the same blob on machines with the same libraries: neither names nor times
 * are in it, and it is fed in pieces of one size.
 */

import { closeSync, openSync, readSync } from "node:fs";
import type { Transform } from "node:stream";
import { constants, createGzip, createZstdCompress } from "node:zlib";
import type { Digest } from "../base/digest.ts";
import { corrupt } from "../base/errors.ts";
import { openIsalDeflate } from "./deflate.ts";
import { openHasher } from "./hasher.ts";
import { NewFile } from "./tar-file.ts";
import type { Watcher } from "./unpack.ts";
import { openZstdCompressor } from "./zstd-compress.ts";

export type CompressionMethod = "gzip" | "zstd";

export interface CompressJob {
  /** Path of the raw tar. */
  readonly tar: string;
  /** What the tar must hash to: a registry shall not get a damaged one. */
  readonly diffId: Digest;
  /** Path of the blob to be made; it does not exist, and is not synced. */
  readonly blob: string;
  readonly method: CompressionMethod;
}

export interface Compressed {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

/** A push sink of bytes; `out` gets what comes of them, valid until it returns. */
export interface Compressor {
  /** @param bytes  in memory that does not move */
  write(bytes: Uint8Array, out: (bytes: Uint8Array) => void): void | Promise<void>;
  finish(out: (bytes: Uint8Array) => void): void | Promise<void>;
}

/** Larger pieces are no faster. */
const PIECE_BYTES = 1 << 20;

/** Of zlib, where ISA-L is missing: half the time of the default level for 3 percent more bytes. */
const zlibLevel = 4;

/** @param native  false: without libisal and libzstd, for tests and comparison */
export function openCompressor(method: CompressionMethod, native = true): Compressor & Partial<Disposable> {
  const opened = native ? (method === "gzip" ? openIsalDeflate() : openZstdCompressor()) : undefined;
  return opened ?? new Streamed(method);
}

/** @throws corrupt when the tar is not what its name says, unavailable when the disk is full; the blob may then be incomplete */
export async function compress(job: CompressJob, watcher: Watcher): Promise<Compressed> {
  using blob = new NewFile(job.blob);
  const hash = openHasher();
  let size = 0;
  const out = (bytes: Uint8Array): void => {
    hash.update(bytes);
    blob.write(bytes);
    size += bytes.byteLength;
  };
  const compressor = openCompressor(job.method);
  try {
    const actual = await feed(job, compressor, out, watcher);
    if (actual !== job.diffId) throw corrupt(`Cannot compress ${job.tar}: it is ${actual}, want ${job.diffId}`);
    await compressor.finish(out);
  } finally {
    compressor[Symbol.dispose]?.();
  }
  return { digest: hash.digest(), size };
}

/** @returns the digest of the tar */
async function feed(
  { tar }: CompressJob,
  compressor: Compressor,
  out: (bytes: Uint8Array) => void,
  watcher: Watcher,
): Promise<Digest> {
  const hash = openHasher();
  const room = new Uint8Array(new WebAssembly.Memory({ initial: PIECE_BYTES >> 16 }).buffer);
  const fd = openSync(tar, "r");
  try {
    for (let done = 0; ; ) {
      const filled = fill(fd, room);
      if (filled === 0) return hash.digest();
      const piece = room.subarray(0, filled);
      hash.update(piece);
      await compressor.write(piece, out);
      done += filled;
      watcher.progress(done);
      watcher.check();
    }
  } finally {
    closeSync(fd);
  }
}

/** Reads until the room is full or the file ends: short reads would give other blobs. @returns bytes read */
function fill(fd: number, room: Uint8Array): number {
  let filled = 0;
  while (filled < room.byteLength) {
    const size = readSync(fd, room, filled, room.byteLength - filled, null);
    if (size === 0) break;
    filled += size;
  }
  return filled;
}

/** Bun's zlib. */
class Streamed implements Compressor {
  readonly #stream: Transform;
  readonly #waiting: Uint8Array[] = [];

  constructor(method: CompressionMethod) {
    this.#stream =
      method === "gzip"
        ? createGzip({ level: zlibLevel, chunkSize: 1 << 18 })
        : createZstdCompress({ chunkSize: 1 << 18, params: { [constants.ZSTD_c_checksumFlag]: 1 } });
    this.#stream.on("data", (bytes: Uint8Array) => void this.#waiting.push(bytes));
  }

  #pass(out: (bytes: Uint8Array) => void): void {
    for (const bytes of this.#waiting.splice(0)) out(bytes);
  }

  async write(bytes: Uint8Array, out: (bytes: Uint8Array) => void): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // A copy: the stream may keep what it is given.
    this.#stream.write(new Uint8Array(bytes), (error) => (error ? reject(error) : resolve()));
    await promise;
    this.#pass(out);
  }

  async finish(out: (bytes: Uint8Array) => void): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#stream.once("end", resolve).once("error", reject);
    this.#stream.end();
    await promise;
    this.#pass(out);
  }
}
