/** Images as they are listed and inspected. Reads only. */

import { type Digest, isDigest } from "../base/digest.ts";
import type { Descriptor, HistoryEntry, Platform } from "../base/oci.ts";
import { familiarReference, type Reference } from "../base/reference.ts";
import type { ContentStore } from "../store/content.ts";
import type { Layers } from "../store/layers.ts";
import { keptDocuments } from "./documents.ts";
import { type ImageFilters, imageFilter, secondsOf } from "./filter.ts";
import type { Lookup } from "./lookup.ts";
import type { StoredConfig } from "./manifest.ts";
import { type ManifestSummary, Manifests } from "./manifests.ts";
import type { ImageRecord, ImageRecords } from "./records.ts";
import type { ImageUser } from "./removal.ts";
import { sizesOf } from "./usage.ts";

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
  /** Bytes on disk: all layers, each once, and the compressed forms that are kept of them; of every platform. */
  readonly size: number;
  /** Bytes of these that other images need, too. */
  readonly sharedSize: number;
  readonly labels: Readonly<Record<string, string>>;
  /** How many containers use it. */
  readonly containers: number;
  /** What it was made from, here, when that is still there. */
  readonly parent: Digest | undefined;
  /** What the name stands for, as it came; undefined for an image that was made here. */
  readonly descriptor: Descriptor | undefined;
  /** When asked for. */
  readonly manifests: readonly ManifestSummary[] | undefined;
}

export interface ImageDetails extends Image {
  /** What it was made from, here, when that is still there. */
  readonly parent: Digest | undefined;
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
  readonly size: number;
  /** Where its layers can be looked at, bottom first, if they can. */
  readonly directories: readonly string[] | undefined;
  /** The snapshotter's name. */
  readonly driver: string;
  readonly taggedAt?: Date;
  readonly descriptor: Descriptor | undefined;
  readonly manifests: readonly ManifestSummary[] | undefined;
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

export interface ViewOptions {
  /** Of several under one name; the first unless given. */
  readonly platform?: Platform | undefined;
  readonly manifests?: boolean;
}

const tagsOf = (references: readonly Reference[]): readonly string[] =>
  references.filter(({ digest }) => digest === undefined).map(familiarReference);
const digestsOf = (references: readonly Reference[]): readonly string[] =>
  references.filter(({ digest }) => digest !== undefined).map(familiarReference);

export class Views {
  readonly #manifests: Manifests;

  constructor(
    readonly content: ContentStore,
    readonly layers: Layers,
    readonly storageDriver: string,
    readonly records: ImageRecords,
    readonly lookup: Lookup,
    readonly inUse: (imageId: Digest) => readonly ImageUser[],
  ) {
    this.#manifests = new Manifests(content, records, lookup, inUse);
  }

  async get(name: string, platform?: Platform): Promise<Image> {
    const { id, layers } = await this.lookup.pick(name, platform);
    return { id, config: await this.lookup.config(id), layers: layers.map(({ diffId }) => diffId) };
  }

  async inspect(name: string, { platform, manifests = false }: ViewOptions = {}): Promise<ImageDetails> {
    const record = await this.lookup.pick(name, platform);
    const image = await this.get(record.id);
    return {
      ...image,
      parent: this.#parentOf(record),
      directories: await this.layers.directories(image.layers),
      repoTags: tagsOf(record.references),
      repoDigests: digestsOf(record.references),
      size: sizesOf(this.records).of(record),
      driver: this.storageDriver,
      ...(record.taggedAt && { taggedAt: record.taggedAt }),
      descriptor: await this.#descriptorOf(record),
      manifests: manifests ? await this.#manifests.of(this.#family(record)) : undefined,
    };
  }

  sizeOf(id: string): number {
    const record = isDigest(id) ? this.records.findById(id) : undefined;
    return record ? sizesOf(this.records).of(record) : 0;
  }

  /** Newest first. @throws notFound for an unknown image in `before` or `since`, invalid for a malformed pattern */
  async list(filters: ImageFilters = {}, { manifests = false }: ViewOptions = {}): Promise<readonly ImageSummary[]> {
    const createdOf = async (name: string) => secondsOf((await this.get(name)).config.created);
    const show = await imageFilter(filters, createdOf);
    const summaries: ImageSummary[] = [];
    for (const record of this.records.all()) {
      if (this.#isVariant(record)) continue;
      // One whose configuration is lost is shown, so that it can be removed.
      const config = await this.lookup.config(record.id).catch(() => undefined);
      const labels = config?.config?.Labels ?? {};
      const created = secondsOf(config?.created);
      const references = show({ labels, created, references: record.references });
      if (references) summaries.push(await this.#summary(record, { config, references, manifests }));
    }
    return summaries.sort((one, other) => other.created - one.created);
  }

  async #summary(
    record: ImageRecord,
    more: {
      readonly config: StoredConfig | undefined;
      readonly references: readonly Reference[];
      readonly manifests: boolean;
    },
  ): Promise<ImageSummary> {
    const { config, references, manifests } = more;
    const family = this.#family(record);
    const sizes = sizesOf(this.records);
    const sum = (of: (image: ImageRecord) => number) => family.reduce((total, image) => total + of(image), 0);
    return {
      id: record.id,
      repoTags: tagsOf(references),
      repoDigests: digestsOf(references),
      created: secondsOf(config?.created),
      size: sum(sizes.of),
      sharedSize: sum(sizes.shared),
      labels: config?.config?.Labels ?? {},
      parent: this.#parentOf(record),
      containers: sum(({ id }) => this.inUse(id).length),
      descriptor: manifests ? await this.#descriptorOf(record) : undefined,
      manifests: manifests && config ? await this.#manifests.of(family) : undefined,
    };
  }

  #parentOf({ parent }: ImageRecord): Digest | undefined {
    return parent && this.records.findById(parent)?.id;
  }

  /** The image, and those of other platforms that its names mean. */
  #family(record: ImageRecord): readonly ImageRecord[] {
    const isFirst = (name: Reference) => this.records.findByReference(name)?.id === record.id;
    const variants = record.references.filter(isFirst).flatMap((name) => this.records.variantsOf(name));
    return [record, ...this.lookup.members([...new Set(variants)])];
  }

  /** One that its names mean only beside others: it is shown with them. */
  #isVariant({ id, references }: ImageRecord): boolean {
    return references.length > 0 && references.every((name) => this.records.findByReference(name)?.id !== id);
  }

  async #descriptorOf({ id }: ImageRecord): Promise<Descriptor | undefined> {
    const { indexes, manifests } = await keptDocuments(this.content, this.records, id);
    return (indexes[0] ?? manifests[0])?.descriptor;
  }

  /** Newest first. @throws notFound, invalid */
  async history(name: string, platform?: Platform): Promise<readonly HistoryLine[]> {
    const { id, layers, references } = await this.lookup.pick(name, platform);
    const { history = [] } = await this.lookup.config(id);
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
}
