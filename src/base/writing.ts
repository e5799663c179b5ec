/**
 * Bytes into files, in writes of a size that every file system likes. A larger one makes those with large folios (ext4 from Linux 6.16, XFS, Btrfs) look
 * for as much memory in one piece, and in a virtual machine that is memory that its host may have taken back: there a write of 512 KiB takes four to
 * eight times as long for each byte as eight of 64 KiB do; elsewhere they are alike.
 */

import { write, writeSync } from "node:fs";

const WRITE_BYTES = 64 << 10;

/** Writes all of it where the file stands, and blocks meanwhile. @throws SystemError: ENOSPC, EDQUOT, EFBIG, EIO */
export function writeBlocking(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.byteLength; )
    at += writeSync(fd, bytes, at, Math.min(WRITE_BYTES, bytes.byteLength - at));
}

/**
 * Writes all of it by another thread. The bytes stay as they are until then.
 * @param position  in the file; where it stands unless given
 * @throws as writeBlocking
 */
export function writeWhole(fd: number, bytes: Uint8Array, position?: number): Promise<void> {
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

/** Bytes that are gathered for one turn of writing. */
const BATCH_BYTES = 512 << 10;
/** Buffers that are kept for the next file: one is filled while the other is written. */
const MOST_SPARE = 2;

const spare: Uint8Array[] = [];

const take = (): Uint8Array => spare.pop() ?? new Uint8Array(BATCH_BYTES);

function giveBack(buffer: Uint8Array): void {
  if (spare.length < MOST_SPARE) spare.push(buffer);
}

/**
 * A stream into a file. Pieces are copied to memory of our own while the batch before them is written: pieces that waited for a write themselves would
 * outlive the collector's young generation, and all that come after them take fresh pages from the kernel, which costs more than the copy.
 */
class Pouring {
  #buffer = take();
  #filled = 0;
  #total = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(
    readonly fd: number,
    readonly onWritten: (bytes: number) => void,
  ) {}

  async add(piece: Uint8Array): Promise<void> {
    for (let at = 0; at < piece.byteLength; ) {
      const part = piece.subarray(at, at + BATCH_BYTES - this.#filled);
      this.#buffer.set(part, this.#filled);
      this.#filled += part.byteLength;
      at += part.byteLength;
      if (this.#filled === BATCH_BYTES) await this.flush();
    }
  }

  /** Begins to write what is there. @throws what the write before failed with */
  async flush(): Promise<void> {
    await this.#writing;
    const [buffer, bytes] = [this.#buffer, this.#buffer.subarray(0, this.#filled)];
    const total = this.#total + this.#filled;
    this.#writing = writeWhole(this.fd, bytes)
      .finally(() => giveBack(buffer))
      .then(() => this.onWritten(total));
    this.#writing.catch(() => {}); // thrown by who awaits it
    this.#buffer = take();
    this.#filled = 0;
    this.#total = total;
  }

  /** @throws what the last write failed with */
  async end(): Promise<void> {
    giveBack(this.#buffer);
    await this.#writing;
  }
}

/**
 * Writes a stream where the file stands.
 * @param onWritten  told how many bytes are in the file, after each batch; what it throws ends the writing
 * @throws           what a write or the stream fails with. Nothing is written any more when this returns or throws
 */
export async function pour(
  fd: number,
  body: AsyncIterable<Uint8Array>,
  onWritten: (bytes: number) => void = () => {},
): Promise<void> {
  const pouring = new Pouring(fd, onWritten);
  try {
    for await (const piece of body) await pouring.add(piece);
    await pouring.flush();
  } finally {
    await pouring.end();
  }
}
