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
import type { Layers } from "../store/layers.ts";
import { type ImageDocument, largestConfig, parseConfig, parseDocument, type StoredConfig } from "./manifest.ts";
import { chooseManifest } from "./platform.ts";
import type { OnProgress } from "./progress.ts";
import type { Files, ImageRecords, Layer } from "./records.ts";
import { leaseMs, type Sweeper } from "./sweep.ts";
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

/**
 * Files that a pull works with: held until it ends, so that nobody removes them meanwhile, and leased, so that neither a failure nor a crash of
 * this process loses what was brought so far. Grows while the pull learns.
 */
class Holdings implements Disposable {
  readonly blobs: Digest[] = [];
  readonly layers: Digest[] = [];
  readonly #holds = new DisposableStack();

  constructor(
    readonly sweeper: Sweeper,
    readonly records: ImageRecords,
  ) {}

  addDocument(digest: Digest): Promise<void> {
    return this.#add({ blobs: [digest], layers: [] });
  }

  addLayers(sources: readonly LayerSource[]): Promise<void> {
    return this.#add({
      layers: sources.map(({ diffId }) => diffId),
      blobs: sources.map(({ blob }) => blob.digest),
    });
  }

  async #add(files: Required<Files>): Promise<void> {
    this.layers.push(...files.layers);
    this.blobs.push(...files.blobs);
    this.#holds.use(await this.sweeper.hold(files));
    this.records.lease(files, new Date(Date.now() + leaseMs));
  }

  /** Nothing is to be continued: what no image needs goes. */
  async settle(): Promise<void> {
    this[Symbol.dispose]();
    this.records.unlease(this);
    await this.sweeper.discard(this);
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
export const measured = (layers: Layers, diffIds: readonly Digest[]): Promise<readonly Layer[]> =>
  Promise.all(diffIds.map(async (diffId) => ({ diffId, bytes: await layers.layerBytes(diffId) })));

export class Puller {
  constructor(
    readonly registry: Registry,
    readonly content: ContentStore,
    readonly layers: Layers,
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
    using holdings = new Holdings(this.sweeper, this.records);
    const errand: Errand = {
      reference: withDefaultTag(asked),
      access: { credentials, signal },
      platform,
      onProgress,
      holdings,
    };
    try {
      const pulled = await this.#pull(errand);
      await holdings.settle();
      return pulled;
    } catch (error) {
      const mayResume = mayPass(error) || signal?.aborted === true;
      // What cannot be removed now goes with the sweep at the next start; what went wrong first is what counts.
      if (!mayResume) await holdings.settle().catch(() => {});
      throw error;
    }
  }

  async #pull(errand: Errand): Promise<Pulled> {
    const { reference, onProgress, holdings } = errand;
    const target = await this.#resolve(errand);
    const { manifest, config, documents } = await this.#documents(errand, target);
    const id = manifest.config.digest;
    const sources = pairs(reference, manifest, config);
    await holdings.addLayers(sources);
    if (!this.records.findById(id) || !(await this.#hasAll(sources))) await this.#bring(sources, errand);
    const layers = await measured(this.layers, config.rootfs.diff_ids);
    const { domain, path } = reference;
    const references = [...(reference.digest ? [] : [reference]), { domain, path, digest: target.digest }];
    const changed = !this.records.means(reference, id);
    this.records.put({ id, layers, manifests: documents, references, blobs: sources, platform: config });
    onProgress({ status: `Digest: ${target.digest}` });
    const outcome = changed ? "Downloaded newer image for" : "Image is up to date for";
    onProgress({ status: `Status: ${outcome} ${familiarReference(reference)}` });
    return { id, reference, digest: target.digest, changed };
  }

  /** A machine that went down may have cost an image a layer. */
  async #hasAll(sources: readonly LayerSource[]): Promise<boolean> {
    for (const { diffId } of sources) if (!(await this.layers.has(diffId))) return false;
    return true;
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
      const exists = await this.layers.has(layer.diffId);
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
