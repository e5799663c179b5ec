/**
 * A layer's blob as a plain tar: gzip (any number of members), zstd (any number of frames), xz, bzip2 or as it is, told by the first bytes rather
 * than the media type, which images get wrong. Native libraries do it where they are installed; for gzip and zstd there is always Bun's own zlib.
 */

import { Readable, type Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { BosunError, corrupt, messageOf } from "../base/errors.ts";
import type { Bytes } from "../base/streams.ts";
import { BlobFile } from "./blob-file.ts";
import { openBzip2 } from "./bzip2.ts";
import { openIsal } from "./isal.ts";
import { openXz } from "./xz.ts";
import { openZstd } from "./zstd.ts";

/** A pull source of bytes. */
export interface Decompressor extends Disposable {
  /** Fills `into` from its start. @returns bytes written, 0 at the end. @throws corrupt */
  read(into: Uint8Array): number | Promise<number>;
  /** Bytes of the blob that were read so far. */
  readonly consumed: number;
}

export type Compression = "gzip" | "zstd" | "xz" | "bzip2" | "none";

/** @param head  the first 4 bytes or more. Sources: RFC 1952; RFC 8878 (skippable frames may come first); the .xz file format, 2.1.1.1; bzlib.h. */
export function compressionOf(head: Uint8Array): Compression {
  const [a = 0, b = 0, c = 0, d = 0] = head;
  if (a === 0x1f && b === 0x8b) return "gzip";
  if (a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd) return "zstd";
  if ((a & 0xf0) === 0x50 && b === 0x2a && c === 0x4d && d === 0x18) return "zstd";
  if (a === 0xfd && b === 0x37 && c === 0x7a && d === 0x58) return "xz";
  if (a === 0x42 && b === 0x5a && c === 0x68 && d >= 0x31 && d <= 0x39) return "bzip2";
  return "none";
}

export interface DecompressOptions {
  /** Of an Arrival, when the blob is not whole yet. */
  readonly arrival?: SharedArrayBuffer | undefined;
  /** false: without libisal and libzstd, for tests and comparison. */
  readonly native?: boolean;
}

export function openDecompressor(path: string, { arrival, native = true }: DecompressOptions = {}): Decompressor {
  const blob = new BlobFile(path, arrival);
  try {
    const compression = compressionOf(blob.head(4));
    if (compression === "none") return blob;
    if (compression === "xz") return openXz(blob);
    if (compression === "bzip2") return openBzip2(blob);
    const opened = native ? (compression === "gzip" ? openIsal(blob) : openZstd(blob)) : undefined;
    return opened ?? new Streamed(path, blob, compression);
  } catch (error) {
    blob[Symbol.dispose]();
    throw error;
  }
}

/** Output at a time, when others want their turn in between. Small: xz and bzip2 take milliseconds for it. */
const TURN_BYTES = 1 << 16;

/**
 * A whole file's bytes, decompressed when they are wanted. @throws as `openDecompressor`; errors corrupt
 * @param path  may be removed once this has returned
 */
export function decompressedFile(path: string): Bytes {
  const source = openDecompressor(path);
  return new ReadableStream<Uint8Array>(
    {
      async pull(out) {
        try {
          const piece = new Uint8Array(TURN_BYTES);
          const size = await source.read(piece);
          if (size > 0) return out.enqueue(piece.subarray(0, size));
          source[Symbol.dispose]();
          out.close();
        } catch (error) {
          source[Symbol.dispose]();
          throw error;
        }
      },
      cancel() {
        source[Symbol.dispose]();
      },
    },
    { highWaterMark: 0 },
  );
}

function* piecesOf(blob: BlobFile): Generator<Uint8Array> {
  for (;;) {
    const piece = new Uint8Array(1 << 18);
    const size = blob.read(piece);
    if (size === 0) return;
    yield piece.subarray(0, size);
  }
}

/**
 * Bun's zlib. Chunks of 1 MiB: smaller ones cost twice the time. Its zstd ends without a word where a blob is cut short: only the layer's diffId
 * tells then.
 */
class Streamed implements Decompressor {
  readonly #blob: BlobFile;
  readonly #stream: Transform;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #path: string;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(path: string, blob: BlobFile, compression: "gzip" | "zstd") {
    this.#path = path;
    this.#blob = blob;
    this.#stream =
      compression === "gzip" ? createGunzip({ chunkSize: 1 << 20 }) : createZstdDecompress({ chunkSize: 1 << 20 });
    const input = Readable.from(piecesOf(blob), { objectMode: false });
    input.on("error", (error) => this.#stream.destroy(error));
    this.#chunks = input.pipe(this.#stream)[Symbol.asyncIterator]();
  }

  get consumed(): number {
    return this.#blob.consumed;
  }

  async read(into: Uint8Array): Promise<number> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#chunks.next().catch((error: unknown) => {
        if (error instanceof BosunError) throw error;
        throw corrupt(`Cannot decompress ${this.#path}: ${messageOf(error)}`, { cause: error });
      });
      if (done === true) return 0;
      this.#rest = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    }
    const size = Math.min(into.length, this.#rest.length);
    into.set(this.#rest.subarray(0, size));
    this.#rest = this.#rest.subarray(size);
    return size;
  }

  [Symbol.dispose](): void {
    this.#stream.destroy();
    this.#blob[Symbol.dispose]();
  }
}
