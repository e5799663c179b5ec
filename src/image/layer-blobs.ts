/**
 * Layers as blobs that a registry takes: those that are kept, and new ones, compressed from the raw tar. A kept blob is a cache: who reads one
 * verifies it, and says so when it is damaged.
 */

import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "../base/digest.ts";
import { ifMissing } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import { Locks } from "../base/lock.ts";
import type { Descriptor } from "../base/oci.ts";
import type { Blob, ContentStore } from "../store/content.ts";
import type { Layers } from "../store/layers.ts";
import type { Compressed, CompressionMethod, CompressJob } from "../wasm/compress.ts";
import { layerType, methodOf } from "./layer-types.ts";
import type { ImageRecords } from "./records.ts";
import type { Sweeper } from "./sweep.ts";

/** Does the work; `onProgress` counts bytes of the tar. */
export type Compress = (
  job: CompressJob,
  options?: { readonly onProgress?: (bytes: number) => void; readonly signal?: AbortSignal | undefined },
) => Promise<Compressed>;

/** Unfinished blobs in the scratch folder. */
const prefix = "new-layer-";

export class LayerBlobs {
  readonly #locks = new Locks();

  /** @param scratch  a folder on the disk of the content store; made when missing */
  constructor(
    readonly content: ContentStore,
    readonly layers: Layers,
    readonly records: ImageRecords,
    readonly sweeper: Sweeper,
    readonly compress: Compress,
    readonly scratch: string,
  ) {}

  /** Removes what a crash left. Called at start. */
  async sweep(): Promise<void> {
    const names = await readdir(this.scratch).catch(ifMissing([]));
    const ours = names.filter((name) => name.startsWith(prefix));
    await Promise.all(ours.map((name) => rm(join(this.scratch, name), { force: true })));
  }

  /** @returns the blob's file, if it is here in its full size */
  async find({ digest, size }: Descriptor): Promise<Blob | undefined> {
    const blob = await this.content.find(digest);
    return blob?.size === size ? blob : undefined;
  }

  /** The blob turned out to be damaged. */
  async drop({ digest }: Descriptor): Promise<void> {
    await this.content.remove(digest);
  }

  /** @returns a blob of the layer that is here and compressed so */
  async kept(diffId: Digest, method: CompressionMethod): Promise<Descriptor | undefined> {
    for (const known of this.records.blobsOf(diffId))
      if (methodOf(known.mediaType) === method && (await this.find(known))) return known;
    return undefined;
  }

  /**
   * Compresses a layer that an image has, unless that has been done; the blob is kept.
   * @returns its descriptor, in OCI's words
   * @throws  notFound, corrupt for a damaged tar, unavailable when the disk is full
   */
  async make(diffId: Digest, method: CompressionMethod, options: Parameters<Compress>[1] = {}): Promise<Descriptor> {
    await using _ = await this.#locks.acquire(`${method} ${diffId}`);
    const known = await this.kept(diffId, method);
    if (known) return known;
    const { path: tar } = await this.layers.tar(diffId);
    await mkdir(this.scratch, { recursive: true, mode: 0o700 });
    const path = join(this.scratch, prefix + newId());
    try {
      const { digest, size } = await this.compress({ tar, diffId, blob: path, method }, options);
      using _ = await this.sweeper.hold({ blobs: [digest] });
      await this.content.adopt({ digest, size }, path);
      const descriptor = { mediaType: layerType("oci", method), digest, size };
      this.records.addBlob(diffId, descriptor);
      return descriptor;
    } finally {
      await rm(path, { force: true });
    }
  }
}
