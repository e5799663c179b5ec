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
import type { LayerFault } from "./layer-check.ts";

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
  /** The blob is nobody's any more, and may become a part of the layer as it is. */
  readonly given?: boolean;
  /** The blob is still on its way: it is unpacked as it comes. `size`: what it will have, bytes. @throws unavailable when the rest does not come */
  readonly arriving?: { readonly memory: SharedArrayBuffer; readonly size: number };
}

/** A layer that is made, but that nobody sees yet. Disposed of without having been kept, it leaves nothing. */
export interface StagedLayer extends AsyncDisposable {
  readonly diffId: Digest;
  /** Makes it a layer among the others; where there is the same one already, that one stays. */
  keep(): Promise<void>;
}

export interface StageOptions extends UnpackOptions {
  /** Most bytes that its tar may have, where that is less than what any layer may have. */
  readonly maxTarBytes?: number;
}

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

/** For calls that make a layer whose diffId nobody knows before. */
export interface NewLayerOptions {
  /** Called before the layer appears, so that somebody can hold it: nothing refers to it yet. */
  readonly onDiffId?: (diffId: Digest) => Promise<void>;
  /** As for `unpack`. */
  readonly given?: boolean;
  /** As for `stage`. */
  readonly maxTarBytes?: number;
  readonly onProgress?: (bytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface ExceptOptions {
  /**
   * Absolute paths that somebody else has made in the snapshot, as mount points: where they are empty and the layers have nothing, they
   * are no changes, nor are the parents that were made for them.
   */
  readonly except?: readonly string[];
}

export interface SnapshotOptions {
  readonly readonly?: boolean;
  /** Most bytes that the writable top may take. */
  readonly sizeBytes?: number;
}

/** The part of the port that knows layers. */
export interface Layers {
  /** @returns whether a layer is unpacked. */
  has(diffId: Digest): Promise<boolean>;

  /**
   * Turns a layer's blob (an ordinary file; gzip, zstd or plain tar, told by its first bytes) into a layer. Idempotent and atomic: after
   * a crash the layer is either whole or absent. @throws corrupt when the tar is malformed, hostile, or has another diffId.
   */
  unpack(blobPath: string, diffId: Digest, options?: UnpackOptions): Promise<void>;

  /** As `unpack`, for a tar whose diffId is not known. @returns it. @throws corrupt */
  ingest(blobPath: string, options?: NewLayerOptions): Promise<Digest>;

  /** As `ingest`, for a tar of which nobody knows yet whether it is a layer's. @throws corrupt */
  stage(blobPath: string, options?: StageOptions): Promise<StagedLayer>;

  /** Removes a layer and its shared mount. Idempotent. @throws conflict while a snapshot uses it. */
  removeLayer(diffId: Digest): Promise<void>;

  /** Every layer, in no order. */
  listLayers(): AsyncIterable<Digest>;

  /** The layer's raw tar: its digest is the diffId. @throws notFound */
  tar(diffId: Digest): Promise<{ readonly path: string; readonly size: number }>;

  /** @returns where layers can be looked at by whoever may, in their order; undefined unless all of them can just now */
  directories(diffIds: readonly Digest[]): Promise<readonly string[] | undefined>;

  /** What a layer takes on disk. @throws notFound */
  layerBytes(diffId: Digest): Promise<number>;

  /**
   * Looks a layer over. @param full  reads all of its tar, too. @returns what is wrong with it; undefined for nothing. @throws notFound
   */
  fault(diffId: Digest, full: boolean): Promise<LayerFault | undefined>;

  /** Makes a layer's index again of its tar; who has it mounted goes on with the old one. @throws notFound, corrupt when the tar is not the layer's */
  rebuild(diffId: Digest): Promise<void>;
}

/** The part that knows what containers see. */
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
   * The same changes make the same layer. @returns its diffId. @throws notFound, corrupt for names that no layer can have
   */
  commit(key: string, options?: ExceptOptions & NewLayerOptions): Promise<Digest>;

  /** @returns the snapshot as a container sees it, layers merged, to be read. What changes meanwhile may be seen or not. @throws notFound */
  read(key: string): Promise<Tree>;

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

export interface Snapshotter extends Layers, Snapshots {
  /** As users name it: `erofs`, `overlay`, `btrfs`, `vfs`. */
  readonly name: string;

  /**
   * Removes leftovers of a crash. Called once, at start, before anything else.
   * @param owned  keys of the snapshots that somebody knows of; given, all others go
   */
  sweep(owned?: ReadonlySet<string>): Promise<void>;
}
