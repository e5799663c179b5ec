/** What an image has at the place of a volume goes into the volume when that is empty. Source: docs.docker.com, "Volumes", "Populate a volume". */

import { closeSync, fstatSync } from "node:fs";
import { chmod, chown } from "node:fs/promises";
import { hasCode } from "../base/errors.ts";
import { openInRoot } from "../base/paths.ts";
import type { Snapshots } from "../store/snapshot.ts";
import { tarOfTree } from "../wasm/tree-tar.ts";
import { untar } from "./untar.ts";

/** @returns undefined when there is none */
function openDirectory(root: string, path: string): number | undefined {
  let fd: number;
  try {
    fd = openInRoot(root, path);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR", "ELOOP")) return undefined;
    throw error;
  }
  if (fstatSync(fd).isDirectory()) return fd;
  closeSync(fd);
  return undefined;
}

/**
 * Nothing happens when there is no directory at `path`.
 * @param key        of a snapshot
 * @param path       as the container sees it, links followed
 * @param directory  an empty one of the host's; it gets owner and mode of the other, too
 */
export async function copyUp(
  snapshotter: Pick<Snapshots, "read">,
  key: string,
  path: string,
  directory: string,
): Promise<void> {
  using tree = await snapshotter.read(key);
  const fd = openDirectory(tree.path, path);
  if (fd === undefined) return;
  try {
    const { uid, gid, mode } = fstatSync(fd);
    await untar(tarOfTree(`/proc/self/fd/${fd}`), { root: directory, path: "/" });
    await chown(directory, uid, gid);
    await chmod(directory, mode & 0o7777);
  } finally {
    closeSync(fd);
  }
}
