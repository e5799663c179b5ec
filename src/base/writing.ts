/**
 * Bytes into files, in writes of a size that every file system likes. A larger one makes those with large folios (ext4 from Linux 6.16, XFS, Btrfs) look
 * for as much memory in one piece, and in a virtual machine that is memory that its host may have taken back: there a write of 512 KiB takes four to
 * eight times as long as eight of 64 KiB do (measured on Linux 6.18).
 */

import { write, writeSync } from "node:fs";

const WRITE_BYTES = 64 << 10;

/** Writes all of it where the file stands, and blocks meanwhile. @throws SystemError: ENOSPC, EDQUOT, EFBIG, EIO */
export function writeBlocking(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.byteLength; )
    at += writeSync(fd, bytes, at, Math.min(WRITE_BYTES, bytes.byteLength - at));
}

/**
 * Writes all of it by another thread, the beginning first, so that what a crash or a full disk leaves has no holes. The bytes stay as they are until then.
 * @param position  in the file; where it stands unless given
 * @throws as writeBlocking
 */
export function writeInOrder(fd: number, bytes: Uint8Array, position?: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const next = (at: number): void => {
    if (at === bytes.byteLength) {
      resolve();
      return;
    }
    const length = Math.min(WRITE_BYTES, bytes.byteLength - at);
    write(fd, bytes, at, length, position === undefined ? null : position + at, (error, written) => {
      if (error) reject(error);
      else next(at + written); // a disk that is nearly full takes what fits, and then says why no more
    });
  };
  next(0);
  return promise;
}
