/** From what a user writes to the image that is meant. Reads only. */

import type { Digest } from "../base/digest.ts";
import { notFound } from "../base/errors.ts";
import type { Platform } from "../base/oci.ts";
import { familiarReference, parseIdOrReference, type Reference, withDefaultTag } from "../base/reference.ts";
import type { ContentStore } from "../store/content.ts";
import { parseConfig, type StoredConfig } from "./manifest.ts";
import { formatPlatform, rank } from "./platform.ts";
import type { ImageRecord, ImageRecords } from "./records.ts";

const noSuchImage = (name: string) => notFound(`No such image: ${name}`);

export class Lookup {
  /** Configurations by image; immutable, so never stale. */
  readonly #configs = new Map<Digest, StoredConfig>();

  constructor(
    readonly records: ImageRecords,
    readonly content: ContentStore,
  ) {}

  /**
   * @param name  an id, the unique beginning of one (with or without `sha256:`), `name`, `name:tag` or `name@digest`
   * @returns     of several platforms under one name, the machine's own or else the first that came
   * @throws      notFound, or invalid for a malformed name
   */
  find(name: string): ImageRecord {
    const asked = parseIdOrReference(name);
    if ("id" in asked) {
      const record = this.records.findById(asked.id) ?? this.#byManifest(asked.id);
      if (record) return record;
      throw noSuchImage(asked.id);
    }
    const record =
      this.records.findByReference(asked.reference) ?? this.records.findByPrefix(name.replace(/^sha256:/, ""));
    if (record) return record;
    throw noSuchImage(familiarReference(withDefaultTag(asked.reference)));
  }

  /** A manifest's digest names its image, as it does where images are named by their manifests. */
  #byManifest(digest: Digest): ImageRecord | undefined {
    return this.members(this.records.ownersOf(digest)).at(0);
  }

  /** @returns the images of these ids that exist */
  members(ids: readonly Digest[]): readonly ImageRecord[] {
    return ids.flatMap((id) => this.records.findById(id) ?? []);
  }

  /** @returns all platforms that a name means, the one of `find` first; an id means one. @throws as find */
  all(name: string): readonly ImageRecord[] {
    const first = this.find(name);
    const asked = parseIdOrReference(name);
    const isName = "reference" in asked && this.records.findByReference(asked.reference) !== undefined;
    if (!isName) return [first];
    return [first, ...this.members(this.records.variantsOf(asked.reference))];
  }

  /** @returns of the platforms that a name means, the one that suits best. @throws as find, notFound also when none suits */
  async pick(name: string, platform: Platform | undefined): Promise<ImageRecord> {
    const found = this.all(name);
    const [first] = found;
    if (first && platform === undefined) return first;
    const ranked = await Promise.all(
      found.map(async (record) => ({ record, suits: platform && rank(platform, await this.config(record.id)) })),
    );
    const suitable = ranked.flatMap(({ record, suits }) => (suits === undefined ? [] : [{ record, suits }]));
    const best = suitable.toSorted((one, other) => one.suits - other.suits).at(0);
    if (best) return best.record;
    const wanted = platform === undefined ? "" : ` (${formatPlatform(platform)})`;
    throw notFound(`image with reference ${name} was found but does not provide the specified platform${wanted}`);
  }

  /** @returns the ids of an image and of all that begin with its layers and have more; none when there is no such image */
  descendants(name: string): ReadonlySet<Digest> {
    const base = this.#ifThere(name);
    if (!base) return new Set();
    const isBelow = ({ layers }: ImageRecord) =>
      layers.length > base.layers.length && base.layers.every(({ diffId }, at) => layers[at]?.diffId === diffId);
    return new Set([base, ...this.records.all().filter(isBelow)].map(({ id }) => id));
  }

  #ifThere(name: string): ImageRecord | undefined {
    try {
      return this.find(name);
    } catch {
      return undefined; // or it is no name at all
    }
  }

  /** @returns every tag of a repository, sorted */
  tagsOf({ domain, path }: Reference): readonly Reference[] {
    const isTag = (one: Reference) => one.domain === domain && one.path === path && one.digest === undefined;
    const names = this.records.all().flatMap(({ references }) => references.filter(isTag));
    const byName = new Map(names.map((tag) => [familiarReference(tag), tag]));
    return [...byName.keys()].toSorted().flatMap((name) => byName.get(name) ?? []);
  }

  /** @throws corrupt, notFound */
  async config(id: Digest): Promise<StoredConfig> {
    const known = this.#configs.get(id);
    if (known) return known;
    const { path } = await this.content.get(id);
    const config = parseConfig(await Bun.file(path).bytes());
    this.#configs.set(id, config);
    return config;
  }

  /** The image is gone. */
  forget(id: Digest): void {
    this.#configs.delete(id);
  }
}
