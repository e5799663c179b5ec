/** Which namespaces a configuration makes, and which it joins. Pure. Source: runtime-spec config-linux.md, "Namespaces". */

import { invalid, notImplemented } from "../base/errors.ts";
import * as op from "../runtime/ops.ts";
import { CLONE, type Op } from "../runtime/ops.ts";
import * as oci from "../runtime/ops-oci.ts";
import type { NamespaceKind, OciLinux } from "./config.ts";

const FLAGS: Readonly<Record<NamespaceKind, number>> = {
  pid: CLONE.newPid,
  network: CLONE.newNet,
  mount: CLONE.newNs,
  ipc: CLONE.newIpc,
  uts: CLONE.newUts,
  user: CLONE.newUser,
  cgroup: CLONE.newCgroup,
  time: CLONE.newTime,
};

/** Joined by the process before it does anything else. */
const JOINED_INSIDE: readonly NamespaceKind[] = ["network", "ipc", "uts", "cgroup"];

export interface Namespaces {
  /** For `clone`. */
  readonly flags: number;
  /** A user namespace of its own. */
  readonly mapped: boolean;
  has(kind: NamespaceKind): boolean;
  /** Made for this container, rather than joined or the host's. */
  isNew(kind: NamespaceKind): boolean;
  /** Before `clone`. */
  readonly outside: readonly Op[];
  /** After it. */
  readonly inside: readonly Op[];
}

/** @throws invalid when the same is there twice, or one is needed; notImplemented */
export function namespacesOf({ namespaces, uidMappings, gidMappings, timeOffsets }: OciLinux): Namespaces {
  const paths = new Map(namespaces.map(({ type, path }) => [type, path]));
  if (paths.size < namespaces.length) throw invalid("malformed spec file: duplicated namespace");
  if (paths.get("mount") !== "") throw notImplemented("a container without a new mount namespace is not supported");
  for (const kind of ["user", "time"] as const)
    if (paths.get(kind)) throw notImplemented(`joining a ${kind} namespace by path is not supported`);
  if (Object.keys(timeOffsets).length > 0) throw notImplemented("linux.timeOffsets is not supported");
  const mapped = paths.get("user") === "";
  if (mapped && (uidMappings.length === 0 || gidMappings.length === 0))
    throw invalid("user namespaces enabled, but no uid or gid mappings found");
  if (!mapped && uidMappings.length + gidMappings.length > 0)
    throw invalid("user namespace mappings specified, but user namespace isn't enabled in the config");
  const isNew = (kind: NamespaceKind) => paths.get(kind) === "";
  const joined = (kind: NamespaceKind): readonly Op[] => {
    const path = paths.get(kind);
    return path ? [op.join(path, FLAGS[kind])] : [];
  };
  // The cgroup namespace shows its maker's cgroup as the root: it is made once inside.
  const made = [...paths.keys()].filter((kind) => isNew(kind) && kind !== "cgroup");
  return {
    flags: made.reduce((mask, kind) => mask | FLAGS[kind], 0),
    mapped,
    has: (kind) => paths.has(kind),
    isNew,
    outside: [...joined("pid"), ...(mapped ? [oci.map(uidMappings, gidMappings)] : [])],
    inside: [...JOINED_INSIDE.flatMap(joined), ...(isNew("cgroup") ? [op.unshare(CLONE.newCgroup)] : [])],
  };
}

/** A running container's, in the order in which its next process joins them: the user's before those that are its, mounts last. */
export function joinOps(
  pid: number,
  namespaces: OciLinux["namespaces"],
): { readonly outside: readonly Op[]; readonly inside: readonly Op[] } {
  const has = (kind: NamespaceKind) => namespaces.some(({ type }) => type === kind);
  const files = { network: "net", ipc: "ipc", uts: "uts", cgroup: "cgroup", user: "user", mount: "mnt" } as const;
  const inside = (["network", "ipc", "uts", "cgroup", "user", "mount"] as const).filter(has);
  return {
    outside: has("pid") ? [op.join(`/proc/${pid}/ns/pid`, CLONE.newPid)] : [],
    inside: inside.map((kind) => op.join(`/proc/${pid}/ns/${files[kind]}`, FLAGS[kind])),
  };
}
