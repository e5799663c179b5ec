/** Layers and snapshots as directories, every snapshot a copy of its own: slow, and plain. */

import type { SnapshotterOptions } from "./layer-files.ts";
import { DiskSnapshotter } from "./snapshot-disk.ts";
import { CopyTops } from "./top-copy.ts";

export class VfsSnapshotter extends DiskSnapshotter {
  constructor(options: SnapshotterOptions) {
    super("vfs", "directory", new CopyTops(), options);
  }
}
