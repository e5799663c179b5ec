/** The limits of a container in a request's own spelling. Source: Docker Engine API 1.50, Resources. */

import { invalid } from "../base/errors.ts";
import type { DiskValue, Resources } from "../container/resources.ts";
import type { ResourceChange } from "../container/update.ts";
import { type Document, isBlank } from "./document.ts";

/** Limits that are no host's of ours, and why: Windows has them, or Linux had. */
const NO_LIMITS: Readonly<Record<string, string>> = {
  KernelMemory: "kernel memory has no limit of its own since Linux 5.4: use Memory",
  KernelMemoryTCP: "kernel memory of TCP has no limit of its own with current runtimes: use Memory",
  CpuCount: "linux does not support a CPU count: use NanoCpus",
  CpuPercent: "linux does not support CPU percent: use NanoCpus",
  IOMaximumIOps: "Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps",
  IOMaximumBandwidth: "Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps",
};

function checkNames(host: Document): void {
  for (const [name, why] of Object.entries(NO_LIMITS)) if (!isBlank(host.get(name))) throw invalid(why);
}

/** @throws invalid */
export function inRange(name: string, value: number, least: number, most: number): number {
  if (value < least || value > most) throw invalid(`invalid value ${value} for ${name}: range is ${least} to ${most}`);
  return value;
}

const LEAST_MEMORY = 6 << 20;
const WEIGHTS = { least: 10, most: 1000 } as const;

const disks = (host: Document, name: string, value: "Weight" | "Rate"): readonly DiskValue[] =>
  host.documents(name).map((disk) => ({ path: disk.text("Path"), value: disk.number(value) }));

function readDisks(host: Document) {
  const weight = host.number("BlkioWeight");
  const weights = disks(host, "BlkioWeightDevice", "Weight");
  const isWrong = (value: number) => value < WEIGHTS.least || value > WEIGHTS.most;
  if ((weight !== 0 && isWrong(weight)) || weights.some(({ value }) => isWrong(value)))
    throw invalid("Range of blkio weight is from 10 to 1000");
  return {
    blkioWeight: weight,
    blkioWeightDevice: weights,
    blkioDeviceReadBps: disks(host, "BlkioDeviceReadBps", "Rate"),
    blkioDeviceWriteBps: disks(host, "BlkioDeviceWriteBps", "Rate"),
    blkioDeviceReadIops: disks(host, "BlkioDeviceReadIOps", "Rate"),
    blkioDeviceWriteIops: disks(host, "BlkioDeviceWriteIOps", "Rate"),
  };
}

function readMemory(host: Document) {
  const memory = host.number("Memory");
  if (memory !== 0 && memory < LEAST_MEMORY) throw invalid("Minimum memory limit allowed is 6MB");
  const memoryReservation = host.number("MemoryReservation");
  if (memoryReservation > 0 && memoryReservation < LEAST_MEMORY)
    throw invalid("Minimum memory reservation allowed is 6MB");
  if (memory > 0 && memory < memoryReservation)
    throw invalid("Minimum memory limit can not be less than memory reservation limit, see usage");
  const memorySwappiness = host.number("MemorySwappiness", -1);
  if (memorySwappiness < -1 || memorySwappiness > 100)
    throw invalid(`Invalid value: ${memorySwappiness}, valid memory swappiness range is 0-100`);
  const oomKillDisable = host.flag("OomKillDisable");
  return { memory, memorySwap: host.number("MemorySwap"), memoryReservation, memorySwappiness, oomKillDisable };
}

function readRealtime(host: Document) {
  const [cpuRealtimePeriod, cpuRealtimeRuntime] = [host.number("CpuRealtimePeriod"), host.number("CpuRealtimeRuntime")];
  if (cpuRealtimePeriod > 0 && cpuRealtimeRuntime > cpuRealtimePeriod)
    throw invalid("cpu real-time runtime cannot be higher than cpu real-time period");
  return { cpuRealtimePeriod, cpuRealtimeRuntime };
}

/** Of `--cpus`. */
function readCpus(host: Document): number {
  const [nanoCpus, there] = [host.number("NanoCpus"), navigator.hardwareConcurrency];
  if (nanoCpus < 0 || nanoCpus > there * 1e9)
    throw invalid(`range of CPUs is from 0.01 to ${there.toFixed(2)}, as there are only ${there} CPUs available`);
  return nanoCpus;
}

/** Microseconds: what the kernel takes. Source: Linux, kernel/sched/core.c, tg_set_cfs_bandwidth(). */
function readBandwidth(host: Document) {
  const [cpuPeriod, cpuQuota] = [host.number("CpuPeriod"), host.number("CpuQuota")];
  if (cpuPeriod !== 0 && (cpuPeriod < 1000 || cpuPeriod > 1_000_000))
    throw invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
  if (cpuQuota > 0 && cpuQuota < 1000) throw invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)");
  return { cpuPeriod, cpuQuota };
}

function read(host: Document): Resources {
  checkNames(host);
  if (host.number("NanoCpus") > 0 && (host.number("CpuQuota") > 0 || host.number("CpuPeriod") > 0))
    throw invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set.");
  return {
    ...readMemory(host),
    ...readRealtime(host),
    ...readDisks(host),
    cpuShares: host.number("CpuShares"),
    ...readBandwidth(host),
    nanoCpus: readCpus(host),
    cpusetCpus: host.text("CpusetCpus"),
    cpusetMems: host.text("CpusetMems"),
    pidsLimit: Math.max(0, host.number("PidsLimit")),
  };
}

/** @throws invalid */
export function toResources(host: Document): Resources {
  const resources = read(host);
  const { memory, memorySwap } = resources;
  if (memorySwap > 0 && memory === 0)
    throw invalid("You should always set the Memory limit when using Memoryswap limit, see usage");
  if (memorySwap > 0 && memorySwap < memory)
    throw invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
  // as much again, when nobody speaks of swap
  return memorySwap === 0 && memory > 0 ? { ...resources, memorySwap: memory * 2 } : resources;
}

/** What an update names: zeros and empty texts say nothing, but for the limit of processes, which they lift. @throws invalid */
export function toResourceChange(body: Document): ResourceChange {
  const { pidsLimit, oomKillDisable, memorySwappiness, ...others } = read(body);
  const given = Object.entries(others).filter(([, value]) => !isBlank(value) || value === -1);
  return {
    ...Object.fromEntries(given),
    ...(memorySwappiness >= 0 && { memorySwappiness }),
    ...(body.has("OomKillDisable") && { oomKillDisable }),
    ...(body.has("PidsLimit") && { pidsLimit }),
  };
}
