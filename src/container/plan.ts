/**
 * From configuration to a plan: every decision about a container's isolation, as a flat list of operations. Pure, so that all of it can be
 * tested without root. Source: runtime-spec config-linux.md; Moby's default spec.
 */

import type { LogTarget } from "../log/driver.ts";
import type { DeviceRule } from "../runtime/cgroup.ts";
import * as op from "../runtime/ops.ts";
import { CLONE, MS, type Op, type Plan, S_IF, UNLIMITED } from "../runtime/ops.ts";
import * as oci from "../runtime/ops-oci.ts";
import type { SeccompFilter } from "../runtime/seccomp.ts";
import type { Mount } from "../store/snapshot.ts";
import type { CapabilitySet } from "./capabilities.ts";
import {
  argvOf,
  type Bind,
  type ContainerConfig,
  DEFAULT_PATH,
  type HostConfig,
  mergeEnv,
  type ProcessConfig,
  rlimitNumber,
  type Ulimit,
} from "./config.ts";
import {
  DEFAULT_SYSCTLS,
  DEVICE_LINKS,
  DEVICE_NODES,
  type DeviceNode,
  ETC_FILES,
  INIT_PATH,
  MASKED_PATHS,
  READONLY_PATHS,
} from "./isolation.ts";
import { isOwn } from "./namespaces.ts";

/** A cgroup tree of the host, and the container's place in it. */
export interface CgroupPlace {
  /** Directory of the container's cgroup, on the host. */
  readonly directory: string;
  /** The file by which a process enters it. */
  readonly entrance: string;
  /** Name below /sys/fs/cgroup in the container; empty for the one tree of version 2. */
  readonly name: string;
}

export interface Isolation {
  readonly capabilities: CapabilitySet;
  /** Compiled; undefined for none. */
  readonly seccomp: SeccompFilter | undefined;
  readonly noNewPrivileges: boolean;
}

/** Processes of other containers whose namespaces are joined, as the host counts; undefined for none. */
export interface Joined {
  readonly pid?: number;
  readonly ipc?: number;
  readonly network?: number;
}

/** What the plan is made from: everything that had to be found out first. */
export interface PlanInput {
  readonly config: ContainerConfig;
  readonly host: HostConfig;
  /** The host's and those of volumes. */
  readonly binds: readonly Bind[];
  /** The snapshot's mounts, the last of which puts the root at `rootfs`. */
  readonly rootMounts: readonly Mount[];
  /** A directory of the host on which the root is mounted, inside the container's mount namespace only. */
  readonly rootfs: string;
  /** The one mount of the host's that becomes private, when others have to stay shared; undefined for all of them. */
  readonly privateMount: string | undefined;
  readonly log: LogTarget | undefined;
  readonly cgroups: readonly CgroupPlace[];
  readonly joined: Joined;
  readonly isolation: Isolation;
  /** Host nodes of `--device`, or all of them when privileged. */
  readonly devices: readonly DeviceNode[];
  readonly ulimits: readonly Ulimit[];
  /** The folder with `hosts`, `hostname` and `resolv.conf`. */
  readonly folder: string;
  /** Of its cgroup, for a runtime that sets them again. */
  readonly deviceRules: readonly DeviceRule[];
  /** Programs that prepare the root, once all is mounted in it. */
  readonly hooks: readonly oci.HookCall[];
  /** What they are told on stdin: JSON, before and after the pid. */
  readonly hookState: readonly [before: string, after: string];
  /** Path of the program that `--init` runs as process 1; undefined without it. */
  readonly init: string | undefined;
}

const SYSTEM_FLAGS = MS.nosuid | MS.noexec | MS.nodev;

const stdioOf = ({ tty, openStdin, stdinOnce }: ProcessConfig): Op =>
  op.stdio(tty ? "pty" : "pipe", { stdin: openStdin, once: stdinOnce });

/** The file of a process's namespace, on the host. */
const namespaceOf = (pid: number, name: string): string => `/proc/${pid}/ns/${name}`;

const cloneFlags = ({ namespaces }: HostConfig): number =>
  CLONE.newNs |
  (isOwn(namespaces.pid) ? CLONE.newPid : 0) |
  (isOwn(namespaces.ipc) ? CLONE.newIpc : 0) |
  (namespaces.uts === "host" ? 0 : CLONE.newUts) |
  (namespaces.network === "own" ? CLONE.newNet : 0);

const entrancesOf = (places: readonly CgroupPlace[]): readonly string[] => places.map(({ entrance }) => entrance);

function rootOp(mount: Mount): Op {
  switch (mount.type) {
    case "layer":
      return op.layer(mount.index, mount.device, mount.target);
    case "overlay": {
      const { target, lower, upper, work } = mount;
      return op.overlay(target, { lower, ...(upper && { upper }), ...(work && { work }) });
    }
    case "bind":
      return op.bind(mount.source, mount.target, { recursive: mount.readonly ? MS.rdonly : 0 });
  }
}

/** The file systems that every container has, by their target, in order. */
function systemMounts({ host, config, cgroups, joined }: PlanInput): Map<string, readonly Op[]> {
  const { namespaces, privileged, shmSize } = host;
  const mounts = new Map<string, readonly Op[]>([
    ["/proc", [op.mount("proc", "proc", "/proc", SYSTEM_FLAGS)]],
    ["/dev", [op.mount("tmpfs", "tmpfs", "/dev", MS.nosuid | MS.strictatime, "mode=755,size=65536k")]],
    [
      "/dev/pts",
      [
        op.mkdir("/dev/pts"),
        op.mount("devpts", "devpts", "/dev/pts", MS.nosuid | MS.noexec, "newinstance,ptmxmode=0666,mode=0620,gid=5"),
      ],
    ],
    ["/sys", [op.mount("sysfs", "sysfs", "/sys", SYSTEM_FLAGS | (privileged ? 0 : MS.rdonly))]],
    ["/sys/fs/cgroup", cgroupMounts(cgroups, host)],
    // of the namespace that the process is in, be it the host's
    ["/dev/mqueue", [op.mkdir("/dev/mqueue"), op.mount("mqueue", "mqueue", "/dev/mqueue", SYSTEM_FLAGS)]],
  ]);
  if (namespaces.ipc !== "none")
    mounts.set("/dev/shm", [op.mkdir("/dev/shm", 0o1777), sharedMemory(namespaces.ipc, shmSize, joined.ipc)]);
  if (config.tty) mounts.set("/dev/console", [op.console(true)]);
  return mounts;
}

/** Shared memory belongs to the namespace: who joins one gets its files, too. */
const sharedMemory = (ipc: string, size: number, joined: number | undefined): Op => {
  if (ipc === "host") return op.bind("/dev/shm", "/dev/shm");
  return joined !== undefined
    ? op.share(namespaceOf(joined, "mnt"), "/dev/shm", "/dev/shm")
    : op.mount("tmpfs", "shm", "/dev/shm", SYSTEM_FLAGS, `mode=1777,size=${size}`);
};

/** Version 2 is mounted as it is in the container's namespace; of version 1 it sees its own place in each tree. */
function cgroupMounts(places: readonly CgroupPlace[], { privileged }: HostConfig): readonly Op[] {
  const readonly = privileged ? 0 : MS.rdonly;
  const trees = places.filter(({ name }) => name !== "");
  if (trees.length === 0) return [op.mount("cgroup2", "cgroup", "/sys/fs/cgroup", SYSTEM_FLAGS | readonly)];
  // read-only before the trees are bound below it: bound onto itself afterwards, it would bring all of them a second time
  return [
    op.mount("tmpfs", "tmpfs", "/sys/fs/cgroup", SYSTEM_FLAGS, "mode=755"),
    ...trees.map(({ name }) => op.mkdir(`/sys/fs/cgroup/${name}`)),
    ...(privileged ? [] : [op.readonly("/sys/fs/cgroup")]),
    ...trees.map(({ directory, name }) =>
      op.bind(directory, `/sys/fs/cgroup/${name}`, { flags: SYSTEM_FLAGS | readonly | MS.private, create: false }),
    ),
  ];
}

const nodeOp = ({ path, type, mode, ...rest }: DeviceNode): Op =>
  op.mknod(path, { ...rest, mode: (type === "c" ? S_IF.chr : S_IF.blk) | mode });

const PROPAGATION_FLAGS = { private: MS.private, slave: MS.slave, shared: MS.shared } as const;

const lessOf = (less: Bind["less"] = []): number => less.reduce((mask, name) => mask | MS[name], 0);

function bindOp(bind: Bind): Op {
  const { source, target, readonly, propagation, nonRecursive, readonlyShallow, below, less, idMaps } = bind;
  const deep = propagation.startsWith("r");
  const name = propagation.replace(/^r(?=private|slave|shared)/, "");
  const flag =
    name === "slave"
      ? PROPAGATION_FLAGS.slave
      : name === "shared"
        ? PROPAGATION_FLAGS.shared
        : PROPAGATION_FLAGS.private;
  return op.bind(source, target, {
    flags:
      (nonRecursive ? 0 : MS.rec) | (deep ? 0 : flag) | (readonly && readonlyShallow ? MS.rdonly : 0) | lessOf(less),
    recursive: (readonly && !readonlyShallow ? MS.rdonly : 0) | (deep ? flag : 0),
    create: true,
    ...(below !== undefined && { below }),
    ...(idMaps && { idMaps }),
  });
}

const TMPFS_FLAGS: Readonly<Record<string, { readonly set?: number; readonly clear?: number }>> = {
  ro: { set: MS.rdonly },
  rw: { clear: MS.rdonly },
  nosuid: { set: MS.nosuid },
  suid: { clear: MS.nosuid },
  nodev: { set: MS.nodev },
  dev: { clear: MS.nodev },
  noexec: { set: MS.noexec },
  exec: { clear: MS.noexec },
  noatime: { set: MS.noatime },
  relatime: { set: MS.relatime },
  strictatime: { set: MS.strictatime },
};

/** `size=64m,exec` → flags and the file system's own options; without any, a tmpfs is nosuid, nodev and noexec. */
function tmpfsOp(target: string, options: string): Op {
  const words = options.split(",").filter((word) => word !== "");
  const flags = words.reduce((mask, word) => {
    const { set = 0, clear = 0 } = TMPFS_FLAGS[word] ?? {};
    return (mask & ~clear) | set;
  }, SYSTEM_FLAGS);
  const data = words.filter((word) => !Object.hasOwn(TMPFS_FLAGS, word)).join(",");
  return op.mount("tmpfs", "tmpfs", target, flags, data);
}

const depth = (path: string): number => path.split("/").length;

/** The user's own mounts, parents before children. */
function userMounts({ host, binds }: PlanInput): Map<string, readonly Op[]> {
  const mounts: [string, readonly Op[]][] = [
    ...binds.map((bind): [string, readonly Op[]] => [bind.target, [bindOp(bind)]]),
    ...Object.entries(host.tmpfs).map(([target, options]): [string, readonly Op[]] => [
      target,
      [op.mkdir(target), tmpfsOp(target, options)],
    ]),
  ];
  return new Map(mounts.toSorted(([one], [other]) => depth(one) - depth(other)));
}

function etcMounts({ folder, host }: Pick<PlanInput, "folder" | "host">): Map<string, readonly Op[]> {
  const recursive = MS.private | (host.readonlyRootfs ? MS.rdonly : 0);
  return new Map(
    ETC_FILES.map((name) => [
      `/etc/${name}`,
      [op.bind(`${folder}/${name}`, `/etc/${name}`, { recursive, create: true })],
    ]),
  );
}

function mountOps(input: PlanInput): readonly Op[] {
  const users = userMounts(input);
  const kept = (mounts: Map<string, readonly Op[]>) =>
    [...mounts].flatMap(([target, ops]) => (users.has(target) ? [] : ops));
  return [
    ...kept(systemMounts(input)),
    ...[...DEVICE_NODES, ...input.devices].map(nodeOp),
    ...DEVICE_LINKS.map(([target, path]) => op.symlink(target, path)),
    ...kept(etcMounts(input)),
    ...(input.init === undefined
      ? []
      : [op.bind(input.init, INIT_PATH, { recursive: MS.private | MS.rdonly, create: true })]),
    ...[...users.values()].flat(),
  ];
}

function sysctlOps({ host }: PlanInput): readonly Op[] {
  const defaults = host.namespaces.network === "own" ? DEFAULT_SYSCTLS : {};
  return Object.entries({ ...defaults, ...host.sysctls }).map(([name, value]) => op.sysctl(name, value));
}

function hidingOps({ host }: PlanInput): readonly Op[] {
  const masked = host.maskedPaths ?? (host.privileged ? [] : MASKED_PATHS);
  const readonly = host.readonlyPaths ?? (host.privileged ? [] : READONLY_PATHS);
  return [...readonly.map(op.readonly), ...masked.map(op.mask)];
}

const limit = (value: number): number | bigint => (value < 0 ? UNLIMITED : value);

interface ProcessSetting {
  readonly groups: readonly string[];
  readonly isolation: Isolation;
  /** Whether a working directory that is missing is made. */
  readonly createDirectory: boolean;
  /** Of those that the daemon was told of. */
  readonly runtime: string | undefined;
}

/** Other runtimes compile filters themselves. */
const seccompOp = ({ filter, flags, profile }: SeccompFilter, runtime: string | undefined): Op =>
  runtime === undefined ? op.seccomp(filter, flags) : oci.seccompProfile(profile);

/** The order of what a process does to itself last. Seccomp needs a privilege that `caps` may take away. */
function processOps(
  process: ProcessConfig,
  argv: readonly string[],
  { groups, isolation, createDirectory, runtime }: ProcessSetting,
): readonly Op[] {
  const { capabilities, seccomp, noNewPrivileges } = isolation;
  const [program = "", ...args] = argv;
  const sets = {
    bounding: capabilities,
    effective: capabilities,
    permitted: capabilities,
    inheritable: 0n,
    ambient: 0n,
  };
  return [
    op.cwd(process.workingDir || "/", createDirectory), // as root: the user may not be able to get there by itself, as with runc
    op.user(process.user, groups),
    ...(noNewPrivileges ? [op.noNewPrivileges()] : []),
    ...(seccomp ? [seccompOp(seccomp, runtime)] : []),
    op.caps(sets),
    op.env(process.env),
    op.exec(program, ...args),
  ];
}

/** What every process finds in its environment, unless it is told otherwise. */
const fullEnv = ({ env, tty }: ProcessConfig, hostname: string): readonly string[] =>
  mergeEnv([DEFAULT_PATH, `HOSTNAME=${hostname}`, ...(tty ? ["TERM=xterm"] : [])], env);

const identityOps = ({ config, host }: PlanInput): readonly Op[] =>
  host.namespaces.uts === "host"
    ? []
    : [op.hostname(config.hostname), ...(config.domainname ? [op.domainname(config.domainname)] : [])];

/** @returns the plan of a container's first process */
export function containerPlan(input: PlanInput): Plan {
  const { config, host, rootMounts, rootfs, privateMount, log, cgroups, joined, isolation, ulimits, init } = input;
  const slave = host.binds.some(({ propagation }) => propagation.endsWith("slave"));
  const ownCgroup = host.namespaces.cgroup === "private";
  const env = fullEnv(config, config.hostname);
  const argv = init === undefined ? argvOf(config) : [INIT_PATH, "--", ...argvOf(config)];
  return [
    ...(host.runtime === undefined ? [] : [oci.viaRuntime(host.runtime, input.deviceRules)]),
    stdioOf(config),
    ...(log ? [op.log(log.path, { ...log, maxFile: log.maxFiles })] : []),
    ...rootMounts.filter(({ type }) => type === "layer").map(rootOp),
    ...(joined.pid === undefined ? [] : [op.join(namespaceOf(joined.pid, "pid"), CLONE.newPid)]),
    op.clone(cloneFlags(host), entrancesOf(cgroups)),
    ...op.cgroups(entrancesOf(cgroups)),
    ...(joined.ipc === undefined ? [] : [op.join(namespaceOf(joined.ipc, "ipc"), CLONE.newIpc)]),
    ...(joined.network === undefined ? [] : [op.join(namespaceOf(joined.network, "net"), CLONE.newNet)]),
    ...(ownCgroup ? [op.unshare(CLONE.newCgroup)] : []),
    privateMount === undefined
      ? op.propagation(MS.rec | (slave ? MS.slave : MS.private))
      : op.propagation(MS.private, privateMount),
    ...rootMounts.filter(({ type }) => type !== "layer").map(rootOp),
    op.root(rootfs),
    ...mountOps(input),
    ...identityOps(input),
    ...(host.namespaces.network === "own" ? [op.loopback()] : []),
    ...sysctlOps(input),
    ...hidingOps(input),
    op.wait(),
    ...input.hooks.map((call) => oci.hook(call, input.hookState)),
    op.pivot(),
    ...(host.readonlyRootfs ? [op.remountReadonlyRoot()] : []),
    op.session(),
    ...ulimits.map(({ name, soft, hard }) => op.rlimit(rlimitNumber(name), limit(soft), limit(hard))),
    ...(host.oomScoreAdj === 0 ? [] : [op.oomScore(host.oomScoreAdj)]),
    op.umask(0o022),
    ...processOps({ ...config, env }, argv, {
      ...{ groups: host.groupAdd, isolation, createDirectory: true, runtime: host.runtime },
    }),
  ];
}

/** What is needed to look into a container that does not run. */
export type HoldPlanInput = Pick<PlanInput, "host" | "binds" | "rootMounts" | "rootfs" | "folder"> & {
  /** Whether the files for /etc are in `folder`: not before the first start. */
  readonly hasEtc: boolean;
};

/** @returns the plan of a process that holds a container's root and mounts while others look into them; it has no program */
export function holdPlan({ host, binds, rootMounts, rootfs, folder, hasEtc }: HoldPlanInput): Plan {
  return [
    op.stdio("null"),
    ...rootMounts.filter(({ type }) => type === "layer").map(rootOp),
    op.clone(CLONE.newNs),
    op.propagation(MS.rec | MS.private),
    ...rootMounts.filter(({ type }) => type !== "layer").map(rootOp),
    op.root(rootfs),
    ...(hasEtc ? [...etcMounts({ folder, host }).values()].flat() : []),
    ...binds.toSorted((one, other) => depth(one.target) - depth(other.target)).map(bindOp),
    op.pivot(),
    ...(host.readonlyRootfs ? [op.remountReadonlyRoot()] : []),
    op.wait(),
    op.exec("/"),
  ];
}

export interface ExecPlanInput {
  readonly process: ProcessConfig;
  readonly hostname: string;
  /** A process of the container, whose namespaces are joined. */
  readonly pid: number;
  readonly groups: readonly string[];
  readonly cgroups: readonly CgroupPlace[];
  readonly isolation: Isolation;
  /** The container's own. */
  readonly runtime: string | undefined;
}

const JOINED = [
  ["ipc", CLONE.newIpc],
  ["uts", CLONE.newUts],
  ["net", CLONE.newNet],
  ["cgroup", CLONE.newCgroup],
  ["mnt", CLONE.newNs],
] as const;

/** @returns the plan of a process that joins a running container */
export function execPlan({ process, hostname, pid, groups, cgroups, isolation, runtime }: ExecPlanInput): Plan {
  return [
    ...(runtime === undefined ? [] : [oci.viaRuntime(runtime, [])]),
    stdioOf(process),
    op.join(namespaceOf(pid, "pid"), CLONE.newPid),
    op.clone(0, entrancesOf(cgroups)),
    ...op.cgroups(entrancesOf(cgroups)),
    ...JOINED.map(([name, flag]) => op.join(namespaceOf(pid, name), flag)),
    ...(process.tty ? [op.console(false)] : []),
    op.session(),
    op.umask(0o022),
    op.wait(),
    ...processOps({ ...process, env: fullEnv(process, hostname) }, argvOf(process), {
      groups,
      isolation,
      createDirectory: false,
      runtime,
    }),
  ];
}
