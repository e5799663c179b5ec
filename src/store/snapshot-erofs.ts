/** Layers as EROFS indexes of their tars: the default. No file of a layer is ever created one by one. */

import { DiskSnapshotter, type SnapshotterOptions } from "./snapshot-disk.ts";

export class ErofsSnapshotter extends DiskSnapshotter {
  constructor(options: SnapshotterOptions) {
    super("erofs", "erofs", options);
  }
}
