/** How much a snapshot's top may hold, where its files lie in a directory. */

import { unavailable } from "../base/errors.ts";
import { limitProject } from "../base/quota.ts";

/**
 * Holds an empty directory, and all that will be made in it, to a size.
 * @throws unavailable when the file system cannot
 */
export function limitSize(directory: string, bytes: number): void {
  const cause = limitProject(directory, bytes);
  if (cause === undefined) return;
  throw unavailable(
    "--storage-opt size is not supported here: the data root has to be on ext4 or xfs with project quotas " +
      "(mkfs.ext4 -O quota,project; mount -o prjquota), or on Btrfs with the storage driver btrfs",
    { cause },
  );
}
