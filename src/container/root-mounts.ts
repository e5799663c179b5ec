/** What the roots of containers are mounted from, and which layers have to stay mounted for that. */

import type { Mount, Snapshots, Tree } from "../store/snapshot.ts";
import type { Bind } from "./config.ts";
import { imagePlaces, ownerOf, snapshotsOf } from "./image-mounts.ts";
import type { Container } from "./records.ts";
import { onSkeleton } from "./skeleton.ts";

export interface RootMountsOptions {
  readonly snapshotter: Snapshots;
  /** A folder that exists; roots are mounted on it in their own mount namespaces. */
  readonly rootfs: string;
  /** See skeleton.ts. */
  readonly skeleton: string;
}

export class RootMounts {
  /** Snapshots of containers that run, or are on the way. */
  readonly #live = new Set<string>();

  constructor(readonly options: RootMountsOptions) {}

  /** Its layers stay mounted, and those of images in it, until it is let go. */
  hold(container: Container): void {
    for (const key of snapshotsOf(container)) this.#live.add(key);
  }

  letGo(id: string): void {
    for (const key of this.#live) if (ownerOf(key) === id) this.#live.delete(key);
  }

  /** Unmounts layers that nobody holds. */
  release(): Promise<void> {
    return this.options.snapshotter.release(this.#live);
  }

  /** @returns its root as it would see it, without what is mounted in it, to be read. @throws notFound */
  read(id: string): Promise<Tree> {
    return this.options.snapshotter.read(id, this.options.skeleton);
  }

  /** @returns what its root is mounted from, and images that are mounted in it. @throws notFound */
  async of(container: Container): Promise<{ readonly root: readonly Mount[]; readonly images: readonly Bind[] }> {
    const { snapshotter, rootfs, skeleton } = this.options;
    const images = await imagePlaces(container, `${rootfs}-images`, (key, target) => snapshotter.mounts(key, target));
    const root = onSkeleton(await snapshotter.mounts(container.id, rootfs), skeleton);
    return { root: [...images.mounts, ...root], images: images.binds };
  }
}
