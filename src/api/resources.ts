/** The limits of a container in a request's own spelling. Source: Docker Engine API 1.50, Resources. */

import { invalid } from "../base/errors.ts";
import type { Resources } from "../container/config.ts";
import type { ResourceChange } from "../container/update.ts";
import type { Document } from "./document.ts";

/** What this engine cannot limit yet. */
export const RESOURCES_REFUSED = [
  ...["BlkioWeight", "BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps"],
  ...["BlkioDeviceWriteIOps", "CpuRealtimePeriod", "CpuRealtimeRuntime", "DeviceCgroupRules", "DeviceRequests"],
  ...["KernelMemory", "KernelMemoryTCP", "MemorySwappiness", "OomKillDisable", "CpuCount", "CpuPercent"],
  ...["IOMaximumIOps", "IOMaximumBandwidth"],
];

/** @throws invalid */
export function inRange(name: string, value: number, least: number, most: number): number {
  if (value < least || value > most) throw invalid(`invalid value ${value} for ${name}: range is ${least} to ${most}`);
  return value;
}

const LEAST_MEMORY = 6 << 20;

function read(host: Document): Resources {
  const memory = host.number("Memory");
  if (memory !== 0 && memory < LEAST_MEMORY) throw invalid("Minimum memory limit allowed is 6MB");
  if (host.number("NanoCpus") > 0 && (host.number("CpuQuota") > 0 || host.number("CpuPeriod") > 0))
    throw invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set.");
  return {
    memory,
    memorySwap: host.number("MemorySwap"),
    memoryReservation: host.number("MemoryReservation"),
    cpuShares: host.number("CpuShares"),
    cpuQuota: host.number("CpuQuota"),
    cpuPeriod: host.number("CpuPeriod"),
    nanoCpus: inRange("NanoCpus", host.number("NanoCpus"), 0, navigator.hardwareConcurrency * 1e9),
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
  return resources;
}

/** What an update names: zeros and empty texts say nothing, but for the limit of processes, which they lift. @throws invalid */
export function toResourceChange(body: Document): ResourceChange {
  const { pidsLimit, ...others } = read(body);
  const given = Object.entries(others).filter(([, value]) => value !== 0 && value !== "");
  return { ...Object.fromEntries(given), ...(body.has("PidsLimit") && { pidsLimit }) };
}
