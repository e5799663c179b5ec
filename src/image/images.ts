/**
 * The images of this machine: what they are called, what they are made of, and their coming and going. The room's entry; each way of coming and
 * going is a file of its own.
 */

import type { Digest } from "../base/digest.ts";
import { invalid } from "../base/errors.ts";
import type { Problem } from "../base/finding.ts";
import type { Platform } from "../base/oci.ts";
import { familiarName, familiarReference, type Reference, withDefaultTag } from "../base/reference.ts";
import type { Bytes } from "../base/streams.ts";
import { Proxies, type ProxySettings } from "../registry/proxies.ts";
import type { Registry } from "../registry/registry.ts";
import type { ContentStore } from "../store/content.ts";
import type { Database } from "../store/database.ts";
import type { Snapshotter } from "../store/snapshot.ts";
import type { CompressionMethod } from "../wasm/compress.ts";
import { Artifacts } from "./artifacts.ts";
import { addBuiltIn } from "./built-in.ts";
import { Committer, type MakeLayer, type NewImage } from "./commit.ts";
import { type BombLimits, defaultBombLimits } from "./decompression.ts";
import { openUrl } from "./download.ts";
import type { ImageFilters } from "./filter.ts";
import { ImageChecker } from "./fsck.ts";
import { Importer, type ImportOptions } from "./import.ts";
import { Intake } from "./intake.ts";
import { type Compress, LayerBlobs } from "./layer-blobs.ts";
import { Loader, type LoadOptions } from "./load.ts";
import { Lookup } from "./lookup.ts";
import type { StoredConfig } from "./manifest.ts";
import { hostPlatform } from "./platform.ts";
import type { OnProgress } from "./progress.ts";
import { type Pulled, Puller, type PullOptions } from "./pull.ts";
import { Pusher, type PushOptions } from "./push.ts";
import { Receiver } from "./receive.ts";
import { ImageRecords } from "./records.ts";
import type { ImageUser, Removed } from "./removal.ts";
import { type Pruned, type PruneOptions, type RemoveOptions, Remover } from "./remove.ts";
import { Repositories } from "./repositories.ts";
import { Saver, savedBy } from "./save.ts";
import { Sweeper } from "./sweep.ts";
import { defaultTransferLimits, type TransferLimits, Transfers } from "./transfer.ts";
import { type UploadLimits, Uploads } from "./uploads.ts";
import { diskBytes } from "./usage.ts";
import {
  type HistoryLine,
  type Image,
  type ImageDetails,
  type ImageSummary,
  type ViewOptions,
  Views,
} from "./views.ts";

export type { HistoryLine, Image, ImageDetails, ImageSummary } from "./views.ts";

/** As Docker's events tell it: `id` is the actor, an image id or, for a pull, the reference. */
export interface ImageEvent {
  readonly action: "create" | "pull" | "push" | "load" | "import" | "save" | "tag" | "untag" | "delete";
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface ImagesOptions {
  readonly database: Database;
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
  readonly registry: Registry;
  readonly emit: (event: ImageEvent) => void;
  /** Containers made from an image. */
  readonly inUse: (imageId: Digest) => readonly ImageUser[];
  /** A folder on the disk of the stores, in which archives are spooled; made when missing. */
  readonly scratch: string;
  /** The machine's own unless given. */
  readonly platform?: Platform;
  readonly limits?: Partial<TransferLimits>;
  /** On the way to a URL that is imported; the environment's unless given. */
  readonly proxies?: Partial<ProxySettings>;
  /** Of archives and tars that are brought. */
  readonly bombs?: Partial<BombLimits>;
  readonly compress: Compress;
  readonly maxConcurrentUploads: number;
  /** Of what is pushed to this engine. */
  readonly uploadLimits?: Partial<UploadLimits>;
  /** Of layers that have to be compressed for a push. */
  readonly pushCompression: CompressionMethod;
}

export class Images {
  readonly #options: ImagesOptions;
  readonly #records: ImageRecords;
  readonly #sweeper: Sweeper;
  readonly #lookup: Lookup;
  readonly #views: Views;
  readonly #puller: Puller;
  readonly #intake: Intake;
  readonly #loader: Loader;
  readonly #saver: Saver;
  readonly #committer: Committer;
  readonly #importer: Importer;
  readonly #proxies: Proxies;
  readonly #remover: Remover;
  readonly #layerBlobs: LayerBlobs;
  readonly #pusher: Pusher;
  /** This engine's images as a registry: what there is, what comes, and what is on its way. */
  readonly repositories: Repositories;
  readonly receiver: Receiver;
  readonly uploads: Uploads;

  constructor(options: ImagesOptions) {
    const { database, content, snapshotter, registry, inUse, scratch, platform = hostPlatform() } = options;
    this.#options = options;
    const bombs = { ...defaultBombLimits, ...options.bombs };
    const records = new ImageRecords(database, platform);
    const sweeper = new Sweeper(records, content, snapshotter);
    const lookup = new Lookup(records, content);
    const transfers = new Transfers(registry, content, snapshotter, { ...defaultTransferLimits, ...options.limits });
    this.#records = records;
    this.#sweeper = sweeper;
    this.#lookup = lookup;
    this.#views = new Views(content, snapshotter, snapshotter.name, records, lookup, inUse);
    this.#intake = new Intake(content, snapshotter, records, sweeper);
    this.#loader = new Loader(this.#intake, records, snapshotter, scratch, bombs);
    this.#puller = new Puller(registry, content, snapshotter, records, sweeper, transfers, platform);
    this.#saver = new Saver(content, snapshotter, records, sweeper);
    this.#committer = new Committer(content, snapshotter, records, sweeper);
    this.#layerBlobs = new LayerBlobs(content, snapshotter, records, sweeper, options.compress, scratch);
    this.#pusher = new Pusher({
      ...{ registry, content, records, lookup, sweeper, blobs: this.#layerBlobs },
      maxConcurrentUploads: options.maxConcurrentUploads,
      compression: options.pushCompression,
    });
    this.#proxies = new Proxies(options.proxies);
    this.#importer = new Importer(this.#committer, snapshotter, scratch, bombs);
    const emit = (action: "untag" | "delete", id: Digest, config: StoredConfig | undefined) =>
      this.#emit(action, config, id, id);
    this.#remover = new Remover({ database, records, lookup, sweeper, inUse, emit });
    const stores = { content, records, lookup, sweeper, blobs: this.#layerBlobs, artifacts: new Artifacts(database) };
    this.repositories = new Repositories({ ...stores, remover: this.#remover });
    this.uploads = new Uploads(content, records, sweeper, scratch, options.uploadLimits);
    this.receiver = new Receiver({
      ...stores,
      intake: this.#intake,
      onImage: async (id) => this.#emit("load", await lookup.config(id), id, id),
    });
  }

  /** Removes every blob and layer that no image needs, and leftovers of a load. Call it at start, after the stores have swept. */
  async sweep(): Promise<void> {
    await this.#loader.sweep();
    await this.#layerBlobs.sweep();
    await this.uploads.sweep();
    await this.#sweeper.sweep();
  }

  /** Whether an image, or a pull that broke off, needs a blob. */
  wants(digest: Digest): boolean {
    return this.#records.needsBlob(digest);
  }

  /** A container that used the image is gone: if the image is, too, nobody needs its layers any more. */
  async released(id: Digest): Promise<void> {
    if (!this.#records.findById(id)) await this.#sweeper.sweep();
  }

  /** Brings an image; see Puller.pull for its errors. */
  async pull(reference: Reference, options: PullOptions = {}): Promise<Pulled> {
    const pulled = await this.#puller.pull(reference, options);
    const config = await this.#lookup.config(pulled.id);
    const id = familiarReference(pulled.reference);
    this.#emit("pull", config, id, familiarName(pulled.reference));
    return pulled;
  }

  /** Brings every tag of a repository, one after the other. */
  async pullAll(repository: Reference, options: PullOptions = {}): Promise<readonly Pulled[]> {
    const { domain, path } = repository;
    const tags = await this.#options.registry.tags(repository, options);
    const pulled: Pulled[] = [];
    for (const tag of tags) pulled.push(await this.pull({ domain, path, tag }, options));
    return pulled;
  }

  /** Sends one tag, or every tag of a repository; see Pusher.push for its errors. */
  push(reference: Reference, options: PushOptions = {}): Promise<void> {
    const { domain, path } = reference;
    return this.#pusher.push(reference, {
      ...options,
      onPushed: (pushed) => {
        const name = { domain, path, tag: pushed.tag };
        this.#emit("push", undefined, familiarReference(name), familiarName(name));
        options.onPushed?.(pushed);
      },
    });
  }

  /** Takes the images of an archive; see Loader.load for its errors. */
  load(tar: Bytes, options: LoadOptions = {}): Promise<void> {
    return this.#loader.load(tar, {
      ...options,
      onImage: async (id) => this.#emit("load", await this.#lookup.config(id), id, id),
    });
  }

  /**
   * @param names      as in `find`; a repository without a tag means all of its tags
   * @param platforms  of several under one name; all unless given
   * @returns          an archive; see Saver.save. @throws notFound, invalid, corrupt
   */
  async save(names: readonly string[], platforms?: readonly Platform[]): Promise<Bytes> {
    const saved = await savedBy(this.#lookup, names, platforms);
    const archive = await this.#saver.save(saved);
    for (const { record } of saved) this.#emit("save", await this.#lookup.config(record.id), record.id, record.id);
    return archive;
  }

  /** The body of a URL, for `import`; see openUrl in download.ts. */
  download(source: string, onProgress: OnProgress, signal: AbortSignal | undefined): Promise<Bytes> {
    return openUrl(source, this.#proxies, onProgress, signal);
  }

  /** Makes an image of a tar of a root file system; see Importer.import. */
  async import(tar: Bytes, options: ImportOptions): Promise<Digest> {
    const id = await this.#importer.import(tar, options);
    const name = options.reference ? familiarReference(options.reference) : id;
    this.#emit("import", await this.#lookup.config(id), id, name);
    return id;
  }

  /** Makes an image of another and a layer; see Committer.commit. */
  async commit(image: NewImage, makeLayer: MakeLayer): Promise<Digest> {
    const id = await this.#committer.commit(image, makeLayer);
    const config = await this.#lookup.config(id);
    this.#emit("create", config, id, id);
    if (image.reference) this.#emit("tag", config, id, familiarReference(image.reference));
    return id;
  }

  /**
   * Makes the image `bosun/hello:latest`, which needs no network. Idempotent.
   * @param program  a static executable for this machine
   */
  addBuiltIn(program: Uint8Array): Promise<Digest> {
    return addBuiltIn(program, this.#options.content, this.#intake, this.#sweeper);
  }

  /** @param name  see Lookup.find. @param platform  of several under one name. @throws notFound, invalid */
  get(name: string, platform?: Platform): Promise<Image> {
    return this.#views.get(name, platform);
  }

  /** @throws notFound, invalid */
  inspect(name: string, options: ViewOptions = {}): Promise<ImageDetails> {
    return this.#views.inspect(name, options);
  }

  /** Bytes of an image's layers; 0 for one that was removed by force while a container still uses it. */
  sizeOf(id: string): number {
    return this.#views.sizeOf(id);
  }

  /** See Lookup.descendants. */
  descendants(name: string): ReadonlySet<Digest> {
    return this.#lookup.descendants(name);
  }

  /** Newest first. @throws notFound, invalid */
  list(filters: ImageFilters = {}, options: ViewOptions = {}): Promise<readonly ImageSummary[]> {
    return this.#views.list(filters, options);
  }

  /** Newest first. @throws notFound, invalid */
  history(name: string, platform?: Platform): Promise<readonly HistoryLine[]> {
    return this.#views.history(name, platform);
  }

  /** What is wrong with images and their files. @param options.full  reads every byte */
  check(options: { readonly full: boolean }): AsyncIterable<Problem> {
    const { database, content, snapshotter } = this.#options;
    const stores = { database, content, layers: snapshotter, snapshots: snapshotter };
    return new ImageChecker({ ...stores, records: this.#records, sweeper: this.#sweeper }).check(options);
  }

  /** Bytes of all layers and blobs. */
  diskBytes(): Promise<number> {
    return diskBytes(this.#options.content, this.#options.snapshotter);
  }

  /** Makes a tag mean what the name means; it may have meant something else. @throws notFound, invalid */
  async tag(name: string, target: Reference): Promise<void> {
    if (target.digest !== undefined) throw invalid("refusing to create a tag with a digest reference");
    const ids = this.#lookup.all(name).map(({ id }) => id);
    const tag = withDefaultTag(target);
    this.#records.tag(tag, ids, new Date());
    const { id } = this.#lookup.find(name);
    this.#emit("tag", await this.#lookup.config(id), id, familiarReference(tag));
  }

  /** Untags, or removes the image with all that only it needs. @throws notFound, conflict in Docker's words */
  remove(name: string, options: RemoveOptions = {}): Promise<readonly Removed[]> {
    return this.#remover.remove(name, options);
  }

  /** Removes images that nobody uses. */
  prune(options: PruneOptions): Promise<Pruned> {
    return this.#remover.prune(options);
  }

  #emit(action: ImageEvent["action"], config: StoredConfig | undefined, id: string, name: string): void {
    this.#options.emit({ action, id, name, labels: config?.config?.Labels ?? {} });
  }
}
