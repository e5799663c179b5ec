/** The body of an upload as a plain tar, however it was compressed. */

import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { newId } from "../base/ids.ts";
import type { Bytes } from "../base/streams.ts";
import { Spool } from "../image/spool.ts";
import { compressionOf, decompressedFile } from "../wasm/decompress.ts";

/** Compressions are told by so many bytes. */
const MAGIC_BYTES = 6;

/** @returns the first bytes, and a stream that begins with them */
async function peeked(body: Bytes): Promise<readonly [head: Uint8Array, whole: Bytes]> {
  const reader = body.getReader();
  const pieces: Uint8Array[] = [];
  let size = 0;
  while (size < MAGIC_BYTES) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value);
    size += value.byteLength;
  }
  const whole = new ReadableStream<Uint8Array>(
    {
      async pull(out) {
        const piece = pieces.shift();
        if (piece) return out.enqueue(piece);
        const { done, value } = await reader.read();
        if (done) out.close();
        else out.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return [Buffer.concat(pieces).subarray(0, MAGIC_BYTES), whole];
}

/**
 * What is compressed goes to disk first, from where every decompressor reads.
 * @param scratch  a folder for it, made when missing. @throws unavailable when the disk is full; the stream errors corrupt
 */
export async function unpacked(body: Bytes, scratch: string): Promise<Bytes> {
  const [head, whole] = await peeked(body);
  if (compressionOf(head) === "none") return whole;
  await mkdir(scratch, { recursive: true, mode: 0o700 });
  const path = join(scratch, `new-copy-${newId().slice(0, 12)}`);
  try {
    await new Spool().write(path, whole);
    return decompressedFile(path);
  } finally {
    await rm(path, { force: true });
  }
}
