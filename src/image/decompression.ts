/** Archives on their way in, decompressed, unless they are bombs: small, and without end once they are unpacked. */

import { rm } from "node:fs/promises";
import { corrupt } from "../base/errors.ts";
import type { Bytes } from "../base/streams.ts";
import { compressionOf, decompressedFile } from "../wasm/decompress.ts";
import { Spool } from "./spool.ts";

export interface BombLimits {
  /** What any archive may become, bytes. */
  readonly anyBytes: number;
  /** What it may become beyond that, in multiples of what came. */
  readonly ratio: number;
}

/** Layers are a third of their size to a tenth, when they are packed. gzip gets to 1,000 times with zeros, zstd to 30,000. */
export const defaultBombLimits: BombLimits = { anyBytes: 4 * 2 ** 30, ratio: 100 };

/** @returns most bytes that so many compressed ones may become */
export const mostUnpacked = (packedBytes: number, { anyBytes, ratio }: BombLimits): number =>
  Math.max(anyBytes, packedBytes * ratio);

type PlainBytes = Uint8Array<ArrayBuffer>;

/** Decompressors take no shared memory. */
const unshared = (bytes: Uint8Array): PlainBytes => {
  const isPlain = (one: Uint8Array): one is PlainBytes => one.buffer instanceof ArrayBuffer;
  return isPlain(bytes) ? bytes : new Uint8Array(bytes);
};

/** The beginning of a stream, without taking it away. @param onBytes  told of each piece */
async function peeked(
  bytes: Bytes,
  onBytes: (bytes: number) => void,
): Promise<{ readonly head: Uint8Array; readonly whole: ReadableStream<PlainBytes> }> {
  const reader = bytes.getReader();
  const first = await reader.read();
  const head = first.value ?? new Uint8Array();
  let isFirst = true;
  const whole = new ReadableStream<PlainBytes>(
    {
      async pull(out) {
        const next = isFirst ? first : await reader.read();
        isFirst = false;
        if (next.value) onBytes(next.value.byteLength);
        if (next.value) out.enqueue(unshared(next.value));
        if (next.done) out.close();
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return { head, whole };
}

/** @param packed  bytes that were read so far. @returns the same bytes; errors corrupt */
function bounded(bytes: Bytes, packed: () => number, limits: BombLimits): Bytes {
  let seen = 0;
  return bytes.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(piece, out) {
        seen += piece.byteLength;
        if (seen > mostUnpacked(packed(), limits))
          throw corrupt(`Cannot read the archive: ${packed()} bytes of it become more than ${seen - 1}`);
        out.enqueue(piece);
      },
    }),
  );
}

/**
 * @param bytes  plain, or compressed with gzip, zstd, xz or bzip2
 * @param spare  name of a file that may be made for a while
 * @throws       unavailable when a library is missing or the disk is full; errors corrupt for a bomb
 */
export async function decompressed(bytes: Bytes, spare: string, limits: BombLimits): Promise<Bytes> {
  let packed = 0;
  const { head, whole } = await peeked(bytes, (size) => {
    packed += size;
  });
  const format = compressionOf(head);
  if (format === "none") return whole;
  if (format === "gzip" || format === "zstd")
    return bounded(whole.pipeThrough(new DecompressionStream(format)), () => packed, limits);
  await new Spool().write(spare, whole);
  const opened = decompressedFile(spare);
  await rm(spare);
  return bounded(opened, () => packed, limits);
}
