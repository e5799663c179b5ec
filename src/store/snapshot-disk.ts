/**
 * What the snapshotters that keep layers and snapshots as files have in common.
 *
 *   <root>/layers/<diffId>/      tar, and erofs or fs/: see wasm/unpack.ts; settled: see settling.ts
 *   <root>/boot                  which run of the kernel the layers were last used in
 *   <root>/snapshots/<key>/      snapshot.json; diff/ and work/ of its overlay
 *   <runRoot>/layers/<diffId>    where a layer of format `erofs` is mounted, once for all containers
 *
 * A directory that starts `new-` or `rm-` is unfinished or half gone, and swept at start.
 */

import { constants, rmdirSync } from "node:fs";
import { access, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, hexOf, isDigest } from "../base/digest.ts";
import { conflict, corrupt, hasCode, ifMissing, invalid, kindOf, messageOf, notFound } from "../base/errors.ts";
import { Locks } from "../base/lock.ts";
import { mountsBelow } from "../base/mountinfo.ts";
import { detachMount } from "../base/mounts.ts";
import { isObject } from "../base/objects.ts";
import type { LayerFormat, UnpackJob } from "../wasm/unpack.ts";
import type { Workers } from "../wasm/workers.ts";
import { changesOf } from "./changes.ts";
import { type LayerFault, layerFault } from "./layer-check.ts";
import { SETTLED, Settling } from "./settling.ts";
import type { ExceptOptions, Mount, NewLayerOptions, Snapshotter, Tree, UnpackOptions } from "./snapshot.ts";
import { diskUsageOf, usageOf } from "./upper.ts";
import { type Lower, openView } from "./view.ts";

export interface SnapshotterOptions {
  /** Directory on a disk that overlay can have its upper directory on. */
  readonly root: string;
  /** Directory for mounts; gone after a reboot. */
  readonly runRoot: string;
  readonly workers: Workers;
  /** Most bytes that a layer's tar may have. Default: 64 GiB. */
  readonly maxLayerBytes?: number;
  /** Told of damage that was found, and of a disk that refuses to sync. */
  readonly warn?: (message: string) => void;
}

interface Snapshot {
  /** From the bottom layer to the top one. */
  readonly layers: readonly Digest[];
  readonly readonly: boolean;
}

/** Where and how a Worker makes a layer. */
type LayerPlace = Pick<UnpackJob, "directory" | "format" | "maxTarBytes">;

const MAX_LAYER_BYTES = 64 * 2 ** 30;
const KEY = /^(?!new-|rm-)[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/;

export class DiskSnapshotter implements Snapshotter {
  readonly #layers: string;
  readonly #snapshots: string;
  readonly #mounts: string;
  readonly #options: SnapshotterOptions;
  readonly #locks = new Locks();
  readonly #unpacking = new Map<Digest, Promise<void>>();
  readonly #settling: Settling;
  /** Records that were read or written: they never change. */
  readonly #known = new Map<string, Snapshot>();
  /** Bytes of layers on disk: they do not change. */
  readonly #layerSizes = new Map<Digest, number>();

  /** @param format  what new layers become; those that are there are used in the format that they have */
  constructor(
    readonly name: string,
    readonly format: LayerFormat,
    options: SnapshotterOptions,
  ) {
    this.#options = options;
    this.#layers = join(options.root, "layers");
    this.#snapshots = join(options.root, "snapshots");
    this.#mounts = join(options.runRoot, "layers");
    this.#settling = new Settling({
      directory: this.#layers,
      bootFile: join(options.root, "boot"),
      onFailure: (reason) => options.warn?.(`Cannot make a layer durable: ${reason}`),
    });
  }

  has(diffId: Digest): Promise<boolean> {
    return exists(this.#layer(diffId));
  }

  #layer(diffId: Digest): string {
    return join(this.#layers, hexOf(diffId));
  }

  /** Of two callers with one diffId the second waits for the first, whose progress and signal count. */
  unpack(blobPath: string, diffId: Digest, options: UnpackOptions = {}): Promise<void> {
    const running = this.#unpacking.get(diffId);
    if (running !== undefined) return running;
    const unpacking = this.#unpack(blobPath, diffId, options).finally(() => this.#unpacking.delete(diffId));
    this.#unpacking.set(diffId, unpacking);
    return unpacking;
  }

  async #unpack(blob: string, diffId: Digest, options: UnpackOptions): Promise<void> {
    if (await this.has(diffId)) return;
    await this.#make(async (place) => {
      const { arriving, given } = options;
      const job = { ...place, blob, diffId, given, arrival: arriving?.memory, blobBytes: arriving?.size };
      await this.#options.workers.unpack(job, options);
      return diffId;
    });
  }

  async ingest(blob: string, options: NewLayerOptions = {}): Promise<Digest> {
    return await this.#makeNew(options, (place) =>
      this.#options.workers.unpack({ ...place, blob, given: options.given }, options),
    );
  }

  async commit(key: string, options: ExceptOptions & NewLayerOptions = {}): Promise<Digest> {
    const { except } = options;
    using base = await this.#below(await this.#read(key));
    const tree = { root: join(this.#snapshot(key), "diff"), base: base?.path, except };
    return await this.#makeNew(options, (place) => this.#options.workers.pack({ ...place, ...tree }, options));
  }

  /** Makes a layer whose diffId only its making tells. */
  async #makeNew(
    { onDiffId }: NewLayerOptions,
    work: (place: LayerPlace) => Promise<{ readonly diffId: Digest }>,
  ): Promise<Digest> {
    const made = await this.#make(async (place) => {
      const { diffId } = await work(place);
      await onDiffId?.(diffId);
      return diffId;
    });
    await this.#settling.settleNow(hexOf(made));
    return made;
  }

  /**
   * Makes a layer in a directory that then gets the layer's name.
   * @param fill  makes what belongs into the directory. @returns the layer's diffId
   */
  async #make(fill: (place: LayerPlace) => Promise<Digest>): Promise<Digest> {
    const directory = join(this.#layers, `new-${crypto.randomUUID()}`);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => rm(directory, { recursive: true, force: true }));
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const maxTarBytes = this.#options.maxLayerBytes ?? MAX_LAYER_BYTES;
    const diffId = await fill({ directory, format: this.format, maxTarBytes });
    if (await this.has(diffId)) return diffId;
    try {
      await rename(directory, this.#layer(diffId));
      this.#settling.add(hexOf(diffId));
    } catch (error) {
      if (!(await this.has(diffId))) throw error; // another call has made the same one
    }
    return diffId;
  }

  async prepare(key: string, layers: readonly Digest[], options: { readonly readonly?: boolean } = {}): Promise<void> {
    if (!KEY.test(key))
      throw invalid(`Cannot make snapshot ${JSON.stringify(key)}: it cannot be the name of a directory`);
    await using _ = await this.#locks.acquire("");
    for (const diffId of layers)
      if (!(await this.has(diffId))) throw notFound(`Cannot make snapshot ${key}: there is no layer ${diffId}`);
    if (await exists(this.#snapshot(key))) throw conflict(`Cannot make snapshot ${key}: it exists`);
    const directory = join(this.#snapshots, `new-${key}`);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => rm(directory, { recursive: true, force: true }));
    await rm(directory, { recursive: true, force: true });
    // Others may look at a container's changes, but not through the layers' own directory.
    await mkdir(directory, { recursive: true, mode: 0o711 });
    await mkdir(join(directory, "diff"), { mode: 0o755 });
    await mkdir(join(directory, "work"), { mode: 0o700 });
    const snapshot: Snapshot = { layers, readonly: options.readonly ?? false };
    await writeFile(join(directory, "snapshot.json"), JSON.stringify(snapshot));
    await rename(directory, this.#snapshot(key));
    undo.move();
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
    const parts = await Promise.all(layers.map((diffId) => this.#layerMount(diffId)));
    const lower = parts.map((part) => part.lower).reverse();
    const directory = this.#snapshot(key);
    const upper = join(directory, "diff");
    const work = join(directory, "work");
    const shared = parts.flatMap(({ mount }) => (mount === undefined ? [] : [mount]));
    if (layers.length === 0) return [{ type: "bind", source: upper, target, readonly }];
    // An overlay wants two directories: under a single layer, an empty one.
    if (readonly) return [...shared, { type: "overlay", lower: [...lower, upper], target }];
    return [...shared, { type: "overlay", lower, upper, work, target }];
  }

  async #layerMount(diffId: Digest): Promise<{ lower: string; mount?: Mount }> {
    const directory = this.#layer(diffId);
    const index = join(directory, "erofs");
    if (!(await exists(index))) return { lower: join(directory, "fs") };
    const target = join(this.#mounts, hexOf(diffId));
    return { lower: target, mount: { type: "layer", index, device: join(directory, "tar"), target } };
  }

  /** @returns the layers merged; undefined when there are none */
  #below({ layers }: Snapshot): Promise<Tree | undefined> {
    return this.#view(layers, []);
  }

  async #view(layers: readonly Digest[], top: readonly Lower[]): Promise<Tree | undefined> {
    await using _ = await this.#locks.acquire(""); // no shared mount goes
    const [bottom, ...others] = [...(await Promise.all(layers.map((diffId) => this.#layerMount(diffId)))), ...top];
    const mounts = new Set(await mountsBelow(this.#mounts));
    return bottom && openView(bottom, others, (target) => mounts.has(target));
  }

  async *changes(key: string, { except }: ExceptOptions = {}): ReturnType<Snapshotter["changes"]> {
    using base = await this.#below(await this.#read(key));
    yield* changesOf({ root: join(this.#snapshot(key), "diff"), base: base?.path, except });
  }

  async read(key: string): Promise<Tree> {
    const { layers } = await this.#read(key);
    const tree = await this.#view(layers, [{ lower: join(this.#snapshot(key), "diff") }]);
    if (tree === undefined) throw notFound(`There is no snapshot ${key}`);
    return tree;
  }

  async usage(key: string): Promise<{ readonly bytes: number; readonly inodes: number }> {
    await this.#read(key);
    return usageOf(join(this.#snapshot(key), "diff"));
  }

  async removeSnapshot(key: string): Promise<void> {
    if (!KEY.test(key)) return;
    await using _ = await this.#locks.acquire("");
    this.#known.delete(key);
    await remove(this.#snapshots, key);
  }

  async removeLayer(diffId: Digest): Promise<void> {
    await using _ = await this.#locks.acquire("");
    for await (const [key, { layers }] of this.#records())
      if (layers.includes(diffId)) throw conflict(`Cannot remove layer ${diffId}: snapshot ${key} uses it`);
    await this.#unmount(hexOf(diffId));
    this.#layerSizes.delete(diffId);
    await remove(this.#layers, hexOf(diffId));
  }

  async *#records(): AsyncIterable<readonly [key: string, snapshot: Snapshot]> {
    for (const key of await names(this.#snapshots)) {
      const snapshot = KEY.test(key) ? await this.#read(key).catch(ifBroken) : undefined;
      if (snapshot) yield [key, snapshot];
    }
  }

  async #unmount(hex: string): Promise<void> {
    const target = join(this.#mounts, hex);
    for (const mount of await mountsBelow(this.#mounts)) if (mount === target) unmount(target);
  }

  async release(running: ReadonlySet<string>): Promise<void> {
    await using _ = await this.#locks.acquire("");
    const mounts = await mountsBelow(this.#mounts);
    const broken = new Set<string>();
    for (const key of running) await this.#read(key).catch(() => broken.add(key));
    // From here on nobody else runs: a container that is about to start is in `running`, or has yet to mount what it needs.
    const needed = new Set<string>();
    for (const key of running)
      for (const diffId of this.#known.get(key)?.layers ?? []) needed.add(join(this.#mounts, hexOf(diffId)));
    if ([...running].some((key) => !this.#known.has(key) && !broken.has(key))) return; // one came while we looked
    for (const mount of mounts) if (!needed.has(mount)) unmount(mount);
  }

  async *listLayers(): AsyncIterable<Digest> {
    for (const hex of await names(this.#layers)) {
      const diffId = `sha256:${hex}`;
      if (isDigest(diffId)) yield diffId;
    }
  }

  async tar(diffId: Digest): Promise<{ readonly path: string; readonly size: number }> {
    const path = join(this.#layer(diffId), "tar");
    const found = await stat(path).catch(ifMissing(undefined, "ENOTDIR"));
    if (!found) throw notFound(`There is no layer ${diffId}`);
    return { path, size: found.size };
  }

  async layerBytes(diffId: Digest): Promise<number> {
    if (!(await this.has(diffId))) throw notFound(`There is no layer ${diffId}`);
    const bytes = this.#layerSizes.get(diffId) ?? (await diskUsageOf(this.#layer(diffId)));
    this.#layerSizes.set(diffId, bytes);
    return bytes;
  }

  async fault(diffId: Digest, full: boolean): Promise<LayerFault | undefined> {
    if (!(await this.has(diffId))) throw notFound(`There is no layer ${diffId}`);
    return layerFault(this.#layer(diffId), diffId, full);
  }

  async rebuild(diffId: Digest): Promise<void> {
    const old = this.#layer(diffId);
    if (!(await this.has(diffId))) throw notFound(`There is no layer ${diffId}`);
    const place = join(this.#layers, `new-${crypto.randomUUID()}`);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => rm(place, { recursive: true, force: true }));
    await mkdir(place, { mode: 0o700 });
    const maxTarBytes = this.#options.maxLayerBytes ?? MAX_LAYER_BYTES;
    const job = { directory: place, format: this.format, maxTarBytes, blob: join(old, "tar"), diffId };
    const { format } = await this.#options.workers.unpack(job);
    const [made, other] = format === "erofs" ? ["erofs", "fs"] : ["fs", "erofs"];
    if (made === "fs") await rm(join(old, made), { recursive: true, force: true });
    await rename(join(place, made), join(old, made));
    await rm(join(old, other), { recursive: true, force: true });
    this.#layerSizes.delete(diffId);
  }

  async layersOf(key: string): Promise<readonly Digest[]> {
    return (await this.#read(key)).layers;
  }

  async *listSnapshots(): AsyncIterable<string> {
    for (const key of await names(this.#snapshots)) if (KEY.test(key)) yield key;
  }

  async sweep(owned?: ReadonlySet<string>): Promise<void> {
    for (const directory of [this.#layers, this.#snapshots])
      for (const name of await names(directory))
        if (/^(new|rm)-/.test(name)) await rm(join(directory, name), { recursive: true, force: true });
    for (const key of owned ? await names(this.#snapshots) : []) if (!owned?.has(key)) await this.removeSnapshot(key);
    for (const hex of await this.#settling.doubtful(await this.#unsettled())) await this.#remake(hex);
  }

  async #unsettled(): Promise<readonly string[]> {
    const unsettled: string[] = [];
    for await (const diffId of this.listLayers())
      if (!(await exists(join(this.#layer(diffId), SETTLED)))) unsettled.push(hexOf(diffId));
    return unsettled;
  }

  /** The machine went down while the layer's files were on their way to disk. Its tar tells whether it came through; then all else can be made again. */
  async #remake(hex: string): Promise<void> {
    const [diffId, doubted] = [`sha256:${hex}`, `rm-doubted-${hex}`];
    if (!isDigest(diffId)) return;
    await rename(this.#layer(diffId), join(this.#layers, doubted));
    try {
      await this.unpack(join(this.#layers, doubted, "tar"), diffId);
    } catch (error) {
      if (kindOf(error) === "unavailable") throw error; // the disk is full: another start may have more luck
      this.#options.warn?.(`Removed layer ${diffId}, which a crash of this machine damaged: ${messageOf(error)}`);
    }
    await rm(join(this.#layers, doubted), { recursive: true, force: true });
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

const exists = (path: string): Promise<boolean> =>
  access(path, constants.F_OK).then(() => true, ifMissing(false, "ENOTDIR"));

/** @returns names in a directory; none when it is missing */
const names = (directory: string): Promise<string[]> => readdir(directory).catch(ifMissing([]));

/** Never removes more than the mount and the empty directory that it was on. */
function unmount(target: string): void {
  detachMount(target);
  try {
    rmdirSync(target);
  } catch (error) {
    if (!hasCode(error, "ENOENT", "EBUSY", "ENOTEMPTY")) throw error;
  }
}

/** Takes it out of sight at once, so that a crash leaves nothing half removed under its name. */
async function remove(directory: string, name: string): Promise<void> {
  const gone = join(directory, `rm-${name}`);
  await rm(gone, { recursive: true, force: true });
  try {
    await rename(join(directory, name), gone);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return;
    throw error;
  }
  await rm(gone, { recursive: true, force: true });
}
