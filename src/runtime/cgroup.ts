/**
 * Control groups: what a container may take, and what it has taken. TypeScript makes and writes them, the shim only enters them.
 * Two generations exist: v1, a tree per controller (with a v2 tree beside it that has no controllers, "hybrid"), and v2, one tree.
 * Source: Linux Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst, cgroups(7).
 */

import { readFileSync } from "node:fs";
import { internal } from "../base/errors.ts";
import { mountPointOf } from "../base/mountinfo.ts";
import { CgroupsV1 } from "./cgroup-v1.ts";
import { CgroupsV2 } from "./cgroup-v2.ts";

export interface DeviceRule {
  readonly allow: boolean;
  /** `a` is both, with any number and all access. */
  readonly type: "a" | "b" | "c";
  /** -1 for any. */
  readonly major: number;
  readonly minor: number;
  /** Of `r`, `w`, `m` (mknod). */
  readonly access: string;
}

/** A limit or a weight of one disk; 0 lifts it. */
export interface BlockLimit {
  readonly major: number;
  readonly minor: number;
  readonly value: number;
}

/** Limits that are told disk by disk. */
export interface BlockLimits {
  /** Relative weights, 10..1000. */
  readonly blockWeights?: readonly BlockLimit[];
  /** Bytes per second. */
  readonly readBps?: readonly BlockLimit[];
  readonly writeBps?: readonly BlockLimit[];
  /** Transfers per second. */
  readonly readIops?: readonly BlockLimit[];
  readonly writeIops?: readonly BlockLimit[];
}

/** A value that only OCI configurations know. */
export interface CgroupFile {
  /** As `hugetlb`: whose tree it is in, with version 1. */
  readonly controller: string;
  /** As `hugetlb.2MB.limit_in_bytes`. */
  readonly name: string;
  readonly value: string;
}

/** What is left out stays as it is; at first, unlimited. -1 lifts a limit. */
export interface CgroupLimits extends BlockLimits {
  /** Bytes. */
  readonly memory?: number;
  /** Bytes of memory and swap together. */
  readonly memorySwap?: number;
  /** Bytes that are left to the container under pressure. */
  readonly memoryReservation?: number;
  /** How readily memory is swapped out, 0..100; v1 only. */
  readonly memorySwappiness?: number;
  /** Processes wait for memory in place of being killed; v1 only. */
  readonly oomKillDisable?: boolean;
  /** Relative weight, 2..262144; 1024 is the usual. */
  readonly cpuShares?: number;
  /** µs of CPU time per period. */
  readonly cpuQuota?: number;
  /** µs. */
  readonly cpuPeriod?: number;
  /** µs that real-time tasks may run per period. */
  readonly cpuRealtimeRuntime?: number;
  /** µs. */
  readonly cpuRealtimePeriod?: number;
  /** As `0-2,7`. */
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  /** Relative weight, 10..1000. */
  readonly blkioWeight?: number;
  readonly pidsLimit?: number;
  /** What else is to be written, in order. */
  readonly files?: readonly CgroupFile[];
  /** In order; the last that matches decides. Only at `create`. */
  readonly devices?: readonly DeviceRule[];
}

/** Transfers of one device. */
export interface BlockStats {
  readonly major: number;
  readonly minor: number;
  readonly readBytes: number;
  readonly writeBytes: number;
  readonly reads: number;
  readonly writes: number;
}

export interface CgroupStats {
  readonly cpu: {
    /** Nanoseconds, since the cgroup was made. */
    readonly total: number;
    /** Of each processor; empty where the kernel does not tell (v2). */
    readonly perCpu: readonly number[];
    readonly user: number;
    readonly system: number;
    readonly periods: number;
    readonly throttledPeriods: number;
    readonly throttledNs: number;
  };
  readonly memory: {
    /** Bytes. */
    readonly usage: number;
    /** Bytes; undefined without a limit. */
    readonly limit: number | undefined;
    /** Bytes, where the kernel tells. */
    readonly peak: number;
    /** How often the limit was met. */
    readonly failures: number;
    /** memory.stat as it is. */
    readonly detail: Readonly<Record<string, number>>;
  };
  readonly pids: { readonly current: number; readonly limit: number | undefined };
  readonly block: readonly BlockStats[];
}

/** What this host can limit and do. */
export interface CgroupFeatures {
  readonly memory: boolean;
  readonly swap: boolean;
  readonly cpuShares: boolean;
  readonly cpuQuota: boolean;
  readonly cpuset: boolean;
  readonly pids: boolean;
  readonly devices: boolean;
  readonly freezer: boolean;
  readonly memoryReservation: boolean;
  readonly memorySwappiness: boolean;
  readonly oomKillDisable: boolean;
  readonly cpuRealtime: boolean;
  readonly blockWeight: boolean;
  readonly blockWeightDevice: boolean;
  readonly readBps: boolean;
  readonly writeBps: boolean;
  readonly readIops: boolean;
  readonly writeIops: boolean;
}

/**
 * A cgroup is named by its path below the roots of all trees, `/bosun/<id>`, or, without a slash at its beginning, by one below the cgroup
 * that this process is in, which may be another in every tree. What is not ours is never touched.
 */
export interface Cgroups {
  readonly version: 1 | 2;
  readonly features: CgroupFeatures;
  /** Where the trees are mounted. */
  readonly mounts: readonly string[];

  /**
   * Makes the cgroup and the ones above it where they are missing.
   * @returns files by which a process enters, one per tree: `tasks` of version 1, where a thread that moves itself need not wait for all
   *          processors (10 ms) as whoever moves a process does; `cgroup.procs` of version 2. Source: kernel/cgroup/cgroup.c,
   *          cgroup_procs_write_start
   * @throws invalid when a limit is refused; nothing is left behind
   */
  create(path: string, limits: CgroupLimits): Promise<readonly string[]>;

  /** @throws invalid when a limit is refused, notFound */
  update(path: string, limits: CgroupLimits): Promise<void>;

  /** Files by which a process enters a cgroup that exists (an exec). */
  entrances(path: string): Promise<readonly string[]>;

  /** Pids of all processes in it and below it, as the host counts. */
  processes(path: string): Promise<readonly number[]>;

  /** Sends SIGKILL to all, frozen ones too. */
  kill(path: string): Promise<void>;

  /** Stops all, and returns when they stand. @throws notFound */
  freeze(path: string): Promise<void>;
  thaw(path: string): Promise<void>;
  /** Whether they stand, or are about to. False for one that is not there. */
  isFrozen(path: string): Promise<boolean>;

  /** @throws notFound */
  stats(path: string): Promise<CgroupStats>;

  /** How many processes the kernel has killed for want of memory. */
  oomKills(path: string): Promise<number>;

  /**
   * Tells whenever a cgroup that exists has no memory left, as soon as the kernel knows, until it is disposed of or the cgroup is gone.
   * Nothing is told where memory is not limited.
   */
  watchMemory(path: string, onExhausted: () => void): Disposable;

  /** Kills what is in it and removes it. Idempotent. @throws internal when it will not become empty */
  remove(path: string): Promise<void>;
}

export interface Hierarchy {
  /** Where it is mounted. */
  readonly mount: string;
  /** Names of v1 controllers, or `name=systemd`. */
  readonly controllers: readonly string[];
}

export type CgroupLayout =
  /** `unified`: mount of a v2 tree without controllers, in which a container is only to be found. */
  | { readonly version: 1; readonly hierarchies: readonly Hierarchy[]; readonly unified?: string }
  | { readonly version: 2; readonly mount: string };

/** Options of a superblock that are no controllers. */
const OPTIONS = /^(rw|ro|xattr|clone_children|cpuset_v2_mode|noprefix|release_agent=.*|seclabel|favordynmods|none)$/;

/**
 * @param mountinfo  text of /proc/self/mountinfo; see proc_pid_mountinfo(5)
 * @returns          undefined when no cgroup file system is mounted
 */
export function cgroupLayout(mountinfo: string): CgroupLayout | undefined {
  const hierarchies = new Map<string, Hierarchy>();
  let unified: string | undefined;
  for (const line of mountinfo.split("\n")) {
    const [before = "", after = ""] = line.split(" - ");
    const [type, , superOptions = ""] = after.split(" ");
    const mount = mountPointOf(before) ?? "";
    if (type === "cgroup2") unified ??= mount;
    if (type !== "cgroup") continue;
    const controllers = superOptions.split(",").filter((option) => !OPTIONS.test(option));
    const key = controllers.join(",");
    if (!hierarchies.has(key)) hierarchies.set(key, { mount, controllers });
  }
  if (hierarchies.size > 0)
    return { version: 1, hierarchies: [...hierarchies.values()], ...(unified === undefined ? {} : { unified }) };
  return unified === undefined ? undefined : { version: 2, mount: unified };
}

/** The host's cgroups, whichever they are. @throws internal when there are none */
export function openCgroups(): Cgroups {
  const layout = cgroupLayout(readFileSync("/proc/self/mountinfo", "utf8"));
  if (layout === undefined) throw internal("Cannot limit containers: no cgroup file system is mounted");
  return layout.version === 1 ? new CgroupsV1(layout) : new CgroupsV2(layout.mount);
}
