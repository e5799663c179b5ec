/** Snapshots of Btrfs, on layers as directories. The data root has to lie on Btrfs. */

import type { SnapshotterOptions } from "./layer-files.ts";
import { DiskSnapshotter } from "./snapshot-disk.ts";
import { BtrfsTops } from "./top-btrfs.ts";

export class BtrfsSnapshotter extends DiskSnapshotter {
  constructor(options: SnapshotterOptions) {
    super("btrfs", "directory", new BtrfsTops(options.root, options.workers), options);
  }
}
