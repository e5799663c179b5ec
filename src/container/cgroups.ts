/** A container's cgroup: one below the engine's parent, with the limits that Docker's resources mean. */

import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { hasCode } from "../base/errors.ts";
import type { CgroupFeatures, CgroupLimits, CgroupStats, Cgroups, DeviceRule } from "../runtime/cgroup.ts";
import type { Resources } from "./config.ts";
import type { CgroupPlace } from "./plan.ts";

/** Microseconds; what `--cpus` is a share of. */
const CPU_PERIOD = 100_000;

const set = <K extends string>(name: K, value: number): { [key in K]?: number } =>
  value === 0 ? {} : ({ [name]: value } as { [key in K]: number });

/** Zeros and empty texts mean no limit; memory without a word on swap allows as much swap again, as Docker documents. Pure. */
export function limitsOf(resources: Resources, devices: readonly DeviceRule[], hasSwap: boolean): CgroupLimits {
  const { memory, memorySwap, memoryReservation, cpuShares, nanoCpus, cpusetCpus, cpusetMems, pidsLimit } = resources;
  const quota = nanoCpus > 0 ? Math.round((nanoCpus * CPU_PERIOD) / 1e9) : resources.cpuQuota;
  const period = nanoCpus > 0 ? CPU_PERIOD : resources.cpuPeriod;
  const both = memorySwap === 0 && memory > 0 ? memory * 2 : memorySwap;
  return {
    ...set("memory", memory),
    ...(hasSwap && set("memorySwap", both)),
    ...set("memoryReservation", memoryReservation),
    ...set("cpuShares", cpuShares),
    ...set("cpuQuota", quota),
    ...set("cpuPeriod", period),
    ...(cpusetCpus !== "" && { cpusetCpus }),
    ...(cpusetMems !== "" && { cpusetMems }),
    ...set("pidsLimit", pidsLimit),
    devices,
  };
}

/** What lifts a limit that there was and is no more. Shares and CPU sets always have some value, and so are never lifted. */
const LIFTED = { memory: -1, memorySwap: -1, memoryReservation: -1, cpuQuota: -1, pidsLimit: -1 } as const;

/** From one set of limits to another, in a cgroup that exists. Pure. */
export function changeOf(before: Resources, after: Resources, hasSwap: boolean): CgroupLimits {
  const { devices: _before, ...had } = limitsOf(before, [], hasSwap);
  const { devices: _after, ...has } = limitsOf(after, [], hasSwap);
  const lifted = Object.entries(LIFTED).filter(([name]) => name in had && !(name in has));
  return { ...Object.fromEntries(lifted), ...has };
}

/** What is asked for and this host cannot do, in Docker's words. Pure. */
export function resourceWarnings(resources: Resources, features: CgroupFeatures): readonly string[] {
  const { memory, memorySwap, cpuShares, cpuQuota, cpuPeriod, nanoCpus, cpusetCpus, cpusetMems, pidsLimit } = resources;
  const lacks = (asked: boolean, feature: keyof CgroupFeatures, what: string, then: string): string[] =>
    asked && !features[feature] ? [`Your kernel does not support ${what} or the cgroup is not mounted. ${then}`] : [];
  return [
    ...lacks(memory > 0, "memory", "memory limit capabilities", "Limitation discarded."),
    ...lacks(memory > 0 && memorySwap !== -1, "swap", "swap limit capabilities", "Memory limited without swap."),
    ...lacks(cpuShares > 0, "cpuShares", "CPU shares", "Shares discarded."),
    ...lacks(cpuQuota > 0 || cpuPeriod > 0 || nanoCpus > 0, "cpuQuota", "CPU CFS scheduler", "Quota discarded."),
    ...lacks(cpusetCpus !== "" || cpusetMems !== "", "cpuset", "cpuset", "Cpuset discarded."),
    ...lacks(pidsLimit > 0, "pids", "PIDs limit capabilities", "PIDs limit discarded."),
  ];
}

export class ContainerCgroups {
  /** @param parent  as `/bosun` */
  constructor(
    readonly cgroups: Cgroups,
    readonly parent: string,
  ) {}

  #path(id: string): string {
    return join(this.parent, id);
  }

  /** `…/cgroup.procs` of every tree → where the container is in it, and what the tree is called. */
  #places(id: string, entrances: readonly string[]): readonly CgroupPlace[] {
    return entrances.map((entrance) => {
      const directory = dirname(entrance);
      const mount = directory.slice(0, -this.#path(id).length);
      return { directory, name: this.cgroups.version === 2 ? "" : basename(mount) };
    });
  }

  /** @returns where the container's processes have to enter. @throws invalid when a limit is refused */
  async create(id: string, resources: Resources, devices: readonly DeviceRule[]): Promise<readonly CgroupPlace[]> {
    const limits = limitsOf(resources, devices, this.cgroups.features.swap);
    return this.#places(id, await this.cgroups.create(this.#path(id), limits));
  }

  async places(id: string): Promise<readonly CgroupPlace[]> {
    return this.#places(id, await this.cgroups.entrances(this.#path(id)));
  }

  /** Takes other limits while it runs; where one is refused the old ones stay. @throws invalid, notFound */
  async update(id: string, before: Resources, after: Resources): Promise<void> {
    const { swap } = this.cgroups.features;
    try {
      await this.cgroups.update(this.#path(id), changeOf(before, after, swap));
    } catch (error) {
      await this.cgroups.update(this.#path(id), changeOf(after, before, swap)).catch(() => {}); // the first failure is the one to tell
      throw error;
    }
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

  /** Kills what is left in it and removes it. Idempotent. */
  remove(id: string): Promise<void> {
    return this.cgroups.remove(this.#path(id));
  }

  /** Ids of all that there are. */
  async list(): Promise<readonly string[]> {
    const ids = new Set<string>();
    for (const entrance of await this.cgroups.entrances(this.parent)) {
      const entries = await readdir(dirname(entrance), { withFileTypes: true }).catch((error) => {
        if (hasCode(error, "ENOENT")) return [];
        throw error;
      });
      for (const entry of entries) if (entry.isDirectory()) ids.add(entry.name);
    }
    return [...ids];
  }
}
