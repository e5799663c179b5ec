/** Streams on their way to files of the engine's own, as long as their disk has room for others, too. */

import { open } from "node:fs/promises";
import { dirname } from "node:path";
import { toldOf, unavailable } from "../base/errors.ts";
import { fileSystemOf } from "../base/files.ts";
import { pour } from "../base/writing.ts";

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

/**
 * Writes a new file.
 * @param onWritten  told how many bytes of it can be read, after each batch
 * @throws           unavailable when the disk is full, or what the stream fails with; the file is then incomplete
 */
export async function spool(
  path: string,
  body: AsyncIterable<Uint8Array>,
  onWritten: (bytes: number) => void = () => {},
): Promise<void> {
  let looked = 0;
  try {
    await using file = await open(path, "wx", 0o600);
    await pour(file.fd, body, (bytes) => {
      if (bytes - looked >= LOOK) {
        requireSpace(path);
        looked = bytes;
      }
      onWritten(bytes);
    });
  } catch (error) {
    throw toldOf(path, error);
  }
}
