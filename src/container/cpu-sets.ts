/**
 * Processors and memory nodes that a container is held to, as `0-2,7`: told wrong before anything starts, in Docker's words.
 * Source: cpuset(7), "List format"; Linux, Documentation/ABI/stable/sysfs-devices-system-cpu.
 */

import { readFileSync } from "node:fs";
import { ifMissing, invalid } from "../base/errors.ts";
import type { Resources } from "./resources.ts";

/** What this host has, in the same form. */
export interface CpuSets {
  readonly cpus: string;
  readonly mems: string;
}

/** More than any kernel is built for; a range of billions would only take memory. */
const HIGHEST = 65_535;

/** @returns undefined when it is no such list */
export function parseCpuSet(text: string): ReadonlySet<number> | undefined {
  const members = new Set<number>();
  for (const part of text.split(",")) {
    const [, first = "", last = first] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    const [low, high] = [Number(first), Number(last)];
    if (first === "" || low > high || high > HIGHEST) return undefined;
    for (let member = low; member <= high; member++) members.add(member);
  }
  return members;
}

function checkOne(asked: string, there: string, name: string, what: string): void {
  if (asked === "") return;
  const members = parseCpuSet(asked);
  if (members === undefined) throw invalid(`Invalid value ${asked} for cpuset ${name}: invalid format: ${asked}`);
  const available = parseCpuSet(there);
  if (available && [...members].some((member) => !available.has(member)))
    throw invalid(`Requested ${what} are not available - requested ${asked}, available: ${there}`);
}

/** @throws invalid */
export function checkCpuSets({ cpusetCpus, cpusetMems }: Resources, { cpus, mems }: CpuSets): void {
  checkOne(cpusetCpus, cpus, "cpus", "CPUs");
  checkOne(cpusetMems, mems, "mems", "memory nodes");
}

/** A kernel without NUMA has one node. */
function onlineOf(kind: "cpu" | "node"): string {
  try {
    return readFileSync(`/sys/devices/system/${kind}/online`, "utf8").trim();
  } catch (error) {
    return ifMissing("0")(error);
  }
}

/** As it is now: processors come and go. */
export const hostCpuSets = (): CpuSets => ({ cpus: onlineOf("cpu"), mems: onlineOf("node") });
