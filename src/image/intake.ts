/** Images that come from a file rather than a registry: layers are on disk already, and no manifest names them. */

import { stat } from "node:fs/promises";
import { type Digest, digestOf } from "../base/digest.ts";
import { corrupt, invalid } from "../base/errors.ts";
import type { Reference } from "../base/reference.ts";
import { bytesOf } from "../base/streams.ts";
import type { ContentStore } from "../store/content.ts";
import type { Snapshotter } from "../store/snapshot.ts";
import { parseConfig } from "./manifest.ts";
import { measured } from "./pull.ts";
import type { ImageRecords } from "./records.ts";
import type { Sweeper } from "./sweep.ts";

export interface LocalImage {
  /** The configuration's bytes; their digest is the image's id. */
  readonly config: Uint8Array;
  /** Files of the layers, bottom first: tars, plain or compressed. */
  readonly layers: readonly string[];
  readonly references: readonly Reference[];
}

export interface IntakeOptions {
  readonly signal?: AbortSignal | undefined;
  /** Counts the bytes of a layer's file, `total` in all. Called for layers that are new. */
  readonly onLayer?: ((diffId: Digest, total: number, bytes: number) => void) | undefined;
}

export class Intake {
  constructor(
    readonly content: ContentStore,
    readonly snapshotter: Snapshotter,
    readonly records: ImageRecords,
    readonly sweeper: Sweeper,
  ) {}

  /** Makes the image present. Idempotent. @throws corrupt, invalid, or the signal's reason; nothing is left then */
  async add({ config, layers, references }: LocalImage, options: IntakeOptions = {}): Promise<Digest> {
    const id = digestOf(config);
    const { os, rootfs } = parseConfig(config);
    const diffIds = rootfs.diff_ids;
    if (os !== "linux") throw invalid(`cannot load ${JSON.stringify(os.slice(0, 50))} image on "linux"`);
    if (diffIds.length !== layers.length)
      throw corrupt(`invalid manifest, layers length mismatch: expected ${diffIds.length}, got ${layers.length}`);
    const files = { blobs: [id], layers: diffIds };
    try {
      using _ = await this.sweeper.hold(files);
      for (const [index, path] of layers.entries()) await this.#unpack(diffIds[index] ?? id, path, options);
      await this.content.put({ digest: id, size: config.byteLength }, async () => ({
        start: 0,
        body: bytesOf(config),
      }));
      this.records.put({ id, layers: await measured(this.snapshotter, diffIds), manifests: [], references });
    } catch (error) {
      await this.sweeper.discard(files).catch(() => {});
      throw error;
    }
    return id;
  }

  async #unpack(diffId: Digest, path: string, { signal, onLayer }: IntakeOptions): Promise<void> {
    signal?.throwIfAborted();
    if (await this.snapshotter.has(diffId)) return;
    const { size } = await stat(path);
    const onProgress = (bytes: number) => onLayer?.(diffId, size, bytes);
    onProgress(0);
    await this.snapshotter.unpack(path, diffId, { onProgress, signal });
  }
}
