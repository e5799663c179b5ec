/** Directories that come and go whole, and the mounts in them. A name that starts `new-` or `rm-` is unfinished or half gone. */

import { constants, rmdirSync } from "node:fs";
import { access, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { hasCode, ifMissing } from "../base/errors.ts";
import { detachMount } from "../base/mounts.ts";

export const exists = (path: string): Promise<boolean> =>
  access(path, constants.F_OK).then(() => true, ifMissing(false, "ENOTDIR"));

/** @returns names in a directory; none when it is missing */
export const namesIn = (directory: string): Promise<string[]> => readdir(directory).catch(ifMissing([]));

/** Never removes more than the mount and the empty directory that it was on. */
export function unmount(target: string): void {
  detachMount(target);
  try {
    rmdirSync(target);
  } catch (error) {
    if (!hasCode(error, "ENOENT", "EBUSY", "ENOTEMPTY")) throw error;
  }
}

/** Takes it out of sight at once, so that a crash leaves nothing half removed under its name. */
export async function removeWhole(directory: string, name: string): Promise<void> {
  const gone = join(directory, `rm-${name}`);
  await rm(gone, { recursive: true, force: true });
  try {
    await rename(join(directory, name), gone);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return;
    throw error;
  }
  await rm(gone, { recursive: true, force: true });
}

/** Removes what a crash left of directories that came or went. */
export async function sweepUnfinished(directory: string): Promise<void> {
  for (const name of await namesIn(directory))
    if (/^(new|rm)-/.test(name)) await rm(join(directory, name), { recursive: true, force: true });
}
