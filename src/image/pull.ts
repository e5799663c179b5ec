/**
 * From a name to an image: resolve, read the documents, bring the layers, then one transaction. Whatever fails before that leaves no image,
 * and of the files only what lets a later pull go on where this one stopped.
 */

import type { Digest } from "../base/digest.ts";
import { corrupt, invalid } from "../base/errors.ts";
import { shortId } from "../base/ids.ts";
import { documentTypes } from "../base/media-types.ts";
import type { Descriptor, Manifest, Platform } from "../base/oci.ts";
import { familiarReference, type Reference, withDefaultTag } from "../base/reference.ts";
import { bytesOf } from "../base/streams.ts";
import type { Access, Credentials, Registry } from "../registry/registry.ts";
import type { ContentStore } from "../store/content.ts";
import type { Snapshotter } from "../store/snapshot.ts";
import { type ImageDocument, largestConfig, parseConfig, parseDocument, type StoredConfig } from "./manifest.ts";
import { chooseManifest } from "./platform.ts";
import type { OnProgress } from "./progress.ts";
import type { ImageRecords, Layer } from "./records.ts";
import type { Sweeper } from "./sweep.ts";
import { type LayerSource, mayPass, type Transfers } from "./transfer.ts";

export interface PullOptions {
  /** Whose image of an index; the machine's own unless given. */
  readonly platform?: Platform | undefined;
  readonly credentials?: Credentials | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
}

export interface Pulled {
  readonly id: Digest;
  /** As asked for, with its tag. */
  readonly reference: Reference;
  /** Of the manifest or index that the reference stands for. */
  readonly digest: Digest;
  /** Whether the reference means another image than before. */
  readonly changed: boolean;
}

/** Files that a pull works with, held until it ends, sorted by what becomes of them. Grows while the pull learns. */
class Holdings implements Disposable {
  /** Manifests and the configuration: they stay with the image. */
  readonly documents: Digest[] = [];
  /** Of layers: they go when the image is complete. */
  readonly blobs: Digest[] = [];
  readonly layers: Digest[] = [];
  readonly #holds = new DisposableStack();

  constructor(readonly sweeper: Sweeper) {}

  async addDocument(digest: Digest): Promise<void> {
    this.documents.push(digest);
    this.#holds.use(await this.sweeper.hold({ blobs: [digest] }));
  }

  async addLayers(sources: readonly LayerSource[]): Promise<void> {
    const files = { layers: sources.map(({ diffId }) => diffId), blobs: sources.map(({ blob }) => blob.digest) };
    this.layers.push(...files.layers);
    this.blobs.push(...files.blobs);
    this.#holds.use(await this.sweeper.hold(files));
  }

  [Symbol.dispose](): void {
    this.#holds.dispose();
  }
}

/** One pull on its way. */
interface Errand {
  /** With its tag. */
  readonly reference: Reference;
  readonly access: Access;
  readonly platform: Platform;
  readonly onProgress: OnProgress;
  readonly holdings: Holdings;
}

type Kept = Pick<Descriptor, "digest" | "size" | "mediaType">;

/** @returns the layers with their sizes. @throws notFound when one is missing */
export const measured = (snapshotter: Snapshotter, diffIds: readonly Digest[]): Promise<readonly Layer[]> =>
  Promise.all(diffIds.map(async (diffId) => ({ diffId, bytes: await snapshotter.layerBytes(diffId) })));

export class Puller {
  constructor(
    readonly registry: Registry,
    readonly content: ContentStore,
    readonly snapshotter: Snapshotter,
    readonly records: ImageRecords,
    readonly sweeper: Sweeper,
    readonly transfers: Transfers,
    readonly platform: Platform,
  ) {}

  /**
   * The first progress comes after the reference was found: a reference that cannot be resolved fails before any.
   * @throws notFound, forbidden, invalid, corrupt, unavailable, or the signal's reason
   */
  async pull(asked: Reference, options: PullOptions = {}): Promise<Pulled> {
    const { platform = this.platform, credentials, signal, onProgress = () => {} } = options;
    const holdings = new Holdings(this.sweeper);
    const errand: Errand = {
      reference: withDefaultTag(asked),
      access: { credentials, signal },
      platform,
      onProgress,
      holdings,
    };
    try {
      const pulled = await this.#pull(errand);
      await this.sweeper.discard({ blobs: holdings.blobs });
      return pulled;
    } catch (error) {
      const mayResume = mayPass(error) || signal?.aborted === true;
      const blobs = mayResume ? holdings.documents : [...holdings.documents, ...holdings.blobs];
      // What cannot be removed now goes with the sweep at the next start; what went wrong first is what counts.
      await this.sweeper.discard({ blobs, layers: holdings.layers }).catch(() => {});
      throw error;
    }
  }

  async #pull(errand: Errand): Promise<Pulled> {
    using holdings = errand.holdings;
    const { reference, onProgress } = errand;
    const target = await this.#resolve(errand);
    const { manifest, config, documents } = await this.#documents(errand, target);
    const id = manifest.config.digest;
    const sources = pairs(reference, manifest, config);
    await holdings.addLayers(sources);
    if (!this.records.findById(id)) await this.#bring(sources, errand);
    const layers = await measured(this.snapshotter, config.rootfs.diff_ids);
    const { domain, path } = reference;
    const references = [...(reference.digest ? [] : [reference]), { domain, path, digest: target.digest }];
    const changed = this.records.findByReference(reference)?.id !== id;
    this.records.put({ id, layers, manifests: documents, references });
    onProgress({ status: `Digest: ${target.digest}` });
    const outcome = changed ? "Downloaded newer image for" : "Image is up to date for";
    onProgress({ status: `Status: ${outcome} ${familiarReference(reference)}` });
    return { id, reference, digest: target.digest, changed };
  }

  /** What is here already by its digest needs no question. */
  async #resolve({ reference, access }: Errand): Promise<Kept> {
    const kept = reference.digest && (await this.content.find(reference.digest));
    if (reference.digest && kept) return { digest: reference.digest, size: kept.size, mediaType: "" };
    return this.registry.resolve(reference, access);
  }

  /** @returns the manifest for the platform, the configuration, and the digests of the documents that led there */
  async #documents(
    errand: Errand,
    target: Kept,
  ): Promise<{ manifest: Manifest; config: StoredConfig; documents: readonly Digest[] }> {
    const { reference, holdings, platform, onProgress } = errand;
    const top = await this.#document(errand, target);
    onProgress({ id: labelOf(reference), status: `Pulling from ${reference.path}` });
    const chosen = top.kind === "index" ? chooseManifest(top.index, platform) : target;
    const document = top.kind === "index" ? await this.#document(errand, chosen) : top;
    if (document.kind === "index") throw invalid("the manifest list names another manifest list for this platform");
    const { manifest } = document;
    await holdings.addDocument(manifest.config.digest);
    const config = parseConfig(await this.#configBytes(errand, manifest.config));
    if (config.os !== "linux")
      throw invalid(`image operating system ${JSON.stringify(config.os.slice(0, 50))} cannot be used on this platform`);
    return { manifest, config, documents: [...new Set([target.digest, chosen.digest])] };
  }

  async #document(errand: Errand, kept: Kept): Promise<ImageDocument> {
    await errand.holdings.addDocument(kept.digest);
    return parseDocument(await this.#documentBytes(errand, kept), kept.mediaType);
  }

  /** Reads a manifest or index, from here if it is here. It is then here. */
  async #documentBytes({ reference, access }: Errand, { digest, size, mediaType }: Kept): Promise<Uint8Array> {
    const kept = await this.content.find(digest);
    if (kept) return Bun.file(kept.path).bytes();
    const { domain, path } = reference;
    const { bytes, descriptor } = await this.registry.document({ domain, path, digest }, access);
    if (bytes.byteLength !== size) throw corrupt(`Cannot read ${digest}: got ${bytes.byteLength} bytes, want ${size}`);
    if (
      documentTypes.includes(mediaType) &&
      documentTypes.includes(descriptor.mediaType) &&
      mediaType !== descriptor.mediaType
    )
      throw corrupt(`Cannot read ${digest}: got ${descriptor.mediaType}, want ${mediaType}`);
    await this.content.put({ digest, size }, async () => ({ start: 0, body: bytesOf(bytes) }));
    return bytes;
  }

  async #configBytes({ reference, access }: Errand, config: Descriptor): Promise<Uint8Array> {
    if (config.size > largestConfig)
      throw corrupt(`Cannot read the image configuration: ${config.size} bytes, want at most ${largestConfig}`);
    const open = (offset: number) => this.registry.blob(reference, config, offset, access);
    const blob = await this.content.put(config, open, { signal: access.signal });
    return Bun.file(blob.path).bytes();
  }

  /** Brings the layers that are missing, all at once; the first failure stops the others, and is thrown when they have stopped. */
  async #bring(layers: readonly LayerSource[], { access, onProgress }: Errand): Promise<void> {
    const stop = new AbortController();
    const signal = access.signal ? AbortSignal.any([access.signal, stop.signal]) : stop.signal;
    const missing: LayerSource[] = [];
    for (const layer of layers) {
      const exists = await this.snapshotter.has(layer.diffId);
      const status = exists ? "Already exists" : "Pulling fs layer";
      onProgress({ id: shortId(layer.blob.digest), status, detail: {} });
      if (!exists) missing.push(layer);
    }
    const failures: unknown[] = [];
    await Promise.all(
      missing.map(async (layer) => {
        try {
          await this.transfers.fetch(layer, { ...access, signal }, onProgress);
        } catch (error) {
          failures.push(error);
          stop.abort(error);
        }
      }),
    );
    if (failures.length > 0) throw failures[0];
  }
}

const labelOf = (reference: Reference): string =>
  reference.digest === undefined
    ? (reference.tag ?? "latest")
    : `${reference.domain}/${reference.path}@${reference.digest}`;

/** Each layer once, though a manifest may list it several times. @throws corrupt unless manifest and configuration agree */
function pairs(repository: Reference, manifest: Manifest, config: StoredConfig): readonly LayerSource[] {
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== manifest.layers.length) throw corrupt("layers from manifest don't match image configuration");
  const byDiffId = new Map<Digest, LayerSource>();
  for (const [index, blob] of manifest.layers.entries()) {
    const diffId = diffIds[index];
    if (diffId !== undefined && !byDiffId.has(diffId)) byDiffId.set(diffId, { repository, blob, diffId });
  }
  return [...byDiffId.values()];
}
