/** What a container finds mounted, as operations: the system's file systems, its files in /etc, and what the user mounts. Pure, as plan.ts. */

import { MOUNT_FLAGS } from "../runtime/mount-flags.ts";
import * as op from "../runtime/ops.ts";
import { MS, type Op, S_IF } from "../runtime/ops.ts";
import type { Mount } from "../store/snapshot.ts";
import type { Bind, HostConfig } from "./config.ts";
import { DEVICE_LINKS, DEVICE_NODES, type DeviceNode, ETC_FILES, INIT_PATH } from "./isolation.ts";
import { namespaceOf } from "./namespaces.ts";
import type { CgroupPlace, PlanInput } from "./plan.ts";

const SYSTEM_FLAGS = MS.nosuid | MS.noexec | MS.nodev;

/** Of the root and what it stands on. */
export function rootOp(mount: Mount): Op {
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

/** `size=64m,exec` → flags and the file system's own options; without any, a tmpfs is nosuid, nodev and noexec. */
function tmpfsOp(target: string, options: string): Op {
  const words = options.split(",").filter((word) => word !== "");
  const flags = words.reduce((mask, word) => {
    const { set = 0, clear = 0 } = MOUNT_FLAGS[word] ?? {};
    return (mask & ~clear) | set;
  }, SYSTEM_FLAGS);
  const data = words.filter((word) => !Object.hasOwn(MOUNT_FLAGS, word)).join(",");
  return op.mount("tmpfs", "tmpfs", target, flags, data);
}

const depth = (path: string): number => path.split("/").length;

/** Parents before children. */
export const bindOps = (binds: readonly Bind[]): readonly Op[] =>
  binds.toSorted((one, other) => depth(one.target) - depth(other.target)).map(bindOp);

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

export function etcMounts({ folder, host }: Pick<PlanInput, "folder" | "host">): Map<string, readonly Op[]> {
  const recursive = MS.private | (host.readonlyRootfs ? MS.rdonly : 0);
  return new Map(
    ETC_FILES.map((name) => [
      `/etc/${name}`,
      [op.bind(`${folder}/${name}`, `/etc/${name}`, { recursive, create: true })],
    ]),
  );
}

/** All but the root, in order: what the user mounts takes the place of what would be there. */
export function mountOps(input: PlanInput): readonly Op[] {
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
