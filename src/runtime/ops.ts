/**
 * A plan: what the shim does, as a flat list of named kernel operations, each made by the function of its name below. What every one does
 * and how it fails: shim/PROTOCOL.md. A plan's order: what belongs to the host, `clone`, then what the process does to itself,
 * `wait` somewhere in it, `exec` at the end. Before `root`, paths are the host's; from then on the container's.
 */

import { dirname } from "node:path";

/** One kernel action by name, its arguments as text (no NUL). */
export type Op = readonly [name: string, ...args: string[]];

export type Plan = readonly Op[];

/** Namespaces to make or join. Source: linux/sched.h. */
export const CLONE = {
  newTime: 0x00000080,
  newNs: 0x00020000,
  newCgroup: 0x02000000,
  newUts: 0x04000000,
  newIpc: 0x08000000,
  newUser: 0x10000000,
  newPid: 0x20000000,
  newNet: 0x40000000,
} as const;

/** Mount flags. Source: mount(2), linux/mount.h. */
export const MS = {
  rdonly: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  synchronous: 16,
  dirsync: 128,
  nosymfollow: 256,
  noatime: 1024,
  nodiratime: 2048,
  rec: 16384,
  unbindable: 1 << 17,
  private: 1 << 18,
  slave: 1 << 19,
  shared: 1 << 20,
  relatime: 1 << 21,
  strictatime: 1 << 24,
  lazytime: 1 << 25,
} as const;

/** Resource limits by Docker's names. Source: asm-generic/resource.h. */
export const RLIMIT = {
  cpu: 0,
  fsize: 1,
  data: 2,
  stack: 3,
  core: 4,
  rss: 5,
  nproc: 6,
  nofile: 7,
  memlock: 8,
  as: 9,
  locks: 10,
  sigpending: 11,
  msgqueue: 12,
  nice: 13,
  rtprio: 14,
  rttime: 15,
} as const;

/** Kinds of device node. Source: inode(7). */
export const S_IF = { chr: 0o020000, blk: 0o060000, fifo: 0o010000 } as const;

/** No limit, for `rlimit`. */
export const UNLIMITED = 0xffff_ffff_ffff_ffffn;

const bit = (value: boolean): string => (value ? "1" : "0");
const number = (value: number | bigint): string => {
  if (typeof value === "number" && !(Number.isSafeInteger(value) && value >= 0))
    throw new RangeError(`Cannot put ${value} into a plan: want a whole number from 0`);
  return value.toString();
};

// --- the host's side ---

/** Mounts a layer, unless it is mounted there already: an EROFS `index` whose files lie in `device`. */
export const layer = (index: string, device: string, target: string): Op => ["layer", index, device, target];

/** Idempotent: what is no mount point is unmounted. @remarks on either side */
export const umount = (path: string): Op => ["umount", path];

export interface StdioOptions {
  /** The container's stdin can be written to by clients; else it is empty (`null`, `pipe`) or deaf (`pty`). */
  readonly stdin?: boolean;
  /** stdin ends with the input of the first client. */
  readonly once?: boolean;
}

/** With `pty` the plan needs `console` and `session`, too. */
export const stdio = (kind: "null" | "pipe" | "pty", { stdin = false, once = false }: StdioOptions = {}): Op => [
  "stdio",
  kind,
  bit(stdin),
  bit(once),
];

export interface LogOptions {
  /** Bytes past which the file is rotated; 0: never. */
  readonly maxSize?: number;
  /** Files kept, the current one among them. */
  readonly maxFile?: number;
  /** JSON object of Docker's `attrs` (labels, env), when there are any. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** Whether entries are counted, so that it shows when some are missing. */
  readonly numbered?: boolean;
}

/** A json-file log of stdout and stderr. */
export function log(path: string, { maxSize = 0, maxFile = 1, attributes, numbered }: LogOptions = {}): Op {
  const op: Op = ["log", path, number(maxSize), number(maxFile)];
  const text = attributes === undefined ? "" : `"attrs":${JSON.stringify(attributes)},`;
  return numbered ? [...op, text, bit(true)] : text === "" ? op : [...op, text];
}

/** Enters a namespace by its file. The pid namespace must be joined before `clone`, the mount namespace as the last. */
export const join = (path: string, type: number): Op => ["join", path, number(type)];

const isOfVersion2 = (entrance: string): boolean => entrance.endsWith("/cgroup.procs");

/** The process begins. @param flags  of CLONE, or 0. @param entrances  of its cgroups: into the one of version 2 it is born */
export function clone(flags: number, entrances: readonly string[] = []): Op {
  const entrance = entrances.find(isOfVersion2);
  return ["clone", number(flags), ...(entrance === undefined ? [] : [dirname(entrance)])];
}

// --- the process's side ---

/** @param entrance  absolute path of a file by which a process, or this one's only thread, enters a cgroup */
export const cgroup = (entrance: string): Op => ["cgroup", entrance];

/** Into those cgroups that `clone` cannot put it in. */
export const cgroups = (entrances: readonly string[]): readonly Op[] =>
  entrances.filter((entrance) => !isOfVersion2(entrance)).map(cgroup);

/** @param flags  of CLONE; the cgroup namespace is made so, after `cgroup` */
export const unshare = (flags: number): Op => ["unshare", number(flags)];

/** A session of its own, and with `pty` the terminal as its controlling one (after `console`). */
export const session = (): Op => ["session"];
export const hostname = (name: string): Op => ["hostname", name];
export const domainname = (name: string): Op => ["domainname", name];

/** @param flags  one of MS.private, .slave, .shared, .unbindable, with MS.rec for all below. `path` is the host's, `/` by default */
export const propagation = (flags: number, path?: string): Op =>
  path === undefined ? ["propagation", number(flags)] : ["propagation", number(flags), path];

export interface OverlayOptions {
  /** From the top layer to the bottom one; at least one, without `upper` two. */
  readonly lower: readonly string[];
  readonly upper?: string;
  readonly work?: string;
}

export const overlay = (target: string, { lower, upper = "", work = "" }: OverlayOptions): Op => [
  "overlay",
  target,
  upper,
  work,
  ...lower,
];

export interface BindOptions {
  /** Of MS: attributes and propagation of the bound mount itself; MS.rec takes the mounts below the source along. */
  readonly flags?: number;
  /** Of MS: attributes and propagation of it and all below. */
  readonly recursive?: number;
  /** Make the target where it is missing: a directory or an empty file, as the source is. */
  readonly create?: boolean;
  /** A path in the directory `source`, to be bound in its place; no link in there leads out. */
  readonly below?: string;
  /** Other owners than on disk, for the mount itself and not those below. */
  readonly idMaps?: { readonly uids: readonly IdRange[]; readonly gids: readonly IdRange[] };
}

/** What is `inside` on disk is seen as `outside`. */
export interface IdRange {
  readonly inside: number;
  readonly outside: number;
  readonly length: number;
}

/** Source: user_namespaces(7), uid_map. */
const mapText = (ranges: readonly IdRange[]): string =>
  ranges.map(({ inside, outside, length }) => `${number(inside)} ${number(outside)} ${number(length)}\n`).join("");

/** @param source  a path of the host, so before `pivot` */
export const bind = (source: string, target: string, options: BindOptions = {}): Op => [
  "bind",
  source,
  target,
  number(options.flags ?? 0),
  number(options.recursive ?? 0),
  bit(options.create ?? true),
  ...(options.below === undefined && options.idMaps === undefined ? [] : [options.below ?? ""]),
  ...(options.idMaps === undefined ? [] : [mapText(options.idMaps.uids), mapText(options.idMaps.gids)]),
];

/** @param namespace  file of a mount namespace. @param source  what is mounted there, in it */
export const share = (namespace: string, source: string, target: string): Op => ["share", namespace, source, target];

/** A new file system. @param data  its options, `a,b=c` */
export const mount = (type: string, source: string, target: string, flags = 0, data = ""): Op => [
  "mount",
  type,
  source,
  target,
  number(flags),
  data,
];

/** From here on paths are the container's. @param path  where the root is mounted, on the host */
export const root = (path: string): Op => ["root", path];

/** With its parents; what exists stays as it is. @param mode  permission bits */
export const mkdir = (path: string, mode = 0o755): Op => ["mkdir", path, number(mode)];

/** An empty file, unless something is there. */
export const file = (path: string, mode: number): Op => ["file", path, number(mode)];

export interface NodeOptions {
  /** S_IF.chr or .blk or .fifo, with permission bits. */
  readonly mode: number;
  readonly major: number;
  readonly minor: number;
  readonly uid?: number;
  readonly gid?: number;
}

export const mknod = (path: string, { mode, major, minor, uid = 0, gid = 0 }: NodeOptions): Op => [
  "mknod",
  path,
  number(mode),
  number(major),
  number(minor),
  number(uid),
  number(gid),
];

/** What is at `path` already stays. */
export const symlink = (target: string, path: string): Op => ["symlink", target, path];

/** Hides a file behind /dev/null (the container's, which must be there) or a directory behind an empty one. */
export const mask = (path: string): Op => ["mask", path];
export const readonly = (path: string): Op => ["readonly", path];

/** A terminal from the container's /dev/pts. @param bind  also as /dev/console */
export const console = (bind: boolean): Op => ["console", bit(bind)];

export const pivot = (): Op => ["pivot"];
export const remountReadonlyRoot = (): Op => ["remount-ro-root"];

/** @param name  as `net.ipv4.ip_forward` */
export const sysctl = (name: string, value: string): Op => ["sysctl", name, value];
export const loopback = (): Op => ["loopback"];

/** @param resource  of RLIMIT */
export const rlimit = (resource: number, soft: number | bigint, hard: number | bigint): Op => [
  "rlimit",
  number(resource),
  number(soft),
  number(hard),
];

/** @param score  -1000..1000 */
export const oomScore = (score: number): Op => ["oom-score", String(score)];
export const noNewPrivileges = (): Op => ["no-new-privs"];

export interface CapabilitySets {
  readonly bounding: bigint;
  readonly effective: bigint;
  readonly permitted: bigint;
  readonly inheritable: bigint;
  readonly ambient: bigint;
}

/** Bit n is capability n. After `user`, and after everything that needs a privilege. */
export const caps = (sets: CapabilitySets): Op => [
  "caps",
  ...[sets.bounding, sets.effective, sets.permitted, sets.inheritable, sets.ambient].map((set) => set.toString(16)),
];

/**
 * Needs CAP_SYS_ADMIN or `no-new-privs`: so before `caps`.
 * @param filter  `struct sock_filter[]`
 * @param flags   of SECCOMP_FILTER_FLAG
 */
export const seccomp = (filter: Uint8Array, flags = 0): Op => [
  "seccomp",
  number(flags),
  Buffer.from(filter).toString("hex"),
];

/** @param spec  Docker's `user[:group]`, empty for root; names are looked up in the container, so after `pivot` */
export const user = (spec: string, groups: readonly string[] = []): Op => ["user", spec, ...groups];

export const umask = (mask: number): Op => ["umask", number(mask)];

/** @param create  make it where it is missing */
export const cwd = (path: string, create = false): Op => ["cwd", path, bit(create)];

/** All of the environment, `NAME=value`; HOME is added from the user's entry when it is missing. */
export const env = (variables: readonly string[]): Op => ["env", ...variables];

/** `Runtime.create` returns with the process standing here. */
export const wait = (): Op => ["wait"];

/** Found through the environment's PATH unless it has a slash. */
export const exec = (program: string, ...args: string[]): Op => ["exec", program, ...args];
