/** What a container has changed becomes a layer: one pass over the tree that writes the tar, hashes it, and reads its headers for the index. */

import { join } from "node:path";
import { invalid } from "../base/errors.ts";
import { Packer, type PackOptions } from "./packer.ts";
import { TarReader } from "./tar.ts";
import { TarFile } from "./tar-file.ts";
import { type LayerFormat, saveLayer, type Unpacked, type Watcher } from "./unpack.ts";
import { Pour } from "./walk.ts";

export interface PackJob extends Omit<PackOptions, "only" | "rename"> {
  /** An empty directory. It gets `tar`, the raw tar, and the layer, as in an `UnpackJob`. */
  readonly directory: string;
  readonly format: LayerFormat;
  /** Most bytes that the tar may have. */
  readonly maxTarBytes: number;
}

export type Packed = Unpacked;

/** @throws corrupt for a tree that no layer can hold, invalid for one that is too large, unavailable when the disk is full */
export async function pack(job: PackJob, watcher: Watcher): Promise<Packed> {
  using packer = await Packer.open("layer", job);
  using pour = new Pour(job.root);
  const tar = await TarReader.open();
  using sink = new TarFile(join(job.directory, "tar"));
  let tarBytes = 0;
  for (let items = packer.next(); items !== undefined; items = packer.next()) {
    if (packer.tarBytes > job.maxTarBytes)
      throw invalid(`Cannot make a layer of ${job.root}: it has more than ${job.maxTarBytes} bytes`);
    for (const piece of poured(pour, items, () => tar.room())) {
      sink.write(piece);
      tar.take(piece.length);
      tarBytes += piece.length;
      watcher.progress(tarBytes);
      watcher.check();
    }
  }
  return { ...(await saveLayer(job, tar, sink)), tarBytes };
}

/** The tar that items stand for, in pieces that lie in `room`, which is asked for anew each time. */
function* poured(pour: Pour, items: Uint8Array, room: () => Uint8Array): Iterable<Uint8Array> {
  for (;;) {
    const place = room();
    const size = pour.next(items, place);
    if (size > 0) yield place.subarray(0, size);
    if (size < place.length) return;
  }
}
