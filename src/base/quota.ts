/**
 * How much a directory may hold: project quotas of ext4 and xfs, quota groups of Btrfs' subvolumes.
 * Source: quotactl(2), ioctl_xfs_fsgetxattr(2); btrfs-quota(8).
 */

import { rmdir } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { hasCode } from "./errors.ts";
import { fileSystemOf } from "./files.ts";
import { checked, cString, library } from "./library.ts";

/** Of tmpfs, a network's, …: what the kernel answers where there are no project quotas. */
const NONE = ["ENOTTY", "EOPNOTSUPP", "ESRCH", "ENOSYS", "EINVAL", "ENODEV"];

/** Source: linux/magic.h. */
const BTRFS_MAGIC = 0x9123683e;

export const isOnBtrfs = (path: string): boolean => fileSystemOf(path).type === BTRFS_MAGIC;

/**
 * Holds an empty directory, and all that will be made in it, to a size. The quota is forgotten with the directory.
 * @returns what the kernel answers when the file system has no project quotas; undefined when it is done. @throws SystemError
 */
export function limitProject(directory: string, bytes: number): unknown {
  try {
    checked(`limit the size of ${directory}`, library().bosun_limit_size(cString(directory), BigInt(bytes)));
    return undefined;
  } catch (error) {
    if (!hasCode(error, ...NONE)) throw error;
    return error;
  }
}

/** An empty one. @param directory  on Btrfs. @throws SystemError */
export const createSubvolume = (directory: string, name: string): void =>
  void checked(`make subvolume ${name} in ${directory}`, library().bosun_subvolume(cString(directory), cString(name)));

/** What the subvolume does not share. Turns quotas on, where they are off. @throws SystemError */
export const limitSubvolume = (path: string, bytes: number): void =>
  void checked(`limit the size of ${path}`, library().bosun_limit_subvolume(cString(path), BigInt(bytes)));

/**
 * As limitProject, wherever the directory is; on Btrfs it becomes a subvolume.
 * @param directory  an empty one. @throws SystemError
 */
export async function limitDirectory(directory: string, bytes: number): Promise<unknown> {
  if (!isOnBtrfs(directory)) return limitProject(directory, bytes);
  await rmdir(directory);
  createSubvolume(dirname(directory), basename(directory));
  limitSubvolume(directory, bytes);
  return undefined;
}
