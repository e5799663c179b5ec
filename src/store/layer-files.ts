/**
 * Layers as files.
 *
 *   <root>/layers/<diffId>/      tar, and erofs or fs/: see wasm/unpack.ts; settled: see settling.ts
 *   <root>/boot                  which run of the kernel the layers were last used in
 *   <runRoot>/layers/<diffId>    where a layer of format `erofs` is mounted, once for all containers
 *
 * A directory that starts `new-` or `rm-` is unfinished or half gone, and swept at start.
 */

import { existsSync } from "node:fs";
import { mkdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, hexOf, isDigest } from "../base/digest.ts";
import { ifMissing, kindOf, messageOf, notFound } from "../base/errors.ts";
import { Locks } from "../base/lock.ts";
import { mountsBelow } from "../base/mountinfo.ts";
import type { LayerFormat, UnpackJob } from "../wasm/unpack.ts";
import type { Workers } from "../wasm/workers.ts";
import { namesIn, removeTree, removeWhole, sweepUnfinished, unmount } from "./directories.ts";
import { type LayerFault, layerFault } from "./layer-check.ts";
import type { Layers, StagedLayer, StageOptions, UnpackOptions } from "./layers.ts";
import { SETTLED, Settling } from "./settling.ts";
import type { Mount, Tree } from "./snapshot.ts";
import { diskUsageOf } from "./upper.ts";
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

/** Where and how a Worker makes a layer. */
type LayerPlace = Pick<UnpackJob, "directory" | "format" | "maxTarBytes">;

type MakeLayer = (place: LayerPlace) => Promise<{ readonly diffId: Digest; readonly format: LayerFormat }>;

interface MadeLayer extends StagedLayer {
  readonly directory: string;
  /** What became of it: not everything can be what was asked for. */
  readonly format: LayerFormat;
}

const MAX_LAYER_BYTES = 64 * 2 ** 30;

/** All but removing, which only who knows the snapshots can do. */
export class LayerFiles implements Omit<Layers, "removeLayer"> {
  readonly #layers: string;
  readonly #mounts: string;
  /** Held by whoever makes or removes what others stand on. */
  protected readonly locks = new Locks();
  readonly #unpacking = new Map<Digest, Promise<void>>();
  readonly #settling: Settling;
  /** Bytes of layers on disk: they do not change. */
  readonly #layerSizes = new Map<Digest, number>();

  /** @param format  what new layers become; those that are there are used in the format that they have */
  constructor(
    readonly format: LayerFormat,
    protected readonly options: SnapshotterOptions,
  ) {
    this.#layers = join(options.root, "layers");
    this.#mounts = join(options.runRoot, "layers");
    this.#settling = new Settling({
      directory: this.#layers,
      bootFile: join(options.root, "boot"),
      onFailure: (reason) => options.warn?.(`Cannot make a layer durable: ${reason}`),
    });
  }

  async has(diffId: Digest): Promise<boolean> {
    return existsSync(this.#layer(diffId));
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
    await using staged = await this.#stage(blob, options, diffId);
    await staged.keep();
  }

  stage(blob: string, options: StageOptions = {}): Promise<StagedLayer> {
    return this.#stage(blob, options);
  }

  /** @param diffId  what it has to be, when that is known */
  #stage(blob: string, options: StageOptions, diffId?: Digest): Promise<MadeLayer> {
    const { arriving, given, maxTarBytes = Number.POSITIVE_INFINITY } = options;
    const source = { blob, diffId, given, arrival: arriving?.memory, blobBytes: arriving?.size };
    return this.make((place) => {
      const most = Math.min(place.maxTarBytes, maxTarBytes);
      return this.options.workers.unpack({ ...place, ...source, maxTarBytes: most }, options);
    });
  }

  /** Makes a layer in a directory that gets the layer's name when it is kept. */
  protected async make(work: MakeLayer): Promise<MadeLayer> {
    const directory = join(this.#layers, `new-${crypto.randomUUID()}`);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => removeTree(this.options.workers, directory));
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const maxTarBytes = this.options.maxLayerBytes ?? MAX_LAYER_BYTES;
    const { diffId, format } = await work({ directory, format: this.format, maxTarBytes });
    const cleanup = undo.move();
    return {
      directory,
      format,
      diffId,
      keep: async ({ durable = false } = {}) => {
        await this.#keep(directory, diffId);
        if (durable) await this.#settling.settleNow(hexOf(diffId));
      },
      [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
    };
  }

  async #keep(directory: string, diffId: Digest): Promise<void> {
    if (await this.has(diffId)) return;
    try {
      await rename(directory, this.#layer(diffId));
      this.#settling.add(hexOf(diffId));
    } catch (error) {
      if (!(await this.has(diffId))) throw error; // another call has made the same one
    }
  }

  async *listLayers(): AsyncIterable<Digest> {
    for (const hex of await namesIn(this.#layers)) {
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

  async directories(diffIds: readonly Digest[]): Promise<readonly string[] | undefined> {
    const mounted = new Set(await this.mountedLayers());
    const layers = await Promise.all(diffIds.map((diffId) => this.layerMount(diffId)));
    const areThere = layers.every(({ lower, mount }) => (mount === undefined ? existsSync(lower) : mounted.has(lower)));
    return areThere ? layers.map(({ lower }) => lower) : undefined;
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
    const layer = this.#layer(diffId);
    if (!(await this.has(diffId))) throw notFound(`There is no layer ${diffId}`);
    await using made = await this.#stage(join(layer, "tar"), { given: true }, diffId);
    const [part, other] = made.format === "erofs" ? ["erofs", "fs"] : ["fs", "erofs"];
    await this.#settling.unsettle(hexOf(diffId));
    if (part === "fs") await removeTree(this.options.workers, join(layer, part));
    await rename(join(made.directory, part), join(layer, part));
    await removeTree(this.options.workers, join(layer, other));
    this.#layerSizes.delete(diffId);
    this.#settling.add(hexOf(diffId));
  }

  /** Where a layer's tree is, or will be once it is mounted. */
  protected async layerMount(diffId: Digest): Promise<{ lower: string; mount?: Mount }> {
    const directory = this.#layer(diffId);
    const index = join(directory, "erofs");
    if (!existsSync(index)) return { lower: join(directory, "fs") };
    const target = join(this.#mounts, hexOf(diffId));
    return { lower: target, mount: { type: "layer", index, device: join(directory, "tar"), target } };
  }

  /** @param top  above the layers. @param under  a directory below them. @returns all of it merged, to be read; undefined when there is nothing */
  protected async view(layers: readonly Digest[], top: readonly Lower[], under?: string): Promise<Tree | undefined> {
    await using _ = await this.locks.acquire(""); // no shared mount goes
    const parts = await Promise.all(layers.map((diffId) => this.layerMount(diffId)));
    const [bottom, ...others] = [...(under === undefined ? [] : [{ lower: under }]), ...parts, ...top];
    const mounts = new Set(await mountsBelow(this.#mounts));
    return bottom && openView(bottom, others, (target) => mounts.has(target));
  }

  /** The caller holds the lock, and knows that no snapshot stands on it. @param later  disposed of when the lock is free */
  protected async dropLayer(diffId: Digest, later: AsyncDisposableStack): Promise<void> {
    const target = join(this.#mounts, hexOf(diffId));
    for (const mount of await mountsBelow(this.#mounts)) if (mount === target) unmount(target);
    this.#layerSizes.delete(diffId);
    removeWhole(this.options.workers, later, this.#layers, hexOf(diffId));
  }

  /** Targets of layers' shared mounts that are there. */
  protected mountedLayers(): Promise<readonly string[]> {
    return mountsBelow(this.#mounts);
  }

  protected layerTarget(diffId: Digest): string {
    return join(this.#mounts, hexOf(diffId));
  }

  protected async sweepLayers(): Promise<void> {
    await sweepUnfinished(this.options.workers, this.#layers);
    const unsettled: Digest[] = [];
    for await (const diffId of this.listLayers())
      if (!existsSync(join(this.#layer(diffId), SETTLED))) unsettled.push(diffId);
    await this.#settling.resume(unsettled.map(hexOf), (hex) => this.#doubt(hex));
  }

  /** The machine went down while the layer's files were on their way to disk. Its tar tells whether it came through; then all else can be made again. */
  async #doubt(hex: string): Promise<void> {
    const diffId = `sha256:${hex}`;
    if (!isDigest(diffId)) return;
    try {
      await this.rebuild(diffId);
    } catch (error) {
      if (kindOf(error) === "unavailable") throw error; // the disk is full: another start may have more luck
      this.options.warn?.(`Removed layer ${diffId}, which a crash of this machine damaged: ${messageOf(error)}`);
      await using later = new AsyncDisposableStack();
      removeWhole(this.options.workers, later, this.#layers, hex);
    }
  }
}
