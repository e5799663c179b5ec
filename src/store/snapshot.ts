/**
 * Port: mounts of layers. A *snapshot* is a container's view of an ordered list of layers (layers.ts), with a writable top unless it is
 * read-only; it is named by `key`.
 *
 * A snapshotter never mounts: it answers with values, and the container's plan performs them in the container's own mount
 * namespace. The one exception is stated in the value: a `layer` mount belongs to the host, is made by the first plan that needs
 * it and shared by all later ones, so that containers share its page cache.
 */

import type { Digest } from "../base/digest.ts";
import type { Layers, MakeOptions, StagedLayer } from "./layers.ts";

/** In mounting order. Paths are absolute, on the host. */
export type Mount =
  /** An EROFS index whose files lie in `device` (the layer's raw tar), mounted read-only at `target` unless it is there already. */
  | { readonly type: "layer"; readonly index: string; readonly device: string; readonly target: string }
  /** `lower` is listed from the top layer to the bottom one. Without `upper` and `work` the overlay is read-only. */
  | {
      readonly type: "overlay";
      readonly lower: readonly string[];
      readonly upper?: string;
      readonly work?: string;
      readonly target: string;
    }
  | { readonly type: "bind"; readonly source: string; readonly target: string; readonly readonly: boolean };

export type ChangeKind = "added" | "modified" | "deleted";

/** Its path starts with `/`. */
export interface Change {
  readonly path: string;
  readonly kind: ChangeKind;
}

/** A directory that can be read until it is disposed of, by this process. */
export interface Tree extends Disposable {
  readonly path: string;
}

export interface ExceptOptions {
  /**
   * Absolute paths that somebody else has made in the snapshot, as to mount on: where they are empty and the layers have nothing, they
   * are no changes, nor are the parents that were made for them.
   */
  readonly except?: readonly string[];
}

export interface SnapshotOptions {
  readonly readonly?: boolean;
  /** Most bytes that the writable top may take. */
  readonly sizeBytes?: number;
}

export interface Snapshots {
  /**
   * Makes the snapshot. @throws conflict when `key` exists, notFound when a layer is missing, unavailable when the disk is full or cannot
   * hold the top to a size
   */
  prepare(key: string, layers: readonly Digest[], options?: SnapshotOptions): Promise<void>;

  /** @returns what to mount so that the snapshot appears at `target`. @throws notFound */
  mounts(key: string, target: string): Promise<readonly Mount[]>;

  /** What the snapshot's writable top changes, parents before children; paths start with `/`. @throws notFound */
  changes(key: string, options?: ExceptOptions): AsyncIterable<Change>;

  /**
   * Makes a layer of what the snapshot's writable top changes; the snapshot stays as it is. Of an unchanged top it is the layer of an empty tar.
   * The same changes make the same layer. @throws notFound, corrupt for names that no layer can have
   */
  commit(key: string, options?: ExceptOptions & MakeOptions): Promise<StagedLayer>;

  /**
   * @param under  a directory that shows where layers and top have nothing
   * @returns the snapshot as a container sees it, layers merged, to be read. What changes meanwhile may be seen or not. @throws notFound
   */
  read(key: string, under?: string): Promise<Tree>;

  /** What the writable top takes on disk. @throws notFound */
  usage(key: string): Promise<{ readonly bytes: number; readonly inodes: number }>;

  /** Removes a snapshot. Idempotent. */
  removeSnapshot(key: string): Promise<void>;

  /** Host mounts (targets of `layer` mounts) that no snapshot in `running` needs any more are unmounted. */
  release(running: ReadonlySet<string>): Promise<void>;

  /** Keys of every snapshot, in no order. */
  listSnapshots(): AsyncIterable<string>;

  /** The layers that a snapshot stands on, bottom first. @throws notFound, corrupt */
  layersOf(key: string): Promise<readonly Digest[]>;
}

/** Both ports, which have to agree: a layer stays while a snapshot stands on it. */
export interface Snapshotter extends Layers, Snapshots {
  /** As users name it: `erofs`, `overlay`, `btrfs`, `vfs`. */
  readonly name: string;

  /**
   * Removes leftovers of a crash. Called once, at start, before anything else.
   * @param owned  keys of the snapshots that somebody knows of; given, all others go
   */
  sweep(owned?: ReadonlySet<string>): Promise<void>;
}
