/**
 * From configuration to a plan: every decision about a container's isolation, as a flat list of operations (plan-mounts.ts has what it mounts). Pure,
 * so that all of it can be tested without root. Source: runtime-spec config-linux.md; Moby's default spec.
 */

import type { LogTarget } from "../log/driver.ts";
import { UNCONFINED } from "../runtime/apparmor-policy.ts";
import type { DeviceRule } from "../runtime/cgroup.ts";
import * as op from "../runtime/ops.ts";
import { CLONE, MS, type Op, type Plan, UNLIMITED } from "../runtime/ops.ts";
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
import { DEFAULT_SYSCTLS, type DeviceNode, DOCKER_MARK, INIT_PATH, MASKED_PATHS, READONLY_PATHS } from "./isolation.ts";
import { isOwn, namespaceOf } from "./namespaces.ts";
import { bindOps, etcMounts, mountOps, rootOp } from "./plan-mounts.ts";

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
  /** AppArmor's profile; `unconfined` or empty for none. */
  readonly apparmor: string;
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

const stdioOf = ({ tty, openStdin, stdinOnce }: ProcessConfig): Op =>
  op.stdio(tty ? "pty" : "pipe", { stdin: openStdin, once: stdinOnce });

const cloneFlags = ({ namespaces }: HostConfig): number =>
  CLONE.newNs |
  (isOwn(namespaces.pid) ? CLONE.newPid : 0) |
  (isOwn(namespaces.ipc) ? CLONE.newIpc : 0) |
  (namespaces.uts === "host" ? 0 : CLONE.newUts) |
  (namespaces.network === "own" ? CLONE.newNet : 0);

const entrancesOf = (places: readonly CgroupPlace[]): readonly string[] => places.map(({ entrance }) => entrance);

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

/** By way of the host's /proc. */
const labelOps = ({ apparmor }: Isolation): readonly Op[] =>
  apparmor === "" || apparmor === UNCONFINED ? [] : [oci.appArmor(apparmor)];

/** What every process finds in its environment, unless it is told otherwise. */
const fullEnv = ({ env, tty }: ProcessConfig, hostname: string): readonly string[] =>
  mergeEnv([DEFAULT_PATH, `HOSTNAME=${hostname}`, ...(tty ? ["TERM=xterm"] : [])], env);

const identityOps = ({ config, host }: PlanInput): readonly Op[] =>
  host.namespaces.uts === "host"
    ? []
    : [op.hostname(config.hostname), ...(config.domainname ? [op.domainname(config.domainname)] : [])];

/** What bounds each process of a container by itself, not all of them together. */
interface OwnLimits {
  readonly ulimits: readonly Ulimit[];
  readonly oomScoreAdj: number;
}

const limitOps = ({ ulimits, oomScoreAdj }: OwnLimits): readonly Op[] => [
  ...ulimits.map(({ name, soft, hard }) => op.rlimit(rlimitNumber(name), limit(soft), limit(hard))),
  ...(oomScoreAdj === 0 ? [] : [op.oomScore(oomScoreAdj)]),
];

/** The container's root, from here on. */
const rootOps = (mounts: readonly Mount[], rootfs: string): readonly Op[] => [
  ...mounts.filter(({ type }) => type !== "layer").map(rootOp),
  op.file(`${rootfs}${DOCKER_MARK}`, 0o755),
  op.root(rootfs),
];

/** @returns the plan of a container's first process */
export function containerPlan(input: PlanInput): Plan {
  const { config, host, rootMounts, rootfs, privateMount, log, cgroups, joined, isolation, init } = input;
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
    ...rootOps(rootMounts, rootfs),
    ...mountOps(input),
    ...identityOps(input),
    ...(host.namespaces.network === "own" ? [op.loopback()] : []),
    ...sysctlOps(input),
    ...hidingOps(input),
    op.wait(),
    ...input.hooks.map((call) => oci.hook(call, input.hookState)),
    ...labelOps(isolation), // after the hooks, which it is not meant for
    op.pivot(),
    ...(host.readonlyRootfs ? [op.remountReadonlyRoot()] : []),
    op.session(),
    ...limitOps({ ulimits: input.ulimits, oomScoreAdj: host.oomScoreAdj }),
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
    ...rootOps(rootMounts, rootfs),
    ...(hasEtc ? [...etcMounts({ folder, host }).values()].flat() : []),
    ...bindOps(binds),
    op.pivot(),
    ...(host.readonlyRootfs ? [op.remountReadonlyRoot()] : []),
    op.wait(),
    op.exec("/"),
  ];
}

export interface ExecPlanInput extends OwnLimits {
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
export function execPlan(input: ExecPlanInput): Plan {
  const { process, hostname, pid, groups, cgroups, isolation, runtime } = input;
  return [
    ...(runtime === undefined ? [] : [oci.viaRuntime(runtime, [])]),
    stdioOf(process),
    op.join(namespaceOf(pid, "pid"), CLONE.newPid),
    op.clone(0, entrancesOf(cgroups)),
    ...op.cgroups(entrancesOf(cgroups)),
    ...labelOps(isolation),
    ...JOINED.map(([name, flag]) => op.join(namespaceOf(pid, name), flag)),
    ...(process.tty ? [op.console(false)] : []),
    op.session(),
    ...limitOps(input),
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
