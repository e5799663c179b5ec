/**
 * From an image to a registry: what it lacks is sent, what it has under another name is mounted, then the manifest.
 *
 * An image goes out under the manifest that it came with, so that its digest stays, as long as each of its blobs is at the registry or here.
 * A layer whose blob nobody has is compressed again, which gives another blob, and so the image a new manifest: of the family it came in, else
 * Docker's schema 2 as dockerd writes it for what is made locally (every registry and client reads that), or OCI's where zstd is asked for,
 * for which Docker has no name.
 * Source: wire-notes section 6; Moby, distribution/push_v2.go, for what is said.
 */

import type { Digest } from "../base/digest.ts";
import { corrupt, invalid, notFound } from "../base/errors.ts";
import { shortId } from "../base/ids.ts";
import type { Descriptor, Manifest, Platform } from "../base/oci.ts";
import { familiarName, familiarReference, type Reference, repositoryOf } from "../base/reference.ts";
import { Semaphore } from "../base/semaphore.ts";
import type { Access, Credentials, Document, Registry } from "../registry/registry.ts";
import type { ContentStore } from "../store/content.ts";
import type { CompressionMethod } from "../wasm/compress.ts";
import { type KeptIndex, type KeptManifest, keptDocuments, preferred } from "./documents.ts";
import type { LayerBlobs } from "./layer-blobs.ts";
import { type Family, familyOf, methodOf } from "./layer-types.ts";
import type { Lookup } from "./lookup.ts";
import { ownManifest } from "./own-manifest.ts";
import type { OnProgress } from "./progress.ts";
import { LayerPush, type PushContext, sendFile } from "./push-layer.ts";
import type { ImageRecord, ImageRecords } from "./records.ts";
import type { Sweeper } from "./sweep.ts";

export interface PushOptions {
  readonly credentials?: Credentials | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
  /** Called when a tag is there. */
  readonly onPushed?: ((pushed: Pushed) => void) | undefined;
  /** Of several platforms under one name, the one to push; all of them unless given. */
  readonly platform?: Platform | undefined;
  /** How every layer shall be compressed, also those that came otherwise. */
  readonly compression?: CompressionMethod | undefined;
}

export interface Pushed {
  readonly tag: string;
  readonly digest: Digest;
  /** Bytes of the manifest. */
  readonly size: number;
}

export interface PusherOptions {
  readonly registry: Registry;
  readonly content: ContentStore;
  readonly records: ImageRecords;
  readonly lookup: Lookup;
  readonly sweeper: Sweeper;
  readonly blobs: LayerBlobs;
  readonly maxConcurrentUploads: number;
  /** Of layers that have to be compressed, when nobody asks for another. */
  readonly compression: CompressionMethod;
}

export class Pusher {
  readonly #options: PusherOptions;
  readonly #uploads: Semaphore;

  constructor(options: PusherOptions) {
    this.#options = options;
    this.#uploads = new Semaphore(options.maxConcurrentUploads);
  }

  /**
   * Pushes one tag, or every tag of a repository when none is given.
   * @throws notFound, forbidden, invalid, corrupt, unavailable, or the signal's reason
   */
  async push(asked: Reference, options: PushOptions = {}): Promise<void> {
    const { onProgress = () => {} } = options;
    if (asked.digest !== undefined) throw invalid("cannot push a digest reference");
    onProgress({ status: `The push refers to repository [${repositoryOf(asked)}]` });
    const tags = this.#options.lookup.tagsOf(asked);
    if (tags.length === 0) throw notFound(`An image does not exist locally with the tag: ${familiarName(asked)}`);
    const chosen = asked.tag === undefined ? tags : tags.filter(({ tag }) => tag === asked.tag);
    if (chosen.length === 0) throw notFound(`tag does not exist: ${familiarReference(asked)}`);
    for (const reference of chosen) options.onPushed?.(await this.#tag(reference, options));
  }

  async #tag(reference: Reference, options: PushOptions): Promise<Pushed> {
    const { lookup, sweeper } = this.#options;
    const first = await lookup.pick(familiarReference(reference), options.platform);
    const index = options.platform ? undefined : await this.#index(reference, first);
    const images = index ? index.images : [first];
    const layers = images.flatMap((image) => image.layers.map(({ diffId }) => diffId));
    using _ = await sweeper.hold({ layers, blobs: images.map(({ id }) => id) });
    const { domain, path, tag = "latest" } = reference;
    for (const image of images) {
      const document = await this.#image(reference, image, options, index !== undefined);
      if (!index) return this.#top(reference, document, options);
      await this.#options.registry.pushDocument(
        { domain, path, digest: document.descriptor.digest },
        document,
        options,
      );
    }
    if (!index) throw notFound(`tag does not exist: ${familiarReference({ ...reference, tag })}`);
    return this.#top(reference, index.document, options);
  }

  /** The last of a push: what the tag means from now on. */
  async #top(reference: Reference, document: Document, options: PushOptions): Promise<Pushed> {
    const { domain, path, tag = "latest" } = reference;
    const { digest, size } = document.descriptor;
    await this.#options.registry.pushDocument(reference, document, options);
    const image = this.#options.records.findByReference(reference);
    if (image) this.#options.records.put({ ...image, manifests: [digest], references: [{ domain, path, digest }] });
    options.onProgress?.({ status: `${tag}: digest: ${digest} size: ${size}` });
    return { tag, digest, size };
  }

  /** An index is pushed when each image that it lists is here with the manifest that it lists: else only the one image is. */
  async #index(
    reference: Reference,
    first: ImageRecord,
  ): Promise<{ readonly document: KeptIndex; readonly images: readonly ImageRecord[] } | undefined> {
    const { records, lookup, content } = this.#options;
    const { indexes } = await keptDocuments(content, records, first.id);
    for (const document of indexes) {
      const images = document.index.manifests.map(({ digest }) =>
        lookup.members(records.ownersOf(digest)).find(({ id }) => records.means(reference, id)),
      );
      const known = images.filter((image) => image !== undefined);
      if (known.length === images.length && new Set(known).size > 0) return { document, images: known };
    }
    return undefined;
  }

  /** Sends an image's layers and configuration. @returns its manifest, which is not sent yet */
  async #image(reference: Reference, image: ImageRecord, options: PushOptions, asItCame: boolean): Promise<Document> {
    const { content, records } = this.#options;
    const { manifests } = await keptDocuments(content, records, image.id);
    const kept = preferred(manifests, image, reference).find(
      ({ manifest }) => manifest.layers.length === image.layers.length,
    );
    const family = this.#family(kept, options.compression);
    const layers = await this.#layers(reference, image, kept, options);
    await this.#config(reference, image.id, options);
    const same = kept?.manifest.layers.every(({ digest }, at) => digest === layers[at]?.digest) ?? false;
    if (kept && same) return kept;
    if (asItCame)
      throw corrupt(
        `Cannot push ${familiarReference(reference)}: blobs of the image ${image.id} of its index are lost`,
      );
    return ownManifest(this.#options, image, {
      family,
      layers,
      ...(kept?.manifest.annotations && { annotations: kept.manifest.annotations }),
    });
  }

  #family(kept: KeptManifest | undefined, asked: CompressionMethod | undefined): Family {
    if ((asked ?? (kept ? undefined : this.#options.compression)) === "zstd") return "oci";
    return kept ? familyOf(kept.manifest.mediaType) : "docker";
  }

  /** Places every layer, all at once; the first failure stops the others, and is thrown when they have stopped. */
  async #layers(
    reference: Reference,
    image: ImageRecord,
    kept: KeptManifest | undefined,
    options: PushOptions,
  ): Promise<readonly Descriptor[]> {
    const stop = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
    const { onProgress = () => {}, compression: asked } = options;
    const compression = asked ?? commonMethod(kept?.manifest) ?? this.#options.compression;
    const context: PushContext = {
      ...this.#options,
      uploads: this.#uploads,
      repository: { domain: reference.domain, path: reference.path },
      access: { credentials: options.credentials, signal },
      onProgress,
      compression,
      isStrict: asked !== undefined,
    };
    const wanted = new Map(image.layers.map(({ diffId }, at) => [diffId, kept?.manifest.layers[at]] as const));
    // From the top to the bottom, as dockerd lists them.
    const diffIds = [...wanted.keys()].reverse();
    for (const diffId of diffIds) onProgress({ id: shortId(diffId), status: "Preparing", detail: {} });
    const failures: unknown[] = [];
    const placed = new Map<Digest, Descriptor>();
    await Promise.all(
      diffIds.map(async (diffId) => {
        try {
          placed.set(diffId, await new LayerPush(context, diffId, wanted.get(diffId)).run());
        } catch (error) {
          failures.push(error);
          stop.abort(error);
        }
      }),
    );
    if (failures.length > 0) throw failures[0];
    return image.layers.flatMap(({ diffId }) => placed.get(diffId) ?? []);
  }

  async #config(reference: Reference, id: Digest, { credentials, signal }: Access): Promise<void> {
    const { registry, content } = this.#options;
    const { path, size } = await content.get(id);
    const config = { digest: id, size };
    if (await registry.hasBlob(reference, config, { credentials, signal })) return;
    await sendFile(registry, reference, config, path, { credentials, signal });
  }
}

/** @returns how all layers of a manifest are compressed, if alike */
function commonMethod(manifest: Manifest | undefined): CompressionMethod | undefined {
  const [method, ...others] = new Set(manifest?.layers.map(({ mediaType }) => methodOf(mediaType)));
  return others.length === 0 && method !== "none" ? method : undefined;
}
