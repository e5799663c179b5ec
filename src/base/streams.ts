/** Byte streams: the one currency in which rooms hand bytes to each other. Decorators do one thing each. */

import type { Writable } from "node:stream";
import type { Digest } from "./digest.ts";
import { corrupt } from "./errors.ts";

export type Bytes = ReadableStream<Uint8Array>;

/**
 * A byte stream that fails unless it is exactly what was promised.
 * Source: OCI image-spec v1.1, descriptor.md, "digest" and "size".
 * @param size  promised length, bytes
 * @returns     the same bytes; errors `corrupt` on the first byte past `size`, or at the end when length or digest
 *              differ. Nothing is proven before the end is read.
 */
export function verified(body: Bytes, digest: Digest, size: number): Bytes {
  const hash = new Bun.CryptoHasher("sha256");
  let seen = 0;
  return body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, out) {
        seen += chunk.byteLength;
        if (seen > size) throw corrupt(`Cannot read ${digest}: more than ${size} bytes`);
        hash.update(chunk);
        out.enqueue(chunk);
      },
      flush() {
        const actual = `sha256:${hash.digest("hex")}`;
        if (seen < size || actual !== digest)
          throw corrupt(`Cannot read ${digest}: got ${actual} after ${seen} of ${size} bytes`);
      },
    }),
  );
}

/**
 * @param limit  most bytes to accept
 * @returns      the whole stream, in memory
 * @throws       corrupt past `limit`
 */
export async function collect(body: Bytes, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > limit) throw corrupt(`Cannot read a document of more than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/** A stream of bytes that are at hand. */
export const bytesOf = (...chunks: Uint8Array[]): Bytes =>
  new ReadableStream({
    start(out) {
      for (const chunk of chunks) out.enqueue(chunk);
      out.close();
    },
  });

/** @returns the same bytes; `end` is called once, when they are over, have failed or are given up */
export function finished(bytes: Bytes, end: () => void): Bytes {
  const reader = bytes.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(out) {
        try {
          const { done, value } = await reader.read();
          if (!done) return out.enqueue(value);
          out.close();
        } catch (error) {
          out.error(error);
        }
        end();
      },
      async cancel(reason) {
        await reader.cancel(reason);
        end();
      },
    },
    { highWaterMark: 0 },
  );
}

/** Resolves when more may be written, or when nobody will read it. */
export const drained = (outgoing: Writable): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      outgoing.off("drain", done).off("close", done);
      resolve();
    };
    outgoing.once("drain", done).once("close", done);
  });
