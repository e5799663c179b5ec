/**
 * Mounts that travel between the host and a container, as binds ask for it with `shared` and `slave`: only what the host's own mount lets travel.
 * Source: mount_namespaces(7); docs.docker.com, "Bind mounts", "Configure bind propagation".
 */

import { readFile, realpath } from "node:fs/promises";
import { ifMissing, invalid, notImplemented } from "../base/errors.ts";
import { mountOf, parseMounts } from "../base/mountinfo.ts";
import type { Bind } from "./config.ts";

const travels = ({ propagation }: Bind): boolean => !propagation.endsWith("private");
const isShared = ({ propagation }: Bind): boolean => propagation.endsWith("shared");

/**
 * @param rootfs  where the container's root will be mounted
 * @returns       the host's mount point that has to be private to the container, so that its own mounts do not travel to the host; undefined
 *                when nothing is shared, and all may be
 * @throws invalid in Docker's words when the host's mount does not let anything travel; notImplemented
 */
export async function privateMountFor(binds: readonly Bind[], rootfs: string): Promise<string | undefined> {
  const travelling = binds.filter(travels);
  if (travelling.length === 0) return undefined;
  const mounts = parseMounts(await readFile("/proc/self/mountinfo", "utf8"));
  const root = mountOf(mounts, await realpath(rootfs));
  for (const bind of travelling) {
    const source = await realpath(bind.source).catch(ifMissing(bind.source));
    const { point, shared, slave } = mountOf(mounts, source);
    const wanted = isShared(bind) ? "a shared" : "a shared or slave";
    if (!shared && (isShared(bind) || !slave))
      throw invalid(`path ${bind.source} is mounted on ${point} but it is not ${wanted} mount`);
    if (isShared(bind) && point === root.point)
      throw notImplemented(
        `bind propagation ${bind.propagation} of ${bind.source} is not supported: it is on the same mount as ${rootfs}`,
      );
  }
  return travelling.some(isShared) ? root.point : undefined;
}
