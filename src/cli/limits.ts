/** What a container may take, as flags. */

import { messageOf } from "../base/errors.ts";
import { parseBytes } from "../base/units.ts";
import { type Flags, type Specs, UsageError } from "./flags.ts";

/** Those that `update` changes, too. */
export const CHANGEABLE_FLAGS: Specs = {
  "blkio-weight": { kind: "text", help: "Block IO (relative weight), between 10 and 1000, or 0 to disable" },
  "cpu-period": { kind: "text", help: "Limit CPU CFS (Completely Fair Scheduler) period" },
  "cpu-quota": { kind: "text", help: "Limit CPU CFS (Completely Fair Scheduler) quota" },
  "cpu-rt-period": { kind: "text", help: "Limit CPU real-time period in microseconds" },
  "cpu-rt-runtime": { kind: "text", help: "Limit CPU real-time runtime in microseconds" },
  "cpu-shares": { kind: "text", short: "c", help: "CPU shares (relative weight)" },
  cpus: { kind: "text", help: "Number of CPUs" },
  "cpuset-cpus": { kind: "text", help: "CPUs in which to allow execution (0-3, 0,1)" },
  "cpuset-mems": { kind: "text", help: "MEMs in which to allow execution (0-3, 0,1)" },
  memory: { kind: "text", short: "m", help: "Memory limit" },
  "memory-reservation": { kind: "text", help: "Memory soft limit" },
  "memory-swap": { kind: "text", help: "Swap limit equal to memory plus swap: '-1' to enable unlimited swap" },
  "pids-limit": { kind: "text", help: "Tune container pids limit (set -1 for unlimited)" },
};

export const LIMIT_FLAGS: Specs = {
  ...CHANGEABLE_FLAGS,
  "blkio-weight-device": { kind: "list", help: "Block IO weight (relative device weight)" },
  "cgroup-parent": { kind: "text", help: "Optional parent cgroup for the container" },
  "device-cgroup-rule": { kind: "list", help: "Add a rule to the cgroup allowed devices list" },
  "device-read-bps": { kind: "list", help: "Limit read rate (bytes per second) from a device" },
  "device-read-iops": { kind: "list", help: "Limit read rate (IO per second) from a device" },
  "device-write-bps": { kind: "list", help: "Limit write rate (bytes per second) to a device" },
  "device-write-iops": { kind: "list", help: "Limit write rate (IO per second) to a device" },
  "memory-swappiness": { kind: "text", help: "Tune container memory swappiness (0 to 100)" },
  "oom-kill-disable": { kind: "bool", help: "Disable OOM Killer" },
};

/** Bytes from `64m`. @throws UsageError */
export function bytes(flags: Flags, name: string): number | undefined {
  const text = flags.text(name);
  if (text === undefined) return undefined;
  if (text === "-1") return -1;
  try {
    return parseBytes(text);
  } catch (error) {
    throw new UsageError(`invalid argument "${text}" for "--${name}" flag: ${messageOf(error)}`);
  }
}

/** `path:value`. @throws UsageError */
function disks(flags: Flags, name: string, key: "Weight" | "Rate", read: (text: string) => number): readonly object[] {
  return flags.list(name).map((text) => {
    const [, path, value = ""] = /^(\/dev\/[^:]+):(\d.*)$/.exec(text) ?? [];
    if (path === undefined)
      throw new UsageError(`invalid argument "${text}" for "--${name}" flag: bad format for path: ${text}`);
    return { Path: path, [key]: read(value) };
  });
}

/** What CHANGEABLE_FLAGS say, as HostConfig and the body of an update have it. @throws UsageError */
export const changeableOf = (flags: Flags): object => ({
  BlkioWeight: flags.number("blkio-weight"),
  CpuPeriod: flags.number("cpu-period"),
  CpuQuota: flags.number("cpu-quota"),
  CpuRealtimePeriod: flags.number("cpu-rt-period"),
  CpuRealtimeRuntime: flags.number("cpu-rt-runtime"),
  CpuShares: flags.number("cpu-shares"),
  CpusetCpus: flags.text("cpuset-cpus"),
  CpusetMems: flags.text("cpuset-mems"),
  Memory: bytes(flags, "memory"),
  MemoryReservation: bytes(flags, "memory-reservation"),
  MemorySwap: bytes(flags, "memory-swap"),
  NanoCpus: flags.has("cpus") ? Math.round((flags.number("cpus") ?? 0) * 1e9) : undefined,
  PidsLimit: flags.number("pids-limit"),
});

/** The part of HostConfig. @throws UsageError */
export const limitsOf = (flags: Flags): object => ({
  ...changeableOf(flags),
  BlkioWeightDevice: disks(flags, "blkio-weight-device", "Weight", Number),
  BlkioDeviceReadBps: disks(flags, "device-read-bps", "Rate", parseBytes),
  BlkioDeviceWriteBps: disks(flags, "device-write-bps", "Rate", parseBytes),
  BlkioDeviceReadIOps: disks(flags, "device-read-iops", "Rate", Number),
  BlkioDeviceWriteIOps: disks(flags, "device-write-iops", "Rate", Number),
  CgroupParent: flags.text("cgroup-parent"),
  DeviceCgroupRules: flags.list("device-cgroup-rule"),
  MemorySwappiness: flags.number("memory-swappiness"),
  OomKillDisable: flags.on("oom-kill-disable"),
});
