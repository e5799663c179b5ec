/**
 * Port: layers. A *layer* is named by its diffId and depends on no other: layers arrive in any order and in parallel. Its raw tar is the truth;
 * what it is read through (an index, a directory) can be made again of that.
 */

import type { Digest } from "../base/digest.ts";
import type { LayerFault } from "./layer-check.ts";

/** For every call that makes a layer. */
export interface MakeOptions {
  /** Bytes that are done of what it is made of, now and then. */
  readonly onProgress?: (bytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface UnpackOptions extends MakeOptions {
  /** The blob is nobody's any more, and may become a part of the layer as it is. */
  readonly given?: boolean;
  /** The blob is still on its way: it is unpacked as it comes. `size`: what it will have, bytes. @throws unavailable when the rest does not come */
  readonly arriving?: { readonly memory: SharedArrayBuffer; readonly size: number };
}

export interface StageOptions extends UnpackOptions {
  /** Most bytes that its tar may have, where that is less than what any layer may have. */
  readonly maxTarBytes?: number;
}

export interface KeepOptions {
  /** Waits until the layer is on disk, since there is no other copy of it. Else it gets there soon. */
  readonly durable?: boolean;
}

/**
 * A layer that is made, but that nobody sees yet, so that whoever made it can hold what it will be first. Disposed of without having been kept,
 * it leaves nothing.
 */
export interface StagedLayer extends AsyncDisposable {
  readonly diffId: Digest;
  /** Makes it a layer among the others; where there is the same one already, that one stays. */
  keep(options?: KeepOptions): Promise<void>;
}

export interface Layers {
  /** @returns whether a layer is unpacked. */
  has(diffId: Digest): Promise<boolean>;

  /**
   * Turns a layer's blob (an ordinary file; gzip, zstd or plain tar, told by its first bytes) into a layer. Idempotent and atomic: after
   * a crash the layer is either whole or absent. @throws corrupt when the tar is malformed, hostile, or has another diffId.
   */
  unpack(blobPath: string, diffId: Digest, options?: UnpackOptions): Promise<void>;

  /** As `unpack`, for a tar whose diffId is not known, or of which nobody knows yet whether it is a layer's. @throws corrupt */
  stage(blobPath: string, options?: StageOptions): Promise<StagedLayer>;

  /** The layer's raw tar: its digest is the diffId. @throws notFound */
  tar(diffId: Digest): Promise<{ readonly path: string; readonly size: number }>;

  /** @returns where layers can be looked at by whoever may, in their order; undefined unless all of them can just now */
  directories(diffIds: readonly Digest[]): Promise<readonly string[] | undefined>;

  /** What a layer takes on disk. @throws notFound */
  layerBytes(diffId: Digest): Promise<number>;

  /** Every layer, in no order. */
  listLayers(): AsyncIterable<Digest>;

  /** Removes a layer and its shared mount. Idempotent. @throws conflict while a snapshot uses it. */
  removeLayer(diffId: Digest): Promise<void>;

  /**
   * Looks a layer over. @param full  reads all of its tar, too. @returns what is wrong with it; undefined for nothing. @throws notFound
   */
  fault(diffId: Digest, full: boolean): Promise<LayerFault | undefined>;

  /** Makes a layer's index again of its tar; who has it mounted goes on with the old one. @throws notFound, corrupt when the tar is not the layer's */
  rebuild(diffId: Digest): Promise<void>;
}
