/** Streams on their way to files: small pieces are gathered, and one batch is written while the next comes. */

import { open } from "node:fs/promises";
import { dirname } from "node:path";
import { toldOf, unavailable } from "../base/errors.ts";
import { fileSystemOf } from "../base/files.ts";
import { writeInOrder } from "../base/writing.ts";

/** Bytes written at a time. */
const BATCH = 1 << 20;
/** Bytes between two looks at the disk. */
const LOOK = 64 << 20;
/** Of the disk, left to others: containers write there, too. */
const LEFT_FREE = 0.01;

/** @throws unavailable before the disk is full */
function requireSpace(path: string): void {
  const { availableBytes, totalBytes } = fileSystemOf(dirname(path));
  if (availableBytes < totalBytes * LEFT_FREE)
    throw unavailable(`Cannot write ${path}: its disk has only ${availableBytes} bytes left`);
}

/** Two buffers for any number of files, one after the other. */
export class Spool {
  #batch = Buffer.allocUnsafeSlow(BATCH);
  #spare = Buffer.allocUnsafeSlow(BATCH);

  /**
   * Writes a new file.
   * @param onWritten  told how many bytes of it can be read, after each batch
   * @throws           unavailable when the disk is full, or what the stream fails with; the file is then incomplete
   */
  async write(
    path: string,
    body: AsyncIterable<Uint8Array>,
    onWritten: (bytes: number) => void = () => {},
  ): Promise<void> {
    try {
      await using file = await open(path, "wx", 0o600);
      let filled = 0;
      let total = 0;
      let writing: Promise<unknown> = Promise.resolve();
      const flush = async (): Promise<void> => {
        await writing;
        const full = this.#batch.subarray(0, filled);
        [this.#batch, this.#spare] = [this.#spare, this.#batch];
        filled = 0;
        if (Math.floor(total / LOOK) < Math.floor((total + full.byteLength) / LOOK)) requireSpace(path);
        total += full.byteLength;
        const written = total;
        writing = writeInOrder(file.fd, full).then(() => onWritten(written));
        writing.catch(() => {}); // looked at before the next
      };
      try {
        for await (const piece of body)
          for (let at = 0; at < piece.byteLength; ) {
            const part = piece.subarray(at, at + BATCH - filled);
            this.#batch.set(part, filled);
            filled += part.byteLength;
            at += part.byteLength;
            if (filled === BATCH) await flush();
          }
        await flush();
      } finally {
        await writing;
      }
    } catch (error) {
      throw toldOf(path, error);
    }
  }
}
