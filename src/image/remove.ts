/** Images that go: one by its name, or all that nobody uses. Rows first, files last. */

import { chainIds, type Digest } from "../base/digest.ts";
import type { Platform } from "../base/oci.ts";
import { familiarReference } from "../base/reference.ts";
import type { Database } from "../store/database.ts";
import { hasLabel, secondsOf } from "./filter.ts";
import type { Lookup } from "./lookup.ts";
import type { StoredConfig } from "./manifest.ts";
import type { ImageRecord, ImageRecords } from "./records.ts";
import { type ImageUser, planRemoval, type Removed } from "./removal.ts";
import { leaseMs, type Sweeper } from "./sweep.ts";

export interface RemoveOptions {
  /** Also when several names or stopped containers use it. */
  readonly force?: boolean;
  /** Only these of the platforms that the name means; all unless given. */
  readonly platforms?: readonly Platform[];
}

export interface PruneOptions {
  /** Only images without a name; else all that no container uses. */
  readonly dangling: boolean;
  /** Only images created before. */
  readonly until?: Date;
  /** `key` or `key=value`; all of them apply. */
  readonly labels: readonly string[];
  /** Images that have one of these stay. */
  readonly withoutLabels: readonly string[];
}

export interface Pruned {
  readonly removed: readonly Removed[];
  /** Bytes of layers and blobs that went. */
  readonly bytes: number;
}

export interface RemoverOptions {
  readonly database: Database;
  readonly records: ImageRecords;
  readonly lookup: Lookup;
  readonly sweeper: Sweeper;
  readonly inUse: (imageId: Digest) => readonly ImageUser[];
  readonly emit: (action: "untag" | "delete", id: Digest, config: StoredConfig | undefined) => void;
}

export class Remover {
  readonly #options: RemoverOptions;

  constructor(options: RemoverOptions) {
    this.#options = options;
  }

  /** Untags, or removes the image with all that only it needs. @throws notFound, conflict in Docker's words */
  async remove(name: string, options: RemoveOptions = {}): Promise<readonly Removed[]> {
    const { removed } = await this.#remove(name, options);
    return removed;
  }

  async #remove(name: string, { force = false, platforms }: RemoveOptions): Promise<Pruned> {
    const { lookup, database, records, inUse } = this.#options;
    const wanted = new Set((await this.#members(name, platforms)).map(({ id }) => id));
    const configs = new Map<Digest, StoredConfig | undefined>();
    // An image whose configuration cannot be read can still be removed.
    for (const id of wanted) configs.set(id, await lookup.config(id).catch(() => undefined));
    // From here to the end of the transaction nobody else runs.
    const members = lookup.all(name).filter(({ id }) => wanted.has(id));
    const plans = members.map((record) => ({ record, plan: planRemoval(record, name, inUse(record.id), force) }));
    const gone = plans.filter(({ plan }) => plan.deletes).map(({ record }) => record);
    const usage = records.layerUsage();
    const blobs = database.transaction(() => {
      for (const { record, plan } of plans) records.untag(plan.untag, record.id);
      return gone.flatMap(({ id }) => records.remove(id));
    });
    for (const { record, plan } of plans)
      for (const _ of plan.untag) this.#options.emit("untag", record.id, configs.get(record.id));
    const untagged = new Set(plans.flatMap(({ plan }) => plan.untag.map(familiarReference)));
    const deleted: Removed[] = [];
    let bytes = 0;
    for (const record of gone) {
      const layers = await this.#erase(record, configs.get(record.id), blobs);
      deleted.push({ deleted: record.id }, ...chainOf(record, layers).map((each) => ({ deleted: each })));
      for (const diffId of layers) bytes += (usage.get(diffId)?.bytes ?? 0) + (usage.get(diffId)?.blobBytes ?? 0);
    }
    return { removed: [...[...untagged].map((each) => ({ untagged: each })), ...deleted], bytes };
  }

  /** @returns the layers that went */
  async #erase(
    { id, layers }: ImageRecord,
    config: StoredConfig | undefined,
    blobs: readonly Digest[],
  ): Promise<readonly Digest[]> {
    this.#options.lookup.forget(id);
    this.#options.emit("delete", id, config);
    return this.#options.sweeper.discard({ blobs, layers: layers.map(({ diffId }) => diffId) });
  }

  async #members(name: string, platforms: RemoveOptions["platforms"]): Promise<readonly ImageRecord[]> {
    const { lookup } = this.#options;
    return platforms === undefined
      ? lookup.all(name)
      : Promise.all(platforms.map((platform) => lookup.pick(name, platform)));
  }

  /** Removes what nobody uses and the filters describe. One that is used meanwhile stays. */
  async prune(options: PruneOptions): Promise<Pruned> {
    const removed: Removed[] = [];
    let bytes = 0;
    for (const { id } of this.#options.records.all()) {
      if (!(await this.#isPrunable(id, options))) continue;
      const pruned = await this.#remove(id, { force: true });
      removed.push(...pruned.removed);
      bytes += pruned.bytes;
    }
    const { until, labels, withoutLabels } = options;
    if (!until && labels.length === 0 && withoutLabels.length === 0)
      bytes += await this.#options.sweeper.forget(new Date(Date.now() + leaseMs - freshMs));
    return { removed, bytes };
  }

  async #isPrunable(id: Digest, options: PruneOptions): Promise<boolean> {
    const { dangling, until, labels, withoutLabels } = options;
    const { lookup, records, inUse } = this.#options;
    const config = await lookup.config(id).catch(() => undefined);
    const record = records.findById(id);
    if (!record || inUse(id).length > 0 || (dangling && record.references.some(({ tag }) => tag !== undefined)))
      return false;
    const own = config?.config?.Labels ?? {};
    if (until && secondsOf(config?.created) * 1000 >= until.getTime()) return false;
    return labels.every((label) => hasLabel(own, label)) && !withoutLabels.some((label) => hasLabel(own, label));
  }
}

/** What unfinished work has brought within this time stays, though somebody prunes: the work may be going on. */
const freshMs = 60 * 60 * 1000;

/** Docker tells the layers that went by the ids of their chains, the top one first. */
const chainOf = ({ id, layers }: ImageRecord, gone: readonly Digest[]): readonly Digest[] =>
  chainIds(layers.map(({ diffId }) => diffId))
    .filter((_, index) => gone.includes(layers[index]?.diffId ?? id))
    .toReversed();
