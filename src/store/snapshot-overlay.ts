/** Layers as directories, for kernels that cannot mount EROFS from a file. */

import type { SnapshotterOptions } from "./layer-files.ts";
import { DiskSnapshotter } from "./snapshot-disk.ts";
import { OverlayTops } from "./top-overlay.ts";

export class OverlaySnapshotter extends DiskSnapshotter {
  constructor(options: SnapshotterOptions) {
    super("overlay", "directory", new OverlayTops(), options);
  }
}
