/** A kept blob on its way out: a cache is looked at while it is read. */

import { open } from "node:fs/promises";
import { BosunError } from "../base/errors.ts";
import type { Descriptor } from "../base/oci.ts";
import type { Bytes } from "../base/streams.ts";

/** What is read is not what its name says. */
export class Damaged extends BosunError {
  constructor(message: string) {
    super("corrupt", message);
  }
}

/** Bytes that are read at a time. */
const PIECE_BYTES = 1 << 20;

/**
 * @param range  the bytes from `start` up to, and without, `end`
 * @returns      a file's bytes. When the whole of it is read and is not the blob, it fails with Damaged before its last piece
 */
export function blobBody(
  path: string,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
  options: { readonly start?: number; readonly end?: number; readonly onDamaged?: () => Promise<void> } = {},
): Bytes {
  const { start = 0, end = size, onDamaged = async () => {} } = options;
  const hash = start === 0 && end === size ? new Bun.CryptoHasher("sha256") : undefined;
  const file = open(path, "r");
  file.catch(() => {}); // told to whoever reads
  const close = () => file.then((handle) => handle.close());
  let at = start;
  return new ReadableStream<Uint8Array>(
    {
      async pull(out) {
        const room = new Uint8Array(Math.min(PIECE_BYTES, end - at));
        const { bytesRead } = await (await file).read(room, 0, room.byteLength, at);
        const piece = room.subarray(0, bytesRead);
        at += bytesRead;
        hash?.update(piece);
        if (bytesRead > 0 && at < end) return out.enqueue(piece);
        await close();
        if (at < end || (hash && `sha256:${hash.digest("hex")}` !== digest)) {
          await onDamaged();
          throw new Damaged(`the kept blob ${digest} is damaged`);
        }
        if (bytesRead > 0) out.enqueue(piece);
        out.close();
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  );
}
