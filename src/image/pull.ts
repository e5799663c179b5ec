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
import { largestConfig, parseConfig, parseDocument, type StoredConfig } from "./manifest.ts";
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

/** What a pull works on; grows while it learns. */
interface Found {
  readonly documents: Digest[];
  readonly blobs: Digest[];
  readonly layers: Digest[];
}

type Kept = Pick<Descriptor, "digest" | "size" | "mediaType">;

/** @returns the layers with their sizes. @throws corrupt when one is missing */
export async function measured(snapshotter: Snapshotter, diffIds: readonly Digest[]): Promise<readonly Layer[]> {
  const sizes = new Map<string, number>();
  for await (const { kind, name, bytes } of snapshotter.list()) if (kind === "layer") sizes.set(name, bytes);
  return diffIds.map((diffId) => {
    const bytes = sizes.get(diffId);
    if (bytes === undefined) throw corrupt(`Cannot complete the image: layer ${diffId} is missing`);
    return { diffId, bytes };
  });
}

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
    const found: Found = { documents: [], blobs: [], layers: [] };
    try {
      const pulled = await this.#pull(withDefaultTag(asked), options, found);
      await this.sweeper.discard({ blobs: found.blobs });
      return pulled;
    } catch (error) {
      const mayResume = mayPass(error) || options.signal?.aborted === true;
      const blobs = mayResume ? found.documents : [...found.documents, ...found.blobs];
      // What cannot be removed now goes with the sweep at the next start; what went wrong first is what counts.
      await this.sweeper.discard({ blobs, layers: found.layers }).catch(() => {});
      throw error;
    }
  }

  async #pull(reference: Reference, options: PullOptions, found: Found): Promise<Pulled> {
    const { credentials, signal, onProgress = () => {} } = options;
    const access: Access = { credentials, signal };
    await using holds = new AsyncDisposableStack();
    const hold = async (files: Partial<Found>) => {
      found.documents.push(...(files.documents ?? []));
      found.blobs.push(...(files.blobs ?? []));
      found.layers.push(...(files.layers ?? []));
      const blobs = [...(files.documents ?? []), ...(files.blobs ?? [])];
      holds.use(await this.sweeper.hold({ blobs, layers: files.layers ?? [] }));
    };

    const target = await this.#resolve(reference, access);
    const { manifest, config, documents } = await this.#documents(reference, target, options, access, hold, () =>
      onProgress({ id: labelOf(reference), status: `Pulling from ${reference.path}` }),
    );
    const id = manifest.config.digest;
    const sources = pairs(reference, manifest, config);
    await hold({ layers: sources.map(({ diffId }) => diffId), blobs: sources.map(({ blob }) => blob.digest) });
    if (!this.records.findById(id)) await this.#bring(sources, access, onProgress);
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
  async #resolve(reference: Reference, access: Access): Promise<Kept> {
    const kept = reference.digest && (await this.content.find(reference.digest));
    if (reference.digest && kept) return { digest: reference.digest, size: kept.size, mediaType: "" };
    return this.registry.resolve(reference, access);
  }

  async #documents(
    reference: Reference,
    target: Kept,
    { platform = this.platform }: PullOptions,
    access: Access,
    hold: (files: Partial<Found>) => Promise<void>,
    onFound: () => void,
  ): Promise<{ manifest: Manifest; config: StoredConfig; documents: readonly Digest[] }> {
    await hold({ documents: [target.digest] });
    const top = parseDocument(await this.#document(reference, target, access), target.mediaType);
    onFound();
    const chosen = top.kind === "index" ? chooseManifest(top.index, platform) : target;
    await hold({ documents: [chosen.digest] });
    const document =
      top.kind === "index" ? parseDocument(await this.#document(reference, chosen, access), chosen.mediaType) : top;
    if (document.kind === "index") throw invalid("the manifest list names another manifest list for this platform");
    const { manifest } = document;
    await hold({ documents: [manifest.config.digest] });
    const config = parseConfig(await this.#configBytes(reference, manifest.config, access));
    if (config.os !== "linux")
      throw invalid(`image operating system ${JSON.stringify(config.os.slice(0, 50))} cannot be used on this platform`);
    return { manifest, config, documents: [...new Set([target.digest, chosen.digest])] };
  }

  /** Reads a manifest or index, from here if it is here. It is then here. */
  async #document(reference: Reference, { digest, size, mediaType }: Kept, access: Access): Promise<Uint8Array> {
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

  async #configBytes(repository: Reference, config: Descriptor, access: Access): Promise<Uint8Array> {
    if (config.size > largestConfig)
      throw corrupt(`Cannot read the image configuration: ${config.size} bytes, want at most ${largestConfig}`);
    const { signal } = access;
    const open = (offset: number) => this.registry.blob(repository, config, offset, access);
    const blob = await this.content.put(config, open, { signal });
    return Bun.file(blob.path).bytes();
  }

  /** Brings the layers that are missing, all at once; the first failure stops the others, and is thrown when they have stopped. */
  async #bring(layers: readonly LayerSource[], access: Access, onProgress: OnProgress): Promise<void> {
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
