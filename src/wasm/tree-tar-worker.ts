/** The thread of tree-tar.ts. */

import { kindOf, messageOf } from "../base/errors.ts";
import { Packer } from "./packer.ts";
import type { TreeTarOrder, TreeTarReply } from "./tree-tar.ts";
import { Pour } from "./walk.ts";

declare const self: Worker;

const PIECE_BYTES = 1 << 20;

const reply = (message: TreeTarReply, transfer: ArrayBuffer[] = []): void => self.postMessage(message, transfer);

/** The tar in pieces that are full, but for the last. */
async function* piecesOf({ root, ...options }: TreeTarOrder): AsyncGenerator<Uint8Array<ArrayBuffer>, undefined> {
  using packer = await Packer.open("tree", { root, ...options });
  using pour = new Pour(root);
  let piece = new Uint8Array(PIECE_BYTES);
  let filled = 0;
  for (let items = packer.next(); items !== undefined; items = packer.next())
    for (;;) {
      filled += pour.next(items, piece.subarray(filled));
      if (filled < PIECE_BYTES) break;
      yield piece;
      piece = new Uint8Array(PIECE_BYTES);
      filled = 0;
    }
  if (filled > 0) yield piece.slice(0, filled);
  return undefined;
}

let pieces: ReturnType<typeof piecesOf> | undefined;

async function next(): Promise<void> {
  try {
    const { value } = (await pieces?.next()) ?? {};
    if (value === undefined) reply({ type: "end" });
    else reply({ type: "piece", piece: value }, [value.buffer]);
  } catch (error) {
    reply({ type: "failed", kind: kindOf(error), message: messageOf(error) });
  }
}

self.onmessage = ({ data }: MessageEvent<TreeTarOrder | "next">) => {
  if (data === "next") void next();
  else pieces = piecesOf(data);
};
