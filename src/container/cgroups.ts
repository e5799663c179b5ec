/** A container's cgroup: one below the engine's parent, or its own, with the limits that Docker's resources mean. */

import { readdir } from "node:fs/promises";
import { basename, dirname, join, posix } from "node:path";
import { hasCode, invalid, messageOf } from "../base/errors.ts";
import { isId } from "../base/ids.ts";
import type { CgroupLimits, CgroupStats, Cgroups, DeviceRule } from "../runtime/cgroup.ts";
import { lineage } from "../runtime/cgroup-files.ts";
import { checkCpuSets, hostCpuSets } from "./cpu-sets.ts";
import { disksOf } from "./disks.ts";
import { changeOf, checkRealtime, disksChange, limitsOf, NO_DISKS, possible, resourceWarnings } from "./limits.ts";
import type { CgroupPlace } from "./plan.ts";
import type { Resources } from "./resources.ts";

const withRealtimeHint = (error: unknown): Error =>
  invalid(`${messageOf(error)}: the cgroup above has no real-time left to give, see the daemon's --cpu-rt-runtime`, {
    cause: error,
  });

export class ContainerCgroups {
  /**
   * @param parent    as `/bosun`
   * @param parentOf  what a container has in its place; undefined or empty for nothing
   * @param realtime  of the cgroups above containers that ask for real-time scheduling: theirs is a part of it
   */
  constructor(
    readonly cgroups: Cgroups,
    readonly parent: string,
    readonly parentOf: (id: string) => string | undefined = () => undefined,
    readonly realtime: Pick<CgroupLimits, "cpuRealtimePeriod" | "cpuRealtimeRuntime"> = {},
  ) {}

  #path(id: string): string {
    return join(this.parentOf(id) || this.parent, id);
  }

  /** Entrances of every tree → where the container is in it, and what the tree is called. */
  #places(entrances: readonly string[]): readonly CgroupPlace[] {
    return entrances.map((entrance) => {
      const directory = dirname(entrance);
      const mount = this.cgroups.mounts.find((one) => directory.startsWith(`${one}/`)) ?? "";
      return { directory, entrance, name: this.cgroups.version === 2 ? "" : basename(mount) };
    });
  }

  /** @returns where the container's processes have to enter. @throws invalid when a limit is refused */
  async create(id: string, resources: Resources, devices: readonly DeviceRule[]): Promise<readonly CgroupPlace[]> {
    const limits = limitsOf(resources, devices, this.cgroups.features.swap, await disksOf(resources));
    const path = this.#path(id);
    if (limits.cpuRealtimeRuntime) await this.#grantRealtime(posix.dirname(path));
    const entrances = await this.cgroups.create(path, limits).catch((error) => {
      throw /\bcpu\.rt_/.test(messageOf(error)) ? withRealtimeHint(error) : error;
    });
    return this.#places(entrances);
  }

  /** From the outside in: the kernel gives no cgroup more than the one above it has. */
  async #grantRealtime(parent: string): Promise<void> {
    for (const path of lineage(parent)) await this.cgroups.create(path, this.realtime);
  }

  async places(id: string): Promise<readonly CgroupPlace[]> {
    return this.#places(await this.cgroups.entrances(this.#path(id)));
  }

  /** Takes other limits while it runs; where one is refused the old ones stay. @throws invalid, notFound */
  async update(id: string, before: Resources, after: Resources): Promise<void> {
    const { swap } = this.cgroups.features;
    const [had, has] = [await disksOf(before).catch(() => NO_DISKS), await disksOf(after)]; // a disk may be gone
    try {
      await this.cgroups.update(this.#path(id), changeOf(before, after, swap, disksChange(had, has)));
    } catch (error) {
      const back = changeOf(after, before, swap, disksChange(has, had));
      await this.cgroups.update(this.#path(id), back).catch(() => {}); // the first failure is the one to tell
      throw error;
    }
  }

  /** The part of what is asked for that this host can do. @throws invalid where there is no less than all */
  possible(resources: Resources): Resources {
    checkRealtime(resources, this.cgroups.features);
    if (this.cgroups.features.cpuset) checkCpuSets(resources, hostCpuSets());
    return possible(resources, this.cgroups.features);
  }

  warnings(resources: Resources): readonly string[] {
    return resourceWarnings(resources, this.cgroups.features);
  }

  /** Its processes stand still until `thaw`. @throws notFound when it does not run, internal where the host cannot */
  freeze(id: string): Promise<void> {
    return this.cgroups.freeze(this.#path(id));
  }

  /** @throws notFound */
  thaw(id: string): Promise<void> {
    return this.cgroups.thaw(this.#path(id));
  }

  /** @throws notFound */
  stats(id: string): Promise<CgroupStats> {
    return this.cgroups.stats(this.#path(id));
  }

  processes(id: string): Promise<readonly number[]> {
    return this.cgroups.processes(this.#path(id));
  }

  /** Whether the kernel has killed a process of it for want of memory. */
  async oomKilled(id: string): Promise<boolean> {
    return (await this.cgroups.oomKills(this.#path(id))) > 0;
  }

  /** Tells when it has no memory left, until it is disposed of. @see Cgroups.watchMemory */
  watchMemory(id: string, onExhausted: () => void): Disposable {
    return this.cgroups.watchMemory(this.#path(id), onExhausted);
  }

  /** Kills what is left in it and removes it. Idempotent. */
  remove(id: string): Promise<void> {
    return this.cgroups.remove(this.#path(id));
  }

  /** Ids of all that there are below the daemon's parent. */
  async list(): Promise<readonly string[]> {
    const ids = new Set<string>();
    for (const entrance of await this.cgroups.entrances(this.parent)) {
      const entries = await readdir(dirname(entrance), { withFileTypes: true }).catch((error) => {
        if (hasCode(error, "ENOENT")) return [];
        throw error;
      });
      // what else is there may be a parent of somebody's own containers
      for (const entry of entries) if (entry.isDirectory() && isId(entry.name)) ids.add(entry.name);
    }
    return [...ids];
  }
}
