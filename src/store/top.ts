/** How a snapshotter keeps the writable tops of its snapshots: each in a directory of its own. */

import type { Digest } from "../base/digest.ts";
import type { Mount, Tree } from "./snapshot.ts";

/** What a top stands on. */
export interface Ground {
  /** Bottom first. */
  readonly layers: readonly Digest[];
  /** The layers merged, to be read; undefined when there are none. */
  readonly open: () => Promise<Tree | undefined>;
  /** Most bytes that the top may take; as much as there is unless given. */
  readonly sizeBytes: number | undefined;
}

export interface Tops {
  /** Makes the top in an empty directory. @throws unavailable when the disk is full, or cannot hold it to a size */
  make(directory: string, ground: Ground): Promise<void>;

  /** @param lower  directories of the layers, from the top one to the bottom one. @returns what to mount at `target` */
  mounts(directory: string, lower: readonly string[], target: string, readonly: boolean): readonly Mount[];

  /** Whether the top needs its layers mounted. */
  readonly needsLayers: boolean;

  /** What a container has written, or all that it sees. */
  tree(directory: string): { readonly root: string; readonly whole: boolean };

  /** A layer is about to go; no snapshot stands on it. @param later  for what takes long */
  dropped(diffId: Digest, later: AsyncDisposableStack): Promise<void>;

  /** Removes leftovers of a crash. Called at start. */
  sweep(): Promise<void>;
}
