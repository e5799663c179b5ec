/** The body of an upload as a plain tar, however it was compressed. */

import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { newId } from "../base/ids.ts";
import { Portions } from "../base/portions.ts";
import type { Bytes } from "../base/streams.ts";
import { Spool } from "../image/spool.ts";
import { compressionOf, decompressedFile } from "../wasm/decompress.ts";

/** Compressions are told by so many bytes. */
const MAGIC_BYTES = 6;

/**
 * What is compressed goes to disk first, from where every decompressor reads.
 * @param scratch  a folder for it, made when missing. @throws unavailable when the disk is full; the stream errors corrupt
 */
export async function unpacked(body: Bytes, scratch: string): Promise<Bytes | Portions> {
  const portions = new Portions(body);
  if (compressionOf(await portions.peek(MAGIC_BYTES)) === "none") return portions;
  await mkdir(scratch, { recursive: true, mode: 0o700 });
  const path = join(scratch, `new-copy-${newId().slice(0, 12)}`);
  try {
    await new Spool().write(path, portions);
    return decompressedFile(path);
  } finally {
    await rm(path, { force: true });
  }
}
