/** Cgroups that are only remembered. */

import { invalid, notFound } from "../../src/base/errors.ts";
import type { CgroupFeatures, CgroupLimits, CgroupStats, Cgroups } from "../../src/runtime/cgroup.ts";

/** A host that lacks nothing. */
export const ALL: CgroupFeatures = {
  memory: true,
  swap: true,
  cpuShares: true,
  cpuQuota: true,
  cpuset: true,
  pids: true,
  devices: true,
  freezer: true,
  ...{ memoryReservation: true, memorySwappiness: true, oomKillDisable: true, cpuRealtime: true },
  ...{ blockWeight: true, blockWeightDevice: true, readBps: true, writeBps: true, readIops: true, writeIops: true },
};

export class FakeCgroups implements Cgroups {
  readonly version = 2;
  readonly features = ALL;
  readonly mounts = ["/sys/fs/cgroup"];
  readonly #watchers = new Map<string, () => void>();
  readonly limits = new Map<string, CgroupLimits>();
  /** Paths whose processes were killed for want of memory. */
  readonly outOfMemory = new Set<string>();
  /** Paths whose processes stand still. */
  readonly frozen = new Set<string>();
  /** Whether the next limits are refused. */
  refuses = false;

  async create(path: string, limits: CgroupLimits): Promise<readonly string[]> {
    if (this.refuses) throw invalid(`Cannot limit ${path}: the kernel refuses`);
    this.limits.set(path, limits);
    return this.entrances(path);
  }

  async update(path: string, limits: CgroupLimits): Promise<void> {
    this.limits.set(path, { ...this.limits.get(path), ...limits });
  }

  async entrances(path: string): Promise<readonly string[]> {
    return [`/sys/fs/cgroup${path}/tasks`];
  }

  /** Of whatever cgroup. */
  pids: readonly number[] = [];

  async processes(): Promise<readonly number[]> {
    return this.pids;
  }

  async kill(): Promise<void> {}

  async freeze(path: string): Promise<void> {
    this.frozen.add(path);
  }

  async thaw(path: string): Promise<void> {
    this.frozen.delete(path);
  }

  async isFrozen(path: string): Promise<boolean> {
    return this.frozen.has(path);
  }

  async stats(path: string): Promise<CgroupStats> {
    if (!this.limits.has(path)) throw notFound(`no cgroup ${path}`);
    return {
      cpu: { total: 900, perCpu: [500, 400], user: 600, system: 300, periods: 3, throttledPeriods: 2, throttledNs: 1 },
      memory: {
        usage: 5000,
        limit: this.limits.get(path)?.memory,
        peak: 6000,
        failures: 0,
        detail: { inactive_file: 7 },
      },
      pids: { current: 1, limit: undefined },
      block: [{ major: 8, minor: 0, readBytes: 10, writeBytes: 20, reads: 1, writes: 2 }],
    };
  }

  async oomKills(path: string): Promise<number> {
    return this.outOfMemory.has(path) ? 1 : 0;
  }

  watchMemory(path: string, onExhausted: () => void): Disposable {
    this.#watchers.set(path, onExhausted);
    return { [Symbol.dispose]: () => void this.#watchers.delete(path) };
  }

  /** A cgroup has no memory left. */
  exhaust(path: string): void {
    this.outOfMemory.add(path);
    this.#watchers.get(path)?.();
  }

  async remove(path: string): Promise<void> {
    this.limits.delete(path);
  }
}
