/** A stream's pieces into a file, written while more of them come. */

import { writev } from "node:fs";

/** Bytes of a write: a file system takes many pages at once for little more than one. */
const WRITE_BYTES = 512 << 10;

/** Writes all of the pieces. @throws SystemError: ENOSPC, EDQUOT, EFBIG, EIO */
function writeAll(fd: number, pieces: readonly Uint8Array[], position: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const write = (left: readonly Uint8Array[], at: number): void =>
    writev(fd, left, at, (error, written) => {
      if (error) return reject(error);
      const rest = after(left, written);
      if (rest.length === 0) resolve();
      else write(rest, at + written); // a disk that is nearly full takes what fits, and then says why no more
    });
  write(pieces, position);
  return promise;
}

/** @returns the pieces without their first bytes */
function after(pieces: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let left = bytes;
  for (const [index, piece] of pieces.entries()) {
    if (left < piece.byteLength) return [piece.subarray(left), ...pieces.slice(index + 1)];
    left -= piece.byteLength;
  }
  return [];
}

/**
 * At most two writes' worth is in memory: one that is written, one that is gathered.
 * @param fd  of an empty file. Nothing is written to it any more when this returns or throws
 * @throws what a write or the stream fails with
 */
export async function pour(fd: number, body: AsyncIterable<Uint8Array>): Promise<void> {
  let gathered: Uint8Array[] = [];
  let size = 0;
  let position = 0;
  let writing = Promise.resolve();
  const flush = async () => {
    await writing;
    writing = writeAll(fd, gathered, position);
    writing.catch(() => {}); // thrown by who awaits it
    position += size;
    gathered = [];
    size = 0;
  };
  try {
    for await (const piece of body) {
      gathered.push(piece);
      size += piece.byteLength;
      if (size >= WRITE_BYTES) await flush();
    }
    if (size > 0) await flush();
  } finally {
    await writing;
  }
}
