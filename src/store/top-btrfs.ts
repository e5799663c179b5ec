/**
 * Tops as snapshots of Btrfs: made at once, however large, and sharing all that they do not change. What they are made of is kept for each list
 * of layers:
 *
 *   <root>/subvolumes/<chainId>/{fs, layers.json}
 */

import { existsSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { chainIds, type Digest, hexOf } from "../base/digest.ts";
import { ifMissing } from "../base/errors.ts";
import { checked, cString, library } from "../base/library.ts";
import { Locks } from "../base/lock.ts";
import { createSubvolume, limitSubvolume } from "../base/quota.ts";
import { namesIn, type RemovalWorkers, removeTree, removeWhole, sweepUnfinished } from "./directories.ts";
import type { Mount } from "./snapshot.ts";
import type { Ground, Tops } from "./top.ts";
import { copyTree } from "./top-copy.ts";

/** Of no layers. */
const EMPTY = "empty";

const snapshotSubvolume = (source: string, directory: string, name: string): void =>
  void checked(
    `make snapshot ${name} in ${directory}`,
    library().bosun_snapshot(cString(source), cString(directory), cString(name)),
  );

export class BtrfsTops implements Tops {
  readonly needsLayers = false;
  readonly #subvolumes: string;
  readonly #locks = new Locks();

  constructor(
    root: string,
    readonly workers: RemovalWorkers,
  ) {
    this.#subvolumes = join(root, "subvolumes");
  }

  async make(directory: string, ground: Ground): Promise<void> {
    const top = chainIds(ground.layers).at(-1);
    const name = top === undefined ? EMPTY : hexOf(top);
    await using _ = await this.#locks.acquire(name);
    const base = join(this.#subvolumes, name);
    if (!existsSync(base)) await this.#makeBase(name, ground);
    snapshotSubvolume(join(base, "fs"), directory, "fs");
    if (ground.sizeBytes !== undefined) limitSubvolume(join(directory, "fs"), ground.sizeBytes);
  }

  async #makeBase(name: string, { layers, open }: Ground): Promise<void> {
    const unfinished = join(this.#subvolumes, `new-${name}`);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => removeTree(this.workers, unfinished));
    await removeTree(this.workers, unfinished);
    await mkdir(unfinished, { recursive: true, mode: 0o700 });
    createSubvolume(unfinished, "fs");
    using below = await open();
    if (below) await copyTree(below.path, join(unfinished, "fs"));
    await writeFile(join(unfinished, "layers.json"), JSON.stringify(layers));
    await rename(unfinished, join(this.#subvolumes, name));
    undo.move();
  }

  mounts(directory: string, _: readonly string[], target: string, readonly: boolean): readonly Mount[] {
    return [{ type: "bind", source: join(directory, "fs"), target, readonly }];
  }

  tree(directory: string) {
    return { root: join(directory, "fs"), whole: true };
  }

  async dropped(diffId: Digest, later: AsyncDisposableStack): Promise<void> {
    for (const name of await namesIn(this.#subvolumes)) {
      const layers = await readFile(join(this.#subvolumes, name, "layers.json"), "utf8").catch(
        ifMissing("", "ENOTDIR"),
      );
      if (layers.includes(diffId)) removeWhole(this.workers, later, this.#subvolumes, name);
    }
  }

  sweep(): Promise<void> {
    return sweepUnfinished(this.workers, this.#subvolumes);
  }
}
