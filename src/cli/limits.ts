/** What a container may take, as flags. */

import { messageOf } from "../base/errors.ts";
import { parseBytes } from "../base/units.ts";
import { type Flags, type Specs, UsageError } from "./flags.ts";

export const LIMIT_FLAGS: Specs = {
  "blkio-weight": { kind: "text", help: "Block IO (relative weight), between 10 and 1000" },
  "blkio-weight-device": { kind: "list", help: "Block IO weight (relative device weight, path:weight)" },
  "cgroup-parent": { kind: "text", help: "Optional parent cgroup for the container" },
  "cpu-period": { kind: "text", help: "Limit CPU CFS period, microseconds" },
  "cpu-quota": { kind: "text", help: "Limit CPU CFS quota, microseconds" },
  "cpu-rt-period": { kind: "text", help: "Limit CPU real-time period in microseconds" },
  "cpu-rt-runtime": { kind: "text", help: "Limit CPU real-time runtime in microseconds" },
  "cpu-shares": { kind: "text", short: "c", help: "CPU shares (relative weight)" },
  cpus: { kind: "text", help: "Number of CPUs" },
  "cpuset-cpus": { kind: "text", help: "CPUs in which to allow execution (0-3, 0,1)" },
  "cpuset-mems": { kind: "text", help: "MEMs in which to allow execution (0-3, 0,1)" },
  "device-cgroup-rule": { kind: "list", help: "Add a rule to the cgroup allowed devices list" },
  "device-read-bps": { kind: "list", help: "Limit read rate (bytes per second) from a device (path:rate)" },
  "device-read-iops": { kind: "list", help: "Limit read rate (IO per second) from a device (path:rate)" },
  "device-write-bps": { kind: "list", help: "Limit write rate (bytes per second) to a device (path:rate)" },
  "device-write-iops": { kind: "list", help: "Limit write rate (IO per second) to a device (path:rate)" },
  memory: { kind: "text", short: "m", help: "Memory limit, bytes" },
  "memory-reservation": { kind: "text", help: "Memory soft limit, bytes" },
  "memory-swappiness": { kind: "text", help: "Tune container memory swappiness (0 to 100)" },
  "memory-swap": { kind: "text", help: "Memory and swap limit, bytes; -1 for unlimited swap" },
  "oom-kill-disable": { kind: "bool", help: "Disable OOM Killer" },
  "pids-limit": { kind: "text", help: "Tune container pids limit (-1 for unlimited)" },
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

/** The part of HostConfig. @throws UsageError */
export const limitsOf = (flags: Flags): object => ({
  BlkioWeight: flags.number("blkio-weight"),
  BlkioWeightDevice: disks(flags, "blkio-weight-device", "Weight", Number),
  BlkioDeviceReadBps: disks(flags, "device-read-bps", "Rate", parseBytes),
  BlkioDeviceWriteBps: disks(flags, "device-write-bps", "Rate", parseBytes),
  BlkioDeviceReadIOps: disks(flags, "device-read-iops", "Rate", Number),
  BlkioDeviceWriteIOps: disks(flags, "device-write-iops", "Rate", Number),
  CgroupParent: flags.text("cgroup-parent"),
  CpuPeriod: flags.number("cpu-period"),
  CpuQuota: flags.number("cpu-quota"),
  CpuRealtimePeriod: flags.number("cpu-rt-period"),
  CpuRealtimeRuntime: flags.number("cpu-rt-runtime"),
  CpuShares: flags.number("cpu-shares"),
  CpusetCpus: flags.text("cpuset-cpus"),
  CpusetMems: flags.text("cpuset-mems"),
  DeviceCgroupRules: flags.list("device-cgroup-rule"),
  Memory: bytes(flags, "memory"),
  MemoryReservation: bytes(flags, "memory-reservation"),
  MemorySwap: bytes(flags, "memory-swap"),
  MemorySwappiness: flags.number("memory-swappiness"),
  NanoCpus: flags.has("cpus") ? Math.round((flags.number("cpus") ?? 0) * 1e9) : undefined,
  OomKillDisable: flags.on("oom-kill-disable"),
  PidsLimit: flags.number("pids-limit"),
});
