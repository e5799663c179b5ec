/** A container's cgroup by `linux.cgroupsPath`. Source: runtime-spec config-linux.md, "Cgroups Path". */

import { basename, dirname, join, normalize } from "node:path";
import { conflict } from "../base/errors.ts";
import type { CgroupPlace } from "../container/plan.ts";
import type { Cgroups } from "../runtime/cgroup.ts";
import type { OciResources } from "./config.ts";
import { createLimits } from "./resources.ts";

/** @returns its path below the roots of all trees; what is relative, or is not said, begins there, too */
export const cgroupPath = (cgroupsPath: string, id: string): string =>
  normalize(join("/", cgroupsPath || id)).replace(/\/$/, "");

/** Entrances of every tree → the cgroup in it, and what the tree is called. */
export const placesOf = (cgroups: Cgroups, path: string, entrances: readonly string[]): readonly CgroupPlace[] =>
  entrances.map((entrance) => {
    const directory = dirname(entrance);
    return { directory, entrance, name: cgroups.version === 2 ? "" : basename(directory.slice(0, -path.length)) };
  });

/**
 * Makes it. Removing a container kills what is in its cgroup, so that one with others' processes is nobody's.
 * @throws conflict when it is in use, invalid when a limit is refused
 */
export async function makeCgroup(
  cgroups: Cgroups,
  path: string,
  resources: OciResources,
): Promise<readonly CgroupPlace[]> {
  const limits = createLimits(resources, cgroups.version, cgroups.features);
  const others = await cgroups.processes(path);
  if (others.length > 0) throw conflict(`container's cgroup is not empty: ${others.length} process(es) found`);
  return placesOf(cgroups, path, await cgroups.create(path, limits));
}
