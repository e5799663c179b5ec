/**
 * Bytes into files, in writes that a host takes well whose memory is full of cached files, as it is on all that have run for long: of more at a time, file
 * systems with large folios (ext4 from Linux 6.16, XFS, Btrfs) want as much memory in one piece. There 512 KiB take four to eight times as long as eight
 * times 64 KiB, and a pull of 900 MB twice as long; where most memory is free, they are a tenth faster (measured on Linux 6.18).
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
