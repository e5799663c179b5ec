/**
 * Files that no image needs. What is being worked with is *held*: a pull holds a layer before it looks whether it is there, so that nobody
 * removes it between the look and the row that needs it.
 */

import type { Digest } from "../base/digest.ts";
import { kindOf } from "../base/errors.ts";
import { Locks } from "../base/lock.ts";
import type { ContentStore } from "../store/content.ts";
import type { Layers } from "../store/layers.ts";
import type { Files, ImageRecords } from "./records.ts";

const keysOf = ({ blobs = [], layers = [] }: Files): string[] => [
  ...new Set([...blobs.map((digest) => `blob ${digest}`), ...layers.map((diffId) => `layer ${diffId}`)]),
];

/** How long what unfinished work has brought is kept for who continues it. */
export const leaseMs = 24 * 60 * 60 * 1000;

export class Sweeper {
  readonly #holders = new Map<string, number>();
  readonly #locks = new Locks();

  constructor(
    readonly records: ImageRecords,
    readonly content: ContentStore,
    readonly layers: Layers,
  ) {}

  /** Keeps files from being removed until disposed of, whether they exist yet or not. Waits for a removal that is under way. */
  async hold(files: Files): Promise<Disposable> {
    const keys = keysOf(files);
    for (const key of keys) {
      await using _ = await this.#locks.acquire(key);
      this.#holders.set(key, (this.#holders.get(key) ?? 0) + 1);
    }
    return {
      [Symbol.dispose]: () => {
        for (const key of keys.splice(0)) {
          const left = (this.#holders.get(key) ?? 1) - 1;
          if (left > 0) this.#holders.set(key, left);
          else this.#holders.delete(key);
        }
      },
    };
  }

  /** @returns whether somebody works with a file */
  isHeld(kind: "blob" | "layer", digest: Digest): boolean {
    return this.#holders.has(`${kind} ${digest}`);
  }

  /** Removes those of the files that no image needs and nobody holds. @returns the layers that went */
  async discard({ blobs = [], layers = [] }: Files): Promise<readonly Digest[]> {
    const gone: Digest[] = [];
    for (const digest of new Set(blobs))
      await this.#unlessHeld(`blob ${digest}`, async () => {
        if (!this.records.needsBlob(digest)) await this.content.remove(digest);
      });
    for (const diffId of new Set(layers))
      await this.#unlessHeld(`layer ${diffId}`, async () => {
        if (!this.records.needsLayer(diffId) && (await this.#removeLayer(diffId))) gone.push(diffId);
      });
    return gone;
  }

  /** Removes everything that no image needs, and what was kept for unfinished work for long enough. */
  async sweep(): Promise<void> {
    await this.forget(new Date());
    const blobs: Digest[] = [];
    for await (const { digest } of this.content.list()) blobs.push(digest);
    const layers: Digest[] = [];
    for await (const diffId of this.layers.listLayers()) layers.push(diffId);
    await this.discard({ blobs, layers });
  }

  /** Removes what is kept for unfinished work until some time before `end`, unless somebody is at it. @returns bytes of what went */
  async forget(end: Date): Promise<number> {
    const { blobs, layers } = this.records.expire(end);
    const before = await this.#bytesOf(blobs, layers);
    await this.discard({ blobs, layers });
    return before - (await this.#bytesOf(blobs, layers));
  }

  async #bytesOf(blobs: readonly Digest[], layers: readonly Digest[]): Promise<number> {
    let bytes = 0;
    for (const digest of blobs) bytes += (await this.content.find(digest))?.size ?? 0;
    for (const diffId of layers) if (await this.layers.has(diffId)) bytes += await this.layers.layerBytes(diffId);
    return bytes;
  }

  async #unlessHeld(key: string, remove: () => Promise<void>): Promise<void> {
    await using _ = await this.#locks.acquire(key);
    if (!this.#holders.has(key)) await remove();
  }

  /** A container may still stand on a layer whose image was removed by force: it goes with a later sweep. */
  async #removeLayer(diffId: Digest): Promise<boolean> {
    try {
      await this.layers.removeLayer(diffId);
      return true;
    } catch (error) {
      if (kindOf(error) === "conflict") return false;
      throw error;
    }
  }
}
