/** From a bundle's configuration to a plan for the shim. Pure: what had to be found out first is in the input. */

import { invalid, notImplemented } from "../base/errors.ts";
import { DEVICE_LINKS, DEVICE_NODES } from "../container/isolation.ts";
import type { CgroupPlace } from "../container/plan.ts";
import * as op from "../runtime/ops.ts";
import { MS, type Op, type Plan, S_IF } from "../runtime/ops.ts";
import * as oci from "../runtime/ops-oci.ts";
import type { SeccompFilter } from "../runtime/seccomp.ts";
import type { OciConfig, OciDevice, OciHook, OciLinux, OciProcess } from "./config.ts";
import { parseRootPropagation } from "./mount-options.ts";
import { hasHostDev, mountOps } from "./mounts.ts";
import { joinOps, type Namespaces, namespacesOf } from "./namespaces.ts";
import { checkProcess, labelOps, limitOps, programOps } from "./process.ts";

export type HookState = readonly [before: string, after: string];

export interface PlanInput {
  readonly config: OciConfig;
  readonly linux: OciLinux;
  readonly process: OciProcess;
  readonly bundle: string;
  /** Absolute, without links. */
  readonly rootfs: string;
  readonly cgroups: readonly CgroupPlace[];
  readonly seccomp: SeccompFilter | undefined;
  /** Of a unix socket that takes the terminal. */
  readonly consoleSocket: string | undefined;
  /** The mount point of the host's that must become private, so that a root that shares its mounts does not share its own. */
  readonly privateMount: string;
  /** Where / cannot be pivoted from. */
  readonly noPivot: boolean;
  /** The container's state for hooks as JSON, before and after the pid. */
  readonly hookState: (status: "creating" | "created") => HookState;
}

const stdioOps = ({ terminal }: OciProcess, consoleSocket: string | undefined): readonly Op[] =>
  terminal
    ? [op.stdio("pty", { stdin: true }), ...(consoleSocket === undefined ? [] : [oci.consoleSocket(consoleSocket)])]
    : [oci.inheritStdio()];

const entrancesOf = (places: readonly CgroupPlace[]): readonly string[] => places.map(({ entrance }) => entrance);

const KINDS = { c: S_IF.chr, u: S_IF.chr, b: S_IF.blk, p: S_IF.fifo } as const;

function deviceOp({ type, path, major, minor, fileMode, uid, gid }: OciDevice, mapped: boolean): Op {
  if (!mapped) return op.mknod(path, { mode: KINDS[type] | (fileMode & 0o7777), major, minor, uid, gid });
  return op.bind(path, path, { create: true }); // a user namespace makes no devices
}

/** The configuration's count before the standard ones of the same path: they may have other modes. */
function deviceOps({ devices }: OciLinux, mapped: boolean): readonly Op[] {
  const standard = DEVICE_NODES.filter(({ path }) => !devices.some((device) => device.path === path));
  const nodes = [...standard.map(({ mode, ...node }) => ({ ...node, fileMode: mode, uid: 0, gid: 0 })), ...devices];
  return [
    ...nodes.map((device) => deviceOp(device, mapped)),
    ...DEVICE_LINKS.map(([target, path]) => op.symlink(target, path)),
  ];
}

/** The root as a mount of its own, in a namespace from which nothing travels back to the host unless it is asked for. */
function rootOps({ linux, rootfs, privateMount }: PlanInput): readonly Op[] {
  const { flag, deep } = parseRootPropagation(linux.rootfsPropagation);
  const shared = flag === MS.shared;
  const host = flag === MS.unbindable ? MS.slave : flag;
  return [
    ...(shared ? [op.propagation(MS.private, privateMount)] : [op.propagation(host | MS.rec)]),
    op.bind(rootfs, rootfs, { flags: MS.rec, create: false }),
    op.root(rootfs),
    ...(flag === MS.slave && deep ? [] : [oci.attributes("/", MS.private, 0, false)]), // pivot_root(2) wants no shared one
  ];
}

/** What the root's propagation is to be in the end: pivot_root(2) has been. */
function rootPropagationOps({ linux }: PlanInput): readonly Op[] {
  const { flag, deep } = parseRootPropagation(linux.rootfsPropagation);
  return flag === MS.shared || flag === MS.unbindable ? [oci.attributes("/", flag, 0, deep)] : [];
}

function fileSystemOps({ config, linux, process, bundle, cgroups }: PlanInput, mapped: boolean): readonly Op[] {
  const ownDev = !hasHostDev(config.mounts);
  return [
    ...config.mounts.flatMap((mount) => mountOps(mount, { bundle, cgroups })),
    ...(ownDev ? deviceOps(linux, mapped) : []),
    ...(process.terminal ? [oci.console(ownDev, process.consoleSize)] : []),
  ];
}

/** Only of namespaces that are the container's. @throws invalid */
function sysctlOps({ linux }: PlanInput, namespaces: Namespaces): readonly Op[] {
  return Object.entries(linux.sysctl).map(([name, value]) => {
    const dotted = name.replaceAll("/", ".");
    const owner = dotted.startsWith("net.")
      ? "network"
      : /^(kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced|.*_next_id)|fs\.mqueue\..+)$/.test(
            dotted,
          )
        ? "ipc"
        : /^kernel\.(hostname|domainname)$/.test(dotted)
          ? "uts"
          : undefined;
    if (owner === undefined) throw invalid(`sysctl ${JSON.stringify(name)} is not in a separate kernel namespace`);
    if (!namespaces.has(owner)) throw invalid(`sysctl ${JSON.stringify(name)} not allowed in host ${owner} namespace`);
    return op.sysctl(name, value);
  });
}

function identityOps({ config: { hostname, domainname } }: PlanInput, namespaces: Namespaces): readonly Op[] {
  if ((hostname || domainname) && !namespaces.has("uts"))
    throw invalid("unable to set hostname without a private UTS namespace");
  return [...(hostname ? [op.hostname(hostname)] : []), ...(domainname ? [op.domainname(domainname)] : [])];
}

const PERSONALITIES: Readonly<Record<string, number>> = { LINUX: 0, LINUX32: 8 };

function personalityOps({ linux: { personality } }: PlanInput): readonly Op[] {
  if (personality === undefined) return [];
  const domain = PERSONALITIES[personality.domain];
  if (domain === undefined) throw invalid(`invalid personality domain ${JSON.stringify(personality.domain)}`);
  if (personality.flags.length > 0) throw notImplemented("personality flags are not supported");
  return [oci.personality(domain)];
}

const hookOps = (hooks: readonly OciHook[] | undefined, state: HookState): readonly Op[] =>
  (hooks ?? []).map(({ path, args, env, timeout }) =>
    oci.hook({ path, args: args.length > 0 ? args : [path], env, timeout: timeout ?? 0 }, state),
  );

/** @throws notImplemented for what a configuration may have and this runtime has not */
function refuseMissing({ linux }: PlanInput): void {
  const { netDevices, intelRdt, memoryPolicy, mountLabel } = linux;
  if (Object.keys(netDevices).length > 0) throw notImplemented("linux.netDevices is not supported");
  if (intelRdt !== undefined) throw notImplemented("linux.intelRdt is not supported");
  if (memoryPolicy !== undefined) throw notImplemented("linux.memoryPolicy is not supported");
  if (mountLabel !== "") throw notImplemented("linux.mountLabel is not supported");
}

/** @returns the plan of a container's first process. @throws invalid, notImplemented */
export function createPlan(input: PlanInput): Plan {
  const { config, linux, process, consoleSocket, cgroups, seccomp, noPivot, hookState } = input;
  refuseMissing(input);
  checkProcess(process);
  const namespaces = namespacesOf(linux);
  const { mapped } = namespaces;
  const program = programOps(process, seccomp, true);
  return [
    ...stdioOps(process, consoleSocket),
    ...(mapped ? [...entrancesOf(cgroups).map(op.cgroup), ...limitOps(process)] : []),
    ...namespaces.outside,
    op.clone(namespaces.flags, mapped ? [] : entrancesOf(cgroups)),
    ...(mapped ? [] : op.cgroups(entrancesOf(cgroups))),
    ...namespaces.inside,
    ...rootOps(input),
    ...fileSystemOps(input, mapped),
    ...identityOps(input, namespaces),
    ...(namespaces.isNew("network") ? [op.loopback()] : []),
    ...sysctlOps(input, namespaces),
    op.wait(),
    ...hookOps(config.hooks?.createContainer, hookState("creating")),
    ...linux.readonlyPaths.map(op.readonly),
    ...linux.maskedPaths.map(op.mask),
    ...labelOps(process),
    noPivot ? oci.moveRoot() : op.pivot(),
    ...rootPropagationOps(input),
    ...(config.root?.readonly ? [op.remountReadonlyRoot()] : []),
    ...(mapped ? [] : limitOps(process)),
    ...personalityOps(input),
    ...program.before,
    oci.park(),
    ...program.privileges,
    ...hookOps(config.hooks?.startContainer, hookState("created")),
    program.exec,
  ];
}

export interface ExecInput {
  readonly process: OciProcess;
  readonly namespaces: OciLinux["namespaces"];
  /** The container's first process. */
  readonly pid: number;
  readonly cgroups: readonly CgroupPlace[];
  readonly seccomp: SeccompFilter | undefined;
  readonly consoleSocket: string | undefined;
}

/** @returns the plan of a process that joins a running container. @throws invalid, notImplemented */
export function execPlan({ process, namespaces, pid, cgroups, seccomp, consoleSocket }: ExecInput): Plan {
  checkProcess(process);
  const joined = joinOps(pid, namespaces);
  const program = programOps(process, seccomp, false);
  return [
    ...stdioOps(process, consoleSocket),
    ...joined.outside,
    op.clone(0, entrancesOf(cgroups)),
    ...op.cgroups(entrancesOf(cgroups)),
    ...limitOps(process),
    ...labelOps(process),
    ...joined.inside,
    ...(process.terminal ? [oci.console(false, process.consoleSize)] : []),
    op.wait(),
    ...program.before,
    ...program.privileges,
    program.exec,
  ];
}
