/**
 * Operations that only an OCI runtime needs: what its configurations may ask for beyond Docker's, and the hand-over of a process to whoever
 * called. As ops.ts; see shim/PROTOCOL.md.
 */

import type { DeviceRule } from "./cgroup.ts";
import type { Op } from "./ops.ts";

const bit = (value: boolean): string => (value ? "1" : "0");

/** The process has the caller's stdin, stdout and stderr. With a terminal it is `stdio("pty")` and `consoleSocket`. */
export const inheritStdio = (): Op => ["stdio", "inherit", "0", "0"];

/** On the host's side. @param path  of a unix socket that takes the terminal's master, by SCM_RIGHTS */
export const consoleSocket = (path: string): Op => ["console-socket", path];

/** A terminal as stdio, of a size. @param bind  also at /dev/console */
export const console = (bind: boolean, size?: { readonly height: number; readonly width: number }): Op => [
  "console",
  bit(bind),
  ...(size === undefined ? [] : [String(size.height), String(size.width)]),
];

export interface IdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

const mapLines = (mappings: readonly IdMapping[]): string =>
  mappings.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join("");

/** Users of the user namespace that `clone` makes. On the host's side. Source: user_namespaces(7). */
export const map = (uids: readonly IdMapping[], gids: readonly IdMapping[]): Op => [
  "map",
  mapLines(uids),
  mapLines(gids),
];

/** Flags of the mount at `path`: of MS, propagation among those that are set. @param deep  those of all mounts below, too */
export const attributes = (path: string, set: number, clear: number, deep: boolean): Op => [
  "attributes",
  path,
  String(set),
  String(clear),
  bit(deep),
];

/** What a file system that is mounted gets of the directory that it covers. */
export const LIKE = { mode: 1, content: 2 } as const;

/** `mount` of ops.ts. @param like  of LIKE */
export const mountLike = (mount: Op, like: number): Op => [...mount, String(like)];

/** Without pivot_root(2), for where / is an initramfs. */
export const moveRoot = (): Op => ["pivot", "1"];

export interface HookCall {
  readonly path: string;
  /** From the program's name for itself on. */
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** Seconds; 0 for ever. */
  readonly timeout: number;
}

/** A program with the container's state on stdin. @param state  JSON, before and after the process's own pid */
export const hook = ({ path, args, env, timeout }: HookCall, state: readonly [before: string, after: string]): Op => [
  "hook",
  String(timeout),
  ...state,
  path,
  String(args.length),
  ...args,
  ...env,
];

/** Where AppArmor is told of the program to come. Source: Linux, admin-guide/LSM/apparmor */
export const APPARMOR = "/proc/thread-self/attr/apparmor/exec";

/** What a security module is told of the program to come. Before `pivot`. @param file  as /proc/thread-self/attr/exec */
export const label = (file: string, text: string): Op => ["label", file, text];

export const appArmor = (profile: string): Op => label(APPARMOR, `exec ${profile}`);

/** Source: ioprio_set(2). */
export const ioPriority = (kind: number, level: number): Op => ["io-priority", String(kind), String(level)];

export interface Scheduling {
  readonly policy: number;
  readonly flags: number;
  /** -20..19 */
  readonly nice: number;
  readonly priority: number;
  /** Nanoseconds, as are the next two. */
  readonly runtime: number;
  readonly deadline: number;
  readonly period: number;
}

/** Source: sched_setattr(2). */
export const scheduler = ({ policy, flags, nice, priority, runtime, deadline, period }: Scheduling): Op => [
  "scheduler",
  ...[policy, flags, nice, priority, runtime, deadline, period].map(String),
];

/** Source: personality(2). */
export const personality = (domain: number): Op => ["personality", String(domain)];

/** Fails where `exec` would. After `env`. */
export const find = (program: string): Op => ["find", program];

/** The process stands here, without a parent that watches it, until somebody connects to `start.sock`. */
export const park = (): Op => ["park"];

// --- for a runtime of somebody else's, told by oci-bundle.ts; the shim knows neither of the first two ---

/** First in a plan: which of the daemon's runtimes makes the process. @param devices  the rules of its cgroup, which the runtime sets again */
export const viaRuntime = (name: string, devices: readonly DeviceRule[]): Op => [
  "oci-runtime",
  name,
  JSON.stringify(devices),
];

/** In the place of `seccomp`. @param profile  as an OCI configuration has it, JSON */
export const seccompProfile = (profile: object): Op => ["seccomp-profile", JSON.stringify(profile)];

export interface MadeBy {
  /** Where the runtime names the process. */
  readonly pidFile: string;
  /** Where it sends a terminal; the shim listens there. Undefined without one. */
  readonly consoleSocket: string | undefined;
  /** What lets the process go on; empty when it does so at once. */
  readonly start: readonly string[];
}

/** The plan's program is a runtime, and what it makes is the task. On the host's side. */
export const madeBy = ({ pidFile, consoleSocket, start }: MadeBy): Op => [
  "runtime",
  pidFile,
  consoleSocket ?? "",
  ...start,
];

/** Writes `before`, an OCI user and `after` into a file. @param spec  Docker's `user[:group]`, looked up below `root` */
export const identity = (
  file: string,
  spec: string,
  [before, after]: readonly [before: string, after: string],
  groups: readonly string[],
): Op => ["identity", file, spec, before, after, ...groups];
