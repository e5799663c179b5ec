/**
 * The images of this machine: what they are called, what they are made of, and their coming and going. The only writer of the image tables.
 */

import type { Digest } from "../base/digest.ts";
import { invalid, notFound } from "../base/errors.ts";
import type { HistoryEntry, Platform } from "../base/oci.ts";
import {
  familiarName,
  familiarReference,
  parseIdOrReference,
  type Reference,
  withDefaultTag,
} from "../base/reference.ts";
import type { Bytes } from "../base/streams.ts";
import type { Registry } from "../registry/registry.ts";
import type { ContentStore } from "../store/content.ts";
import type { Database } from "../store/database.ts";
import type { Snapshotter } from "../store/snapshot.ts";
import { addBuiltIn } from "./built-in.ts";
import { type ImageFilters, imageFilter } from "./filter.ts";
import { Intake } from "./intake.ts";
import { Loader, type LoadOptions } from "./load.ts";
import { parseConfig, type StoredConfig } from "./manifest.ts";
import { hostPlatform } from "./platform.ts";
import { type Pulled, Puller, type PullOptions } from "./pull.ts";
import { type ImageRecord, ImageRecords } from "./records.ts";
import { chainIds, type ImageUser, planRemoval, type Removed } from "./removal.ts";
import { Sweeper } from "./sweep.ts";
import { defaultTransferLimits, type TransferLimits, Transfers } from "./transfer.ts";

/** As Docker's events tell it: `id` is the actor, an image id or, for a pull, the reference. */
export interface ImageEvent {
  readonly action: "pull" | "load" | "tag" | "untag" | "delete";
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
}

/** What a container starts from. */
export interface Image {
  readonly id: Digest;
  readonly config: StoredConfig;
  /** diffIds, bottom first, as the snapshotter takes them. */
  readonly layers: readonly Digest[];
}

export interface ImageSummary {
  readonly id: Digest;
  /** Familiar, as `busybox:latest`; empty for a dangling image. */
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
  /** Seconds since 1970. */
  readonly created: number;
  /** Bytes of all layers, unpacked. */
  readonly size: number;
  readonly labels: Readonly<Record<string, string>>;
  /** How many containers use it. */
  readonly containers: number;
}

export interface ImageDetails extends Image {
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
  readonly size: number;
  /** The snapshotter's name. */
  readonly driver: string;
  readonly taggedAt?: Date;
}

export interface HistoryLine {
  /** Undefined for all but the newest line. */
  readonly id?: Digest;
  /** Seconds since 1970. */
  readonly created: number;
  readonly createdBy: string;
  readonly comment: string;
  /** Bytes; 0 for a step that made no layer. */
  readonly size: number;
  readonly tags: readonly string[];
}

const noSuchImage = (name: string) => notFound(`No such image: ${name}`);

const secondsOf = (time: string | undefined): number => {
  const parsed = Date.parse(time ?? "");
  return Number.isNaN(parsed) ? 0 : Math.floor(parsed / 1000);
};

const tagsOf = (references: readonly Reference[]): readonly string[] =>
  references.filter(({ digest }) => digest === undefined).map(familiarReference);
const digestsOf = (references: readonly Reference[]): readonly string[] =>
  references.filter(({ digest }) => digest !== undefined).map(familiarReference);
const sizeOf = ({ layers }: ImageRecord): number => layers.reduce((sum, { bytes }) => sum + bytes, 0);

export class Images {
  readonly #options: ImagesOptions;
  readonly #records: ImageRecords;
  readonly #sweeper: Sweeper;
  readonly #puller: Puller;
  readonly #intake: Intake;
  readonly #loader: Loader;
  /** Configurations by image; immutable, so never stale. */
  readonly #configs = new Map<Digest, StoredConfig>();

  constructor(options: ImagesOptions) {
    const { content, snapshotter, registry, scratch, platform = hostPlatform() } = options;
    this.#options = options;
    this.#records = new ImageRecords(options.database);
    this.#sweeper = new Sweeper(this.#records, content, snapshotter);
    const transfers = new Transfers(registry, content, snapshotter, { ...defaultTransferLimits, ...options.limits });
    this.#intake = new Intake(content, snapshotter, this.#records, this.#sweeper);
    this.#loader = new Loader(this.#intake, this.#records, scratch, platform);
    this.#puller = new Puller(registry, content, snapshotter, this.#records, this.#sweeper, transfers, platform);
  }

  /** Removes every blob and layer that no image needs, and leftovers of a load. Call it at start, after the stores have swept. */
  async sweep(): Promise<void> {
    await this.#loader.sweep();
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
    const config = await this.#config(pulled.id);
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

  /** Takes the images of an archive; see Loader.load for its errors. */
  load(tar: Bytes, options: LoadOptions = {}): Promise<void> {
    return this.#loader.load(tar, {
      ...options,
      onImage: async (id) => this.#emit("load", await this.#config(id), id, id),
    });
  }

  /**
   * Makes the image `bosun/hello:latest`, which needs no network. Idempotent.
   * @param program  a static executable for this machine
   */
  addBuiltIn(program: Uint8Array): Promise<Digest> {
    return addBuiltIn(program, this.#options.content, this.#intake, this.#sweeper);
  }

  /**
   * @param name  an id, the unique beginning of one (with or without `sha256:`), `name`, `name:tag` or `name@digest`
   * @throws      notFound, or invalid for a malformed name
   */
  async get(name: string): Promise<Image> {
    const { id, layers } = this.#find(name);
    return { id, config: await this.#config(id), layers: layers.map(({ diffId }) => diffId) };
  }

  /** @throws notFound, invalid */
  async inspect(name: string): Promise<ImageDetails> {
    const record = this.#find(name);
    return {
      ...(await this.get(record.id)),
      repoTags: tagsOf(record.references),
      repoDigests: digestsOf(record.references),
      size: sizeOf(record),
      driver: this.#options.snapshotter.name,
      ...(record.taggedAt && { taggedAt: record.taggedAt }),
    };
  }

  /** Newest first. @throws notFound for an unknown image in `before` or `since`, invalid for a malformed pattern */
  async list(filters: ImageFilters = {}): Promise<readonly ImageSummary[]> {
    const createdOf = async (name: string) => secondsOf((await this.get(name)).config.created);
    const show = await imageFilter(filters, createdOf);
    const summaries: ImageSummary[] = [];
    for (const record of this.#records.all()) {
      const { id } = record;
      const config = await this.#config(id);
      const labels = config.config?.Labels ?? {};
      const created = secondsOf(config.created);
      const references = show({ labels, created, references: record.references });
      if (!references) continue;
      const names = { repoTags: tagsOf(references), repoDigests: digestsOf(references) };
      summaries.push({
        id,
        ...names,
        created,
        size: sizeOf(record),
        labels,
        containers: this.#options.inUse(id).length,
      });
    }
    return summaries.sort((one, other) => other.created - one.created);
  }

  /** Newest first. @throws notFound, invalid */
  async history(name: string): Promise<readonly HistoryLine[]> {
    const { id, layers, references } = this.#find(name);
    const { history = [] } = await this.#config(id);
    const left = layers.map(({ bytes }) => bytes);
    const lines = history.map((entry: HistoryEntry) => ({
      created: secondsOf(entry.created),
      createdBy: entry.created_by ?? "",
      comment: entry.comment ?? "",
      size: entry.empty_layer ? 0 : (left.shift() ?? 0),
      tags: [],
    }));
    return lines.reverse().map((line, index) => (index === 0 ? { ...line, id, tags: tagsOf(references) } : line));
  }

  /** Makes a tag mean the image; it may have meant another. @throws notFound, invalid */
  async tag(name: string, target: Reference): Promise<void> {
    if (target.digest !== undefined) throw invalid("refusing to create a tag with a digest reference");
    const { id } = this.#find(name);
    const tag = withDefaultTag(target);
    this.#records.tag(tag, id, new Date());
    this.#emit("tag", await this.#config(id), id, familiarReference(tag));
  }

  /**
   * Untags, or removes the image with all that only it needs. @throws notFound, conflict in Docker's words
   * @param options.force  also when several names or stopped containers use it
   */
  async remove(name: string, options: { readonly force?: boolean } = {}): Promise<readonly Removed[]> {
    const { id } = this.#find(name);
    // An image whose configuration cannot be read can still be removed.
    const config = await this.#config(id).catch(() => undefined);
    // From here to the end of the transaction nobody else runs.
    const record = this.#find(name);
    const plan = planRemoval(record, name, this.#options.inUse(id), options.force === true);
    const blobs = this.#options.database.transaction(() => {
      this.#records.untag(plan.untag);
      return plan.deletes ? this.#records.remove(id) : [];
    });
    for (const _ of plan.untag) this.#emit("untag", config, id, id);
    const removed: Removed[] = plan.untag.map((reference) => ({ untagged: familiarReference(reference) }));
    if (!plan.deletes) return removed;
    this.#configs.delete(id);
    this.#emit("delete", config, id, id);
    const diffIds = record.layers.map(({ diffId }) => diffId);
    const gone = await this.#sweeper.discard({ blobs, layers: diffIds });
    const chain = chainIds(diffIds).filter((_, index) => gone.includes(diffIds[index] ?? id));
    return [...removed, { deleted: id }, ...chain.reverse().map((deleted) => ({ deleted }))];
  }

  #find(name: string): ImageRecord {
    const asked = parseIdOrReference(name);
    if ("id" in asked) {
      const record = this.#records.findById(asked.id);
      if (record) return record;
      throw noSuchImage(asked.id);
    }
    const record =
      this.#records.findByReference(asked.reference) ?? this.#records.findByPrefix(name.replace(/^sha256:/, ""));
    if (record) return record;
    throw noSuchImage(familiarReference(withDefaultTag(asked.reference)));
  }

  async #config(id: Digest): Promise<StoredConfig> {
    const known = this.#configs.get(id);
    if (known) return known;
    const { path } = await this.#options.content.get(id);
    const config = parseConfig(await Bun.file(path).bytes());
    this.#configs.set(id, config);
    return config;
  }

  #emit(action: ImageEvent["action"], config: StoredConfig | undefined, id: string, name: string): void {
    this.#options.emit({ action, id, name, labels: config?.config?.Labels ?? {} });
  }
}
