/** A new image on top of another: a container's changes as a layer, or a tar as the only one. Told in the configuration's history. */

import { type Digest, digestOf } from "../base/digest.ts";
import type { HistoryEntry, Platform, RunConfig } from "../base/oci.ts";
import type { Reference } from "../base/reference.ts";
import { bytesOf } from "../base/streams.ts";
import type { ContentStore } from "../store/content.ts";
import type { Layers, StagedLayer } from "../store/layers.ts";
import type { StoredConfig } from "./manifest.ts";
import { measured } from "./pull.ts";
import type { ImageRecords } from "./records.ts";
import type { Sweeper } from "./sweep.ts";

/** What is written of a new image. */
export interface NewImage {
  readonly platform: Platform;
  /** The image below, while there is one. */
  readonly parent?: Digest | undefined;
  /** Of the image below; empty for one from nothing. */
  readonly layers: readonly Digest[];
  readonly history: readonly HistoryEntry[];
  readonly config: RunConfig;
  readonly author: string;
  readonly comment: string;
  /** The command that made the layer. */
  readonly createdBy: string;
  /** The container that has it all, and its configuration as an inspect tells it. */
  readonly origin?: { readonly id: string; readonly config: object };
  /** Given a tag, or none at all. */
  readonly reference: Reference | undefined;
}

export type MakeLayer = () => Promise<StagedLayer>;

/** A tar of no entries: an unchanged container gives it, and an image does without it. */
const emptyLayer: Digest = digestOf(new Uint8Array(1024));

const omitBlank = (config: RunConfig): RunConfig => {
  const isBlank = (value: unknown) =>
    value === undefined ||
    value === null ||
    value === "" ||
    (typeof value === "object" && Object.keys(value).length === 0);
  return Object.fromEntries(Object.entries(config).filter(([, value]) => !isBlank(value)));
};

/** @returns the configuration's bytes, whose digest is the image's id */
function newConfig(image: NewImage, diffId: Digest, now: Date): Uint8Array {
  const { platform, layers, history, config, author, comment, createdBy, origin } = image;
  const created = now.toISOString();
  const isEmpty = diffId === emptyLayer && layers.length > 0;
  const entry: HistoryEntry = {
    created,
    ...(author !== "" && { author }),
    ...(createdBy !== "" && { created_by: createdBy }),
    ...(comment !== "" && { comment }),
    ...(isEmpty && { empty_layer: true }),
  };
  const document: StoredConfig = {
    architecture: platform.architecture,
    os: platform.os,
    ...(platform.variant !== undefined && { variant: platform.variant }),
    ...(author !== "" && { author }),
    created,
    ...(origin && { container: origin.id, container_config: origin.config }),
    config: omitBlank(config),
    rootfs: { type: "layers", diff_ids: isEmpty ? layers : [...layers, diffId] },
    history: [...history, entry],
  };
  return new TextEncoder().encode(JSON.stringify(document));
}

export class Committer {
  constructor(
    readonly content: ContentStore,
    readonly layers: Layers,
    readonly records: ImageRecords,
    readonly sweeper: Sweeper,
  ) {}

  /** @returns the image's id. @throws what making the layer fails with; nothing is left then */
  async commit(image: NewImage, makeLayer: MakeLayer): Promise<Digest> {
    using holds = new DisposableStack();
    const layers: Digest[] = [];
    const blobs: Digest[] = [];
    holds.use(await this.sweeper.hold({ layers: image.layers }));
    try {
      await using made = await makeLayer();
      const { diffId } = made;
      layers.push(diffId);
      holds.use(await this.sweeper.hold({ layers }));
      await made.keep({ durable: true });
      const config = newConfig(image, diffId, new Date());
      const id = digestOf(config);
      blobs.push(id);
      holds.use(await this.sweeper.hold({ blobs }));
      await this.#write(image, config, diffId === emptyLayer && image.layers.length > 0 ? undefined : diffId);
      return id;
    } finally {
      holds.dispose();
      // What no row needs goes: all of it after a failure, the layer of no entries after a success.
      await this.sweeper.discard({ layers, blobs }).catch(() => {});
    }
  }

  async #write(image: NewImage, config: Uint8Array, diffId: Digest | undefined): Promise<void> {
    const id = digestOf(config);
    const body = async () => ({ start: 0, body: bytesOf(config) });
    await this.content.put({ digest: id, size: config.byteLength }, body);
    const diffIds = diffId === undefined ? image.layers : [...image.layers, diffId];
    this.records.put({
      id,
      layers: await measured(this.layers, diffIds),
      manifests: [],
      references: image.reference ? [image.reference] : [],
      platform: image.platform,
      ...(image.parent && { parent: image.parent }),
    });
  }
}
