/** How a tree differs from what is below it. */

import { Packer, type PackOptions } from "../wasm/packer.ts";
import type { Change, ChangeKind } from "./snapshot.ts";

const KINDS: Readonly<Record<number, ChangeKind>> = { 1: "added", 2: "modified", 3: "deleted" };

/** Layout: wasm/tar-item.ts, "changes". */
const KIND = 4;
const PATH_BYTES = 8;
const PATH = 12;

function* changesIn(list: Uint8Array): Iterable<Change> {
  const view = new DataView(list.buffer, list.byteOffset, list.byteLength);
  for (let at = 0; at < list.length; at += view.getUint32(at, true)) {
    const kind = KINDS[view.getUint32(at + KIND, true)];
    const length = view.getUint32(at + PATH_BYTES, true);
    const path = Buffer.from(list.buffer, list.byteOffset + at + PATH, length).toString();
    if (kind !== undefined) yield { path, kind };
  }
}

/**
 * In order of the bytes of names, parents before children; a directory that holds a change is itself modified. Names that are not UTF-8 come
 * with U+FFFD. Others get their turn after every few thousand entries.
 * @throws SystemError, corrupt when a path is longer than any program could say
 */
export async function* changesOf(options: PackOptions): AsyncIterable<Change> {
  using packer = await Packer.open("changes", options);
  for (let list = packer.next(); list !== undefined; list = packer.next()) {
    yield* [...changesIn(list)];
    await new Promise((resolve) => setImmediate(resolve));
  }
}
