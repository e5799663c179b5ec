/** Layers as directories, for kernels that cannot mount EROFS from a file. */

import { DiskSnapshotter, type SnapshotterOptions } from "./snapshot-disk.ts";

export class OverlaySnapshotter extends DiskSnapshotter {
  constructor(options: SnapshotterOptions) {
    super("overlay", "directory", options);
  }
}
