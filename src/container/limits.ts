/** What Docker's resources mean as limits of a cgroup, and what becomes of them on a host that lacks some. Pure. */

import { posix } from "node:path";
import { invalid } from "../base/errors.ts";
import type { BlockLimit, BlockLimits, CgroupFeatures, CgroupLimits, DeviceRule } from "../runtime/cgroup.ts";
import type { Resources } from "./resources.ts";

export type Disks = BlockLimits;

export const NO_DISKS: Disks = {};

/** Where a request has them. */
export const RESOURCE_OF = {
  blockWeights: "blkioWeightDevice",
  readBps: "blkioDeviceReadBps",
  writeBps: "blkioDeviceWriteBps",
  readIops: "blkioDeviceReadIops",
  writeIops: "blkioDeviceWriteIops",
} as const satisfies Record<keyof Disks, keyof Resources>;

const isDiskLimit = (name: string): name is keyof Disks => Object.hasOwn(RESOURCE_OF, name);
export const DISK_LIMITS = Object.keys(RESOURCE_OF).filter(isDiskLimit);

/** From one set of limits to another: what there was and is no more is lifted. Pure. */
export function disksChange(before: Disks, after: Disks): Disks {
  const changed = DISK_LIMITS.map((name) => {
    const has = after[name] ?? [];
    const isKept = ({ major, minor }: BlockLimit) => has.some((one) => one.major === major && one.minor === minor);
    const lifted = (before[name] ?? []).filter((one) => !isKept(one)).map((one) => ({ ...one, value: 0 }));
    return [name, [...lifted, ...has]] as const;
  });
  return Object.fromEntries(changed.filter(([, list]) => list.length > 0));
}

/** Microseconds; what `--cpus` is a share of. */
const CPU_PERIOD = 100_000;

const set = <K extends string>(name: K, value: number): { [key in K]?: number } =>
  value === 0 ? {} : ({ [name]: value } as { [key in K]: number });

/** Zeros and empty texts mean no limit; memory without a word on swap allows as much swap again, as Docker documents. */
export function limitsOf(
  resources: Resources,
  devices: readonly DeviceRule[],
  hasSwap: boolean,
  disks: Disks = NO_DISKS,
): CgroupLimits {
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
    ...(resources.memorySwappiness >= 0 && { memorySwappiness: resources.memorySwappiness }),
    ...(resources.oomKillDisable && { oomKillDisable: true }),
    ...set("cpuRealtimePeriod", resources.cpuRealtimePeriod),
    ...set("cpuRealtimeRuntime", resources.cpuRealtimeRuntime),
    ...set("blkioWeight", resources.blkioWeight),
    ...disks,
    devices,
  };
}

/** What lifts a limit that there was and is no more. Shares and CPU sets always have some value, and so are never lifted. */
const LIFTED = {
  ...{ memory: -1, memorySwap: -1, memoryReservation: -1, cpuQuota: -1, pidsLimit: -1 },
  ...{ oomKillDisable: false, cpuRealtimeRuntime: 0 },
} as const;

/** From one set of limits to another, in a cgroup that exists. @param disks  as disksChange has them */
export function changeOf(before: Resources, after: Resources, hasSwap: boolean, disks: Disks = NO_DISKS): CgroupLimits {
  const { devices: _before, ...had } = limitsOf(before, [], hasSwap);
  const { devices: _after, ...has } = limitsOf(after, [], hasSwap, disks);
  const lifted = Object.entries(LIFTED).filter(([name]) => name in had && !(name in has));
  return { ...Object.fromEntries(lifted), ...has };
}

/** What the host lacks, and what Docker makes of a request for it. */
const WITHOUT: readonly (readonly [feature: keyof CgroupFeatures, change: Partial<Resources>])[] = [
  ["memory", { memory: 0, memorySwap: 0, memoryReservation: 0 }],
  ["memoryReservation", { memoryReservation: 0 }],
  ["memorySwappiness", { memorySwappiness: -1 }],
  ["oomKillDisable", { oomKillDisable: false }],
  ["cpuShares", { cpuShares: 0 }],
  ["cpuQuota", { cpuQuota: 0, cpuPeriod: 0, nanoCpus: 0 }],
  ["cpuset", { cpusetCpus: "", cpusetMems: "" }],
  ["pids", { pidsLimit: 0 }],
  ["blockWeight", { blkioWeight: 0 }],
  ["blockWeightDevice", { blkioWeightDevice: [] }],
  ["readBps", { blkioDeviceReadBps: [] }],
  ["writeBps", { blkioDeviceWriteBps: [] }],
  ["readIops", { blkioDeviceReadIops: [] }],
  ["writeIops", { blkioDeviceWriteIops: [] }],
];

/** Of what is asked for the part that this host can do; of the rest resourceWarnings tells. */
export function possible(resources: Resources, features: CgroupFeatures): Resources {
  const lacking = WITHOUT.filter(([feature]) => !features[feature]).map(([, change]) => change);
  return Object.assign({ ...resources }, ...lacking);
}

/** Real-time scheduling has no lesser form that would do. @throws invalid in Docker's words */
export function checkRealtime({ cpuRealtimePeriod, cpuRealtimeRuntime }: Resources, features: CgroupFeatures): void {
  if (cpuRealtimePeriod > 0 && !features.cpuRealtime)
    throw invalid("Your kernel does not support cgroup cpu real-time period");
  if (cpuRealtimeRuntime > 0 && !features.cpuRealtime)
    throw invalid("Your kernel does not support cgroup cpu real-time runtime");
}

/**
 * As `--cgroup-parent` gives it: below the root when it begins with a slash, else below the daemon's own cgroup. Empty stays empty.
 * @throws invalid for slices, which are systemd's to make, and for what leads out
 */
export function toCgroupParent(text: string): string {
  if (text === "") return "";
  if (text.endsWith(".slice"))
    throw invalid(
      `invalid cgroup parent ${text}: slices need systemd's cgroup driver, and here it is cgroupfs: want a path`,
    );
  const path = posix.normalize(text).replace(/(.)\/$/, "$1");
  if (path === "." || path.split("/").includes(".."))
    throw invalid(`invalid cgroup parent ${text}: want a path without ..`);
  return path;
}

/** What is asked for and this host cannot do, in Docker's words. */
export function resourceWarnings(resources: Resources, features: CgroupFeatures): readonly string[] {
  const { memory, memorySwap, cpuShares, cpuQuota, cpuPeriod, nanoCpus, cpusetCpus, cpusetMems, pidsLimit } = resources;
  const lacks = (asked: boolean, feature: keyof CgroupFeatures, what: string, then: string): string[] =>
    asked && !features[feature] ? [`Your kernel does not support ${what} or the cgroup is not mounted. ${then}`] : [];
  const { oomKillDisable } = resources;
  const oom = (told: boolean, text: string): string[] => (oomKillDisable && told ? [text] : []);
  return [
    ...lacks(memory > 0, "memory", "memory limit capabilities", "Limitation discarded."),
    ...lacks(memory > 0 && memorySwap !== -1, "swap", "swap limit capabilities", "Memory limited without swap."),
    ...lacks(
      resources.memorySwappiness >= 0,
      "memorySwappiness",
      "memory swappiness capabilities",
      "Memory swappiness discarded.",
    ),
    ...lacks(
      resources.memoryReservation > 0,
      "memoryReservation",
      "memory soft limit capabilities",
      "Limitation discarded.",
    ),
    ...oom(!features.oomKillDisable, "Your kernel does not support OomKillDisable. OomKillDisable discarded."),
    ...oom(
      features.oomKillDisable && memory === 0,
      "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
    ),
    ...lacks(cpuShares > 0, "cpuShares", "CPU shares", "Shares discarded."),
    ...lacks(cpuQuota > 0 || cpuPeriod > 0 || nanoCpus > 0, "cpuQuota", "CPU CFS scheduler", "Quota discarded."),
    ...lacks(cpusetCpus !== "" || cpusetMems !== "", "cpuset", "cpuset", "Cpuset discarded."),
    ...lacks(pidsLimit > 0, "pids", "PIDs limit capabilities", "PIDs limit discarded."),
    ...diskWarnings(resources, lacks),
  ];
}

type Lacks = (asked: boolean, feature: keyof CgroupFeatures, what: string, then: string) => string[];

const diskWarnings = (resources: Resources, lacks: Lacks): readonly string[] => [
  ...lacks(resources.blkioWeight > 0, "blockWeight", "Block I/O weight", "Weight discarded."),
  ...lacks(
    resources.blkioWeightDevice.length > 0,
    ...(["blockWeightDevice", "Block I/O weight_device", "Weight-device discarded."] as const),
  ),
  ...lacks(
    resources.blkioDeviceReadBps.length > 0,
    ...(["readBps", "BPS Block I/O read limit", "Block I/O BPS read limit discarded."] as const),
  ),
  ...lacks(
    resources.blkioDeviceWriteBps.length > 0,
    ...(["writeBps", "BPS Block I/O write limit", "Block I/O BPS write limit discarded."] as const),
  ),
  ...lacks(
    resources.blkioDeviceReadIops.length > 0,
    ...(["readIops", "IOPS Block read limit", "Block I/O IOPS read limit discarded."] as const),
  ),
  ...lacks(
    resources.blkioDeviceWriteIops.length > 0,
    ...(["writeIops", "IOPS Block write limit", "Block I/O IOPS write limit discarded."] as const),
  ),
];
