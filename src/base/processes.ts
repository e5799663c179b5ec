/** Processes that are not our children: what they run from, signals that meet the right one, which devices they may open. */

import { closeSync, readFileSync, readlinkSync } from "node:fs";
import { checked, cString, library } from "./library.ts";

/** @returns a descriptor of an unchangeable copy of a program, in memory. @throws SystemError */
export const sealedCopy = (path: string): number =>
  checked(`copy ${path} into memory`, library().bosun_memfd(cString(path)));

/** Field 22 of /proc/<pid>/stat; the command in parentheses may hold anything. @returns undefined when the text is none */
export const startOf = (stat: string): string | undefined => stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];

/** When a process was started, clock ticks after boot: with its pid it never names another. @returns undefined when there is none */
export function processStart(pid: number): string | undefined {
  try {
    return startOf(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return undefined;
  }
}

/** Whether the process of this pid and start can still do something: one that has ended and waits for its parent cannot. */
export function isRunning(pid: number, start: string): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return startOf(stat) === start && !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}

/** Whether it is in a network namespace still: one that is about to end has left it some time before it cannot be found any more. */
export function hasNetwork(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`) !== "";
  } catch {
    return false;
  }
}

/**
 * @param isWanted  asked once `pid` can no longer come to mean another process: is it still the one that is meant?
 * @returns         whether the signal was sent
 */
export function signalProcess(pid: number, signal: number, isWanted: () => boolean): boolean {
  const fd = library().bosun_pidfd_open(pid);
  if (fd < 0) return false;
  try {
    return isWanted() && library().bosun_pidfd_kill(fd, signal) === 0;
  } finally {
    closeSync(fd);
  }
}

/** Lets a BPF program decide about devices in a v2 cgroup. @param code  `struct bpf_insn[]` @throws SystemError */
export function attachDeviceFilter(cgroup: string, code: Uint8Array): void {
  const result = library().bosun_device_filter(cString(cgroup), code, code.byteLength);
  checked(`set the device filter of ${cgroup}`, result);
}
