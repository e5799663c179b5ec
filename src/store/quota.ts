/** How much a directory may hold: project quotas of ext4 and xfs. Source: quotactl(2), ioctl_xfs_fsgetxattr(2). */

import { hasCode, unavailable } from "../base/errors.ts";
import { checked, cString, library } from "../base/library.ts";

/** Of tmpfs, a network's, …: what the kernel answers where there are no project quotas. */
const NONE = ["ENOTTY", "EOPNOTSUPP", "ESRCH", "ENOSYS", "EINVAL", "ENODEV"];

/**
 * Holds an empty directory, and all that will be made in it, to a size. The quota is forgotten with the directory.
 * @throws unavailable when the file system cannot
 */
export function limitSize(directory: string, bytes: number): void {
  try {
    checked(`limit the size of ${directory}`, library().bosun_limit_size(cString(directory), BigInt(bytes)));
  } catch (error) {
    if (!hasCode(error, ...NONE)) throw error;
    throw unavailable(
      "--storage-opt size is not supported here: the data root has to be on ext4 or xfs with project quotas " +
        "(mkfs.ext4 -O quota,project; mount -o prjquota), or on Btrfs with the storage driver btrfs",
      { cause: error },
    );
  }
}
