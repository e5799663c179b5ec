/** A configuration's mounts as operations. Pure. */

import { isAbsolute, join, normalize } from "node:path";
import { invalid, notImplemented } from "../base/errors.ts";
import type { CgroupPlace } from "../container/plan.ts";
import * as op from "../runtime/ops.ts";
import { MS, type Op } from "../runtime/ops.ts";
import * as oci from "../runtime/ops-oci.ts";
import type { OciMount } from "./config.ts";
import { type MountOptions, parseMountOptions } from "./mount-options.ts";

export interface MountContext {
  /** Relative sources are relative to it. */
  readonly bundle: string;
  readonly cgroups: readonly CgroupPlace[];
}

/** Of the mount itself, after it was made. A bind starts with what its source has. */
const attributeOps = (target: string, { clear, deepSet, deepClear, propagation }: MountOptions): readonly Op[] => [
  ...(clear === 0 ? [] : [oci.attributes(target, 0, clear, false)]),
  ...(deepSet === 0 && deepClear === 0 ? [] : [oci.attributes(target, deepSet, deepClear, true)]),
  ...propagation.map(({ flag, deep }) => oci.attributes(target, flag, 0, deep)),
];

type Mappings = OciMount["uidMappings"];

const rangesOf = (mappings: Mappings) =>
  mappings.map(({ containerID: inside, hostID: outside, size: length }) => ({ inside, outside, length }));

/** Whom files belong to, in place of whom they do on disk. @throws invalid */
function idMapsOf({ uidMappings, gidMappings, options, destination }: OciMount): Pick<op.BindOptions, "idMaps"> {
  const [users, groups] = [uidMappings.length > 0, gidMappings.length > 0];
  if (!users && !groups && !options.includes("idmap")) return {};
  if (!users || !groups) throw invalid(`invalid mount at ${destination}: want mappings of users and of groups`);
  return { idMaps: { uids: rangesOf(uidMappings), gids: rangesOf(gidMappings) } };
}

function bindOps(mount: OciMount, target: string, options: MountOptions, bundle: string): readonly Op[] {
  const { source } = mount;
  const { set, deep, data } = options;
  if (data.length > 0) throw invalid(`invalid option ${data.join(",")} of the bind mount at ${target}`);
  const from = isAbsolute(source) ? source : join(bundle, source);
  const flags = set | (deep ? MS.rec : 0);
  return [op.bind(from, target, { flags, create: true, ...idMapsOf(mount) }), ...attributeOps(target, options)];
}

/** A file system of memory that covers a directory has that one's mode, unless it is given one. As runc's. */
function likeOf(type: string, { data, copyUp }: MountOptions): number {
  const hasMode = data.some((word) => word.startsWith("mode="));
  return (type === "tmpfs" && !hasMode ? oci.LIKE.mode : 0) | (copyUp ? oci.LIKE.content : 0);
}

function fileSystemOps({ type, source }: OciMount, target: string, options: MountOptions): readonly Op[] {
  if (options.copyUp && type !== "tmpfs") throw invalid(`invalid mount at ${target}: tmpcopyup is for tmpfs`);
  const mount = op.mount(type, source, target, options.set, options.data.join(","));
  const like = likeOf(type, options);
  return [like === 0 ? mount : oci.mountLike(mount, like), ...attributeOps(target, { ...options, clear: 0 })];
}

/** Of version 1 a container sees its own place in each tree; controllers that share a tree have links to it. */
function cgroupOps(target: string, options: MountOptions, cgroups: readonly CgroupPlace[]): readonly Op[] {
  const trees = cgroups.filter(({ name }) => name !== "");
  if (trees.length === 0)
    return [op.mount("cgroup2", "cgroup", target, options.set), ...attributeOps(target, { ...options, clear: 0 })];
  const readonly = options.set & MS.rdonly;
  const flags = options.set & ~MS.rdonly;
  return [
    op.mount("tmpfs", "tmpfs", target, flags, "mode=755"),
    ...trees.flatMap(({ name }) => [op.mkdir(join(target, name)), ...linkOps(target, name)]),
    // read-only before the trees are bound below it: bound onto itself afterwards, it would bring all of them a second time
    ...(readonly ? [op.readonly(target)] : []),
    ...trees.map(({ directory, name }) =>
      op.bind(directory, join(target, name), { flags: flags | readonly | MS.private, create: false }),
    ),
  ];
}

const linkOps = (target: string, name: string): readonly Op[] =>
  name.includes(",") ? name.split(",").map((controller) => op.symlink(name, join(target, controller))) : [];

/** @throws invalid, notImplemented */
export function mountOps(mount: OciMount, { bundle, cgroups }: MountContext): readonly Op[] {
  const target = normalize(join("/", mount.destination));
  const options = parseMountOptions(mount.options);
  if (options.remount)
    return [
      oci.attributes(target, options.set, options.clear, false),
      ...attributeOps(target, { ...options, clear: 0 }),
    ];
  if (options.bind || mount.type === "bind") return bindOps(mount, target, options, bundle);
  if (mount.type === "") throw invalid(`invalid mount at ${target}: it has no type`);
  if (mount.uidMappings.length > 0 || mount.options.includes("idmap"))
    throw notImplemented(`mount at ${target}: only binds can have mappings of users`);
  return mount.type === "cgroup" || mount.type === "cgroup2"
    ? cgroupOps(target, options, cgroups)
    : fileSystemOps(mount, target, options);
}

/** Whether the container's /dev is the host's, in which nothing may be made. */
export const hasHostDev = (mounts: readonly OciMount[]): boolean =>
  mounts.some(
    ({ destination, type, options }) =>
      normalize(join("/", destination)).replace(/\/$/, "") === "/dev" &&
      (type === "bind" || options.includes("bind") || options.includes("rbind")),
  );
