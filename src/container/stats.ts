/** What a container takes just now: of processors, memory, disks and networks. */

import { readFile } from "node:fs/promises";
import { ifMissing } from "../base/errors.ts";
import type { CgroupStats } from "../runtime/cgroup.ts";

export interface InterfaceStats {
  readonly name: string;
  readonly received: Traffic;
  readonly sent: Traffic;
}

export interface Traffic {
  readonly bytes: number;
  readonly packets: number;
  readonly errors: number;
  readonly dropped: number;
}

export interface Sample {
  readonly at: Date;
  readonly cgroup: CgroupStats;
  /** Nanoseconds that all processors of the host have spent, idle or not, since it booted. */
  readonly systemCpuNs: number;
  readonly onlineCpus: number;
  /** Empty when it has none of its own. */
  readonly interfaces: readonly InterfaceStats[];
}

/** USER_HZ. Source: proc_stat(5). */
const TICK_NS = 1e7;
/** user to softirq and steal; what guests take is part of user. */
const CPU_FIELDS = 8;

/** @param text  of /proc/stat */
export function parseCpuTime(text: string): { readonly systemCpuNs: number; readonly onlineCpus: number } {
  const lines = text.split("\n");
  const [, ...ticks] = (lines.find((line) => line.startsWith("cpu ")) ?? "").split(/\s+/);
  const total = ticks.slice(0, CPU_FIELDS).reduce((sum, value) => sum + Number(value), 0);
  return { systemCpuNs: total * TICK_NS, onlineCpus: lines.filter((line) => /^cpu\d/.test(line)).length };
}

/** @param text  of /proc/PID/net/dev: bytes, packets, errs, drop, four more, and the same of what was sent */
export function parseInterfaces(text: string): readonly InterfaceStats[] {
  return text.split("\n").flatMap((line) => {
    const [, name, fields] = /^\s*([^:\s]+):(.*)$/.exec(line) ?? [];
    if (name === undefined || fields === undefined || name === "lo") return [];
    const values = fields.trim().split(/\s+/).map(Number);
    const traffic = (from: number): Traffic => {
      const [bytes = 0, packets = 0, errors = 0, dropped = 0] = values.slice(from);
      return { bytes, packets, errors, dropped };
    };
    return [{ name, received: traffic(0), sent: traffic(8) }];
  });
}

/**
 * @param cgroup         reads the container's
 * @param pid            of its first process
 * @param hasOwnNetwork  else its interfaces are the host's, which are not its
 * @throws notFound when it has ended
 */
export async function sample(cgroup: () => Promise<CgroupStats>, pid: number, hasOwnNetwork: boolean): Promise<Sample> {
  const [stats, cpu, network] = await Promise.all([
    cgroup(),
    readFile("/proc/stat", "utf8"),
    hasOwnNetwork ? readFile(`/proc/${pid}/net/dev`, "utf8").catch(ifMissing("", "ESRCH", "EINVAL")) : "",
  ]);
  return { at: new Date(), cgroup: stats, ...parseCpuTime(cpu), interfaces: parseInterfaces(network) };
}
