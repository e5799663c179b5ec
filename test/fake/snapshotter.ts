/** A snapshotter that keeps nothing but names and sizes; it does check diffIds. */

import { rmdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { type Digest, digestOf, hexOf } from "../../src/base/digest.ts";
import { conflict, corrupt, messageOf, notFound, unavailable } from "../../src/base/errors.ts";
import type { LayerFault } from "../../src/store/layer-check.ts";
import type { StagedLayer, StageOptions, UnpackOptions } from "../../src/store/layers.ts";
import type { Mount, Snapshotter, Tree } from "../../src/store/snapshot.ts";

function plain(bytes: Uint8Array): Uint8Array {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return gunzipSync(bytes);
  if (bytes[0] === 0x28 && bytes[1] === 0xb5) return zstdDecompressSync(bytes);
  return bytes;
}

export class FakeSnapshotter implements Snapshotter, AsyncDisposable {
  /** Of tars that were asked for as files. */
  #folder: Promise<string> | undefined;
  readonly name = "fake";
  readonly layers = new Map<Digest, Uint8Array>();
  readonly snapshots = new Map<string, readonly Digest[]>();
  /** How often a layer was really unpacked. */
  unpacked = 0;
  /** Called before each unpacking; may wait, or throw. */
  beforeUnpack: (diffId: Digest) => Promise<void> = async () => {};

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#folder) await rm(await this.#folder, { recursive: true, force: true });
  }

  async has(diffId: Digest): Promise<boolean> {
    return this.layers.has(diffId);
  }

  async unpack(path: string, diffId: Digest, options: UnpackOptions = {}): Promise<void> {
    if (options.arriving) throw unavailable("a fake waits for the whole blob");
    await this.beforeUnpack(diffId);
    options.signal?.throwIfAborted();
    if (this.layers.has(diffId)) return;
    const blob = await Bun.file(path).bytes();
    let tar: Uint8Array;
    try {
      tar = plain(blob);
    } catch (error) {
      throw corrupt(`Cannot unpack ${diffId}: ${messageOf(error)}`);
    }
    if (digestOf(tar) !== diffId) throw corrupt(`Cannot unpack ${diffId}: got ${digestOf(tar)}`);
    options.onProgress?.(blob.byteLength);
    this.unpacked++;
    this.layers.set(diffId, tar);
  }

  async prepare(key: string, layers: readonly Digest[]): Promise<void> {
    if (this.snapshots.has(key)) throw conflict(`snapshot ${key} exists`);
    const missing = layers.find((layer) => !this.layers.has(layer));
    if (missing) throw notFound(`no layer ${missing}`);
    this.snapshots.set(key, layers);
  }

  async mounts(): Promise<readonly Mount[]> {
    return [];
  }

  async *changes(): AsyncGenerator<never> {}

  async stage(path: string, options: StageOptions = {}): Promise<StagedLayer> {
    if (options.arriving) throw unavailable("a fake waits for the whole blob");
    const diffId = digestOf(plain(await Bun.file(path).bytes()));
    return { diffId, keep: () => this.unpack(path, diffId), [Symbol.asyncDispose]: async () => {} };
  }

  async directories(): Promise<undefined> {}

  /** What `commit` finds changed. */
  committed: Uint8Array = new Uint8Array(1024);

  async commit(key: string): Promise<StagedLayer> {
    if (!this.snapshots.has(key)) throw notFound(`no snapshot ${key}`);
    const tar = this.committed;
    const diffId = digestOf(tar);
    return { diffId, keep: async () => void this.layers.set(diffId, tar), [Symbol.asyncDispose]: async () => {} };
  }

  /** An empty tree. */
  async read(key: string): Promise<Tree> {
    if (!this.snapshots.has(key)) throw notFound(`no snapshot ${key}`);
    const path = await mkdtemp(join(tmpdir(), "bosun-tree-"));
    return { path, [Symbol.dispose]: () => rmdirSync(path) };
  }

  async usage(): Promise<{ bytes: number; inodes: number }> {
    return { bytes: 0, inodes: 0 };
  }

  async removeSnapshot(key: string): Promise<void> {
    this.snapshots.delete(key);
  }

  async removeLayer(diffId: Digest): Promise<void> {
    if ([...this.snapshots.values()].some((layers) => layers.includes(diffId)))
      throw conflict(`layer ${diffId} is in use`);
    this.layers.delete(diffId);
  }

  async release(): Promise<void> {}

  async *listLayers(): AsyncGenerator<Digest> {
    yield* this.layers.keys();
  }

  async tar(diffId: Digest): Promise<{ path: string; size: number }> {
    const tar = this.layers.get(diffId);
    if (tar === undefined) throw notFound(`no layer ${diffId}`);
    this.#folder ??= mkdtemp(join(tmpdir(), "bosun-layers-"));
    const path = join(await this.#folder, hexOf(diffId));
    await Bun.write(path, tar);
    return { path, size: tar.byteLength };
  }

  async layerBytes(diffId: Digest): Promise<number> {
    const tar = this.layers.get(diffId);
    if (tar === undefined) throw notFound(`no layer ${diffId}`);
    return tar.byteLength;
  }

  /** Layers with something wrong. */
  readonly faults = new Map<Digest, LayerFault>();

  async fault(diffId: Digest, full: boolean): Promise<LayerFault | undefined> {
    const tar = this.layers.get(diffId);
    if (tar === undefined) throw notFound(`no layer ${diffId}`);
    if (full && digestOf(tar) !== diffId) return { part: "tar", detail: "its tar is damaged" };
    return this.faults.get(diffId);
  }

  async rebuild(diffId: Digest): Promise<void> {
    this.faults.delete(diffId);
  }

  async layersOf(key: string): Promise<readonly Digest[]> {
    return this.snapshots.get(key) ?? [];
  }

  async *listSnapshots(): AsyncGenerator<string> {
    yield* this.snapshots.keys();
  }

  async sweep(): Promise<void> {}
}
