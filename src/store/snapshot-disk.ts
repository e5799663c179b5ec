/**
 * The snapshotters that keep layers and snapshots as files. They differ in what a layer becomes, and in how a snapshot's writable top is kept.
 *
 *   <root>/layers/…              see layer-files.ts
 *   <root>/snapshots/<key>/      snapshot.json, and the top: see top-*.ts
 *
 * A directory that starts `new-` or `rm-` is unfinished or half gone, and swept at start.
 */

import { existsSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, isDigest } from "../base/digest.ts";
import { conflict, corrupt, hasCode, invalid, kindOf, notFound } from "../base/errors.ts";
import { isObject } from "../base/objects.ts";
import type { PackOptions } from "../wasm/packer.ts";
import type { LayerFormat } from "../wasm/unpack.ts";
import { changesOf } from "./changes.ts";
import { namesIn, removeTree, removeWhole, sweepUnfinished, unmount } from "./directories.ts";
import { LayerFiles, type SnapshotterOptions } from "./layer-files.ts";
import type { MakeOptions, StagedLayer } from "./layers.ts";
import type { ExceptOptions, Mount, SnapshotOptions, Snapshotter, Tree } from "./snapshot.ts";
import type { Tops } from "./top.ts";
import { usageOf, usageOfChanges } from "./upper.ts";

interface Snapshot {
  /** From the bottom layer to the top one. */
  readonly layers: readonly Digest[];
  readonly readonly: boolean;
}

const KEY = /^(?!new-|rm-)[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/;

export class DiskSnapshotter extends LayerFiles implements Snapshotter {
  readonly #snapshots: string;
  readonly #tops: Tops;
  /** Records that were read or written: they never change. */
  readonly #known = new Map<string, Snapshot>();

  /**
   * @param format  what new layers become
   * @param tops    how snapshots are kept
   */
  constructor(
    readonly name: string,
    format: LayerFormat,
    tops: Tops,
    options: SnapshotterOptions,
  ) {
    super(format, options);
    this.#tops = tops;
    this.#snapshots = join(options.root, "snapshots");
  }

  async prepare(key: string, layers: readonly Digest[], options: SnapshotOptions = {}): Promise<void> {
    if (!KEY.test(key))
      throw invalid(`Cannot make snapshot ${JSON.stringify(key)}: it cannot be the name of a directory`);
    await using _ = await this.locks.acquire(key);
    await this.#require(key, layers);
    const directory = join(this.#snapshots, `new-${key}`);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => removeTree(this.options.workers, directory));
    await removeTree(this.options.workers, directory);
    // Others may look at a container's changes, but not through the layers' own directory.
    await mkdir(directory, { recursive: true, mode: 0o711 });
    await this.#tops.make(directory, { layers, open: () => this.view(layers, []), sizeBytes: options.sizeBytes });
    const snapshot: Snapshot = { layers, readonly: options.readonly ?? false };
    await writeFile(join(directory, "snapshot.json"), JSON.stringify(snapshot));
    await this.#publish(key, snapshot, directory);
    undo.move();
  }

  /** @throws notFound for a layer that is missing, conflict when the key is taken */
  async #require(key: string, layers: readonly Digest[]): Promise<void> {
    for (const diffId of layers)
      if (!(await this.has(diffId))) throw notFound(`Cannot make snapshot ${key}: there is no layer ${diffId}`);
    if (existsSync(this.#snapshot(key))) throw conflict(`Cannot make snapshot ${key}: it exists`);
  }

  /** From here on its layers stay. */
  async #publish(key: string, snapshot: Snapshot, directory: string): Promise<void> {
    await using _ = await this.locks.acquire("");
    await this.#require(key, snapshot.layers);
    await rename(directory, this.#snapshot(key));
    this.#known.set(key, snapshot);
  }

  #snapshot(key: string): string {
    return join(this.#snapshots, key);
  }

  async #read(key: string): Promise<Snapshot> {
    const known = this.#known.get(key);
    if (known) return known;
    if (!KEY.test(key)) throw notFound(`There is no snapshot ${JSON.stringify(key)}`);
    const path = join(this.#snapshot(key), "snapshot.json");
    const text = await readFile(path, "utf8").catch((error: unknown) => {
      throw hasCode(error, "ENOENT") ? notFound(`There is no snapshot ${key}`) : error;
    });
    const snapshot = parseSnapshot(path, text);
    this.#known.set(key, snapshot);
    return snapshot;
  }

  async mounts(key: string, target: string): Promise<readonly Mount[]> {
    const { layers, readonly } = await this.#read(key);
    if (!existsSync(this.#snapshot(key))) throw notFound(`There is no snapshot ${key}`); // gone behind our back
    const parts = this.#tops.needsLayers ? await Promise.all(layers.map((diffId) => this.layerMount(diffId))) : [];
    const lower = parts.map((part) => part.lower).reverse();
    const shared = parts.flatMap(({ mount }) => (mount === undefined ? [] : [mount]));
    return [...shared, ...this.#tops.mounts(this.#snapshot(key), lower, target, readonly)];
  }

  #top(key: string, { except }: ExceptOptions, base: Tree | undefined): PackOptions {
    return { ...this.#tops.tree(this.#snapshot(key)), base: base?.path, except };
  }

  async *changes(key: string, options: ExceptOptions = {}): ReturnType<Snapshotter["changes"]> {
    const { layers } = await this.#read(key);
    using base = await this.view(layers, []);
    yield* changesOf(this.#top(key, options, base));
  }

  async commit(key: string, options: ExceptOptions & MakeOptions = {}): Promise<StagedLayer> {
    const { layers } = await this.#read(key);
    using base = await this.view(layers, []);
    const top = this.#top(key, options, base);
    return await this.make((place) => this.options.workers.pack({ ...place, ...top }, options));
  }

  async read(key: string, under?: string): Promise<Tree> {
    const { layers } = await this.#read(key);
    const { root, whole } = this.#tops.tree(this.#snapshot(key));
    const tree = await this.view(whole ? [] : layers, [{ lower: root }], under);
    if (tree === undefined) throw notFound(`There is no snapshot ${key}`);
    return tree;
  }

  async usage(key: string): Promise<{ readonly bytes: number; readonly inodes: number }> {
    await this.#read(key);
    const { root, whole } = this.#tops.tree(this.#snapshot(key));
    return whole ? usageOfChanges(root, this.changes(key)) : usageOf(root);
  }

  async removeSnapshot(key: string): Promise<void> {
    if (!KEY.test(key)) return;
    await using later = new AsyncDisposableStack();
    await using _ = await this.locks.acquire("");
    this.#known.delete(key);
    removeWhole(this.options.workers, later, this.#snapshots, key);
  }

  async removeLayer(diffId: Digest): Promise<void> {
    await using later = new AsyncDisposableStack();
    await using _ = await this.locks.acquire("");
    for await (const [key, { layers }] of this.#records())
      if (layers.includes(diffId)) throw conflict(`Cannot remove layer ${diffId}: snapshot ${key} uses it`);
    await this.#tops.dropped(diffId, later);
    await this.dropLayer(diffId, later);
  }

  async *#records(): AsyncIterable<readonly [key: string, snapshot: Snapshot]> {
    for (const key of await namesIn(this.#snapshots)) {
      const snapshot = KEY.test(key) ? await this.#read(key).catch(ifBroken) : undefined;
      if (snapshot) yield [key, snapshot];
    }
  }

  async release(running: ReadonlySet<string>): Promise<void> {
    await using _ = await this.locks.acquire("");
    const mounts = await this.mountedLayers();
    const broken = new Set<string>();
    for (const key of running) await this.#read(key).catch(() => broken.add(key));
    // From here on nobody else runs: a container that is about to start is in `running`, or has yet to mount what it needs.
    const needed = new Set<string>();
    for (const key of running)
      for (const diffId of this.#known.get(key)?.layers ?? []) needed.add(this.layerTarget(diffId));
    if ([...running].some((key) => !this.#known.has(key) && !broken.has(key))) return; // one came while we looked
    for (const mount of mounts) if (!needed.has(mount)) unmount(mount);
  }

  async layersOf(key: string): Promise<readonly Digest[]> {
    return (await this.#read(key)).layers;
  }

  async *listSnapshots(): AsyncIterable<string> {
    for (const key of await namesIn(this.#snapshots)) if (KEY.test(key)) yield key;
  }

  async sweep(owned?: ReadonlySet<string>): Promise<void> {
    await sweepUnfinished(this.options.workers, this.#snapshots);
    for (const key of owned ? await namesIn(this.#snapshots) : []) if (!owned?.has(key)) await this.removeSnapshot(key);
    await this.#tops.sweep();
    await this.sweepLayers();
  }
}

/** A snapshot that somebody has damaged cannot be mounted, so it holds nothing; it must not be in the way of all others. */
function ifBroken(error: unknown): undefined {
  if (kindOf(error) !== "corrupt" && kindOf(error) !== "notFound") throw error;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function parseSnapshot(path: string, text: string): Snapshot {
  const value = parsed(text);
  const { layers, readonly } = isObject(value) ? value : {};
  if (Array.isArray(layers) && layers.every(isDigest) && typeof readonly === "boolean") return { layers, readonly };
  throw corrupt(`Cannot read ${path}: it is not a snapshot's record`);
}
