/**
 * Port: layers in, mounts out.
 *
 * A *layer* is named by its diffId and depends on no other: layers arrive in any order and in parallel. A *snapshot* is a
 * container's view of an ordered list of layers, with a writable top unless it is read-only; it is named by `key`.
 * A snapshotter never mounts: it answers with values, and the container's plan performs them in the container's own mount
 * namespace. The one exception is stated in the value: a `layer` mount belongs to the host, is made by the first plan that needs
 * it and shared by all later ones, so that containers share its page cache.
 */

import type { Digest } from "../base/digest.ts";

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

export interface UnpackOptions {
  /** Bytes of the blob that are done, now and then. */
  readonly onProgress?: (bytes: number) => void;
  readonly signal?: AbortSignal | undefined;
  /** The blob is still on its way: it is unpacked as it comes. `size`: what it will have, bytes. @throws unavailable when the rest does not come */
  readonly arriving?: { readonly memory: SharedArrayBuffer; readonly size: number };
}

export type ChangeKind = "added" | "modified" | "deleted";

export interface Snapshotter {
  /** As users name it: `erofs`, `overlay`, `vfs`. */
  readonly name: string;

  /** @returns whether a layer is unpacked. */
  has(diffId: Digest): Promise<boolean>;

  /**
   * Turns a layer's blob (an ordinary file; gzip, zstd or plain tar, told by its first bytes) into a layer. Idempotent and atomic: after
   * a crash the layer is either whole or absent. @throws corrupt when the tar is malformed, hostile, or has another diffId.
   */
  unpack(blobPath: string, diffId: Digest, options?: UnpackOptions): Promise<void>;

  /** Makes the snapshot. @throws conflict when `key` exists, notFound when a layer is missing. */
  prepare(key: string, layers: readonly Digest[], options?: { readonly readonly?: boolean }): Promise<void>;

  /** @returns what to mount so that the snapshot appears at `target`. @throws notFound */
  mounts(key: string, target: string): Promise<readonly Mount[]>;

  /** What the snapshot's writable top changes, parents before children; paths start with `/`. @throws notFound */
  changes(key: string): AsyncIterable<{ readonly path: string; readonly kind: ChangeKind }>;

  /** What the writable top takes on disk. @throws notFound */
  usage(key: string): Promise<{ readonly bytes: number; readonly inodes: number }>;

  /** Removes a snapshot. Idempotent. */
  removeSnapshot(key: string): Promise<void>;

  /** Removes a layer and its shared mount. Idempotent. @throws conflict while a snapshot uses it. */
  removeLayer(diffId: Digest): Promise<void>;

  /** Host mounts (targets of `layer` mounts) that no snapshot in `running` needs any more are unmounted. */
  release(running: ReadonlySet<string>): Promise<void>;

  /** Every layer, in no order. */
  listLayers(): AsyncIterable<Digest>;

  /** The layer's raw tar: its digest is the diffId. @throws notFound */
  tar(diffId: Digest): Promise<{ readonly path: string; readonly size: number }>;

  /** What a layer takes on disk. @throws notFound */
  layerBytes(diffId: Digest): Promise<number>;

  /**
   * Removes leftovers of a crash. Called once, at start, before anything else.
   * @param owned  keys of the snapshots that somebody knows of; given, all others go
   */
  sweep(owned?: ReadonlySet<string>): Promise<void>;
}
