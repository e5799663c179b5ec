/** Layers as EROFS indexes of their tars: the default. No file of a layer is ever created one by one. */

import type { SnapshotterOptions } from "./layer-files.ts";
import { DiskSnapshotter } from "./snapshot-disk.ts";
import { OverlayTops } from "./top-overlay.ts";

export class ErofsSnapshotter extends DiskSnapshotter {
  constructor(options: SnapshotterOptions) {
    super("erofs", "erofs", new OverlayTops(), options);
  }
}
