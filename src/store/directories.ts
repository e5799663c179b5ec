/** Directories that come and go whole, and the mounts in them. A name that starts `new-` or `rm-` is unfinished or half gone. */

import { renameSync, rmdirSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { hasCode, ifMissing } from "../base/errors.ts";
import { detachMount } from "../base/mounts.ts";
import { removeBriefly } from "../base/removal.ts";
import type { Workers } from "../wasm/workers.ts";

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

/** Does the long part of removing. */
export type RemovalWorkers = Pick<Workers, "remove">;

/** Removes a tree, however large or deep, without holding up anything else. What is not there is removed already. */
export async function removeTree(workers: RemovalWorkers, path: string): Promise<void> {
  const [directory, name] = [dirname(path), basename(path)];
  if (!removeBriefly(directory, name)) await workers.remove({ directory, name });
}

/**
 * Takes it out of sight at once, so that a crash leaves nothing half removed under its name.
 * @param later  removes it when it is disposed of: nobody else need wait for that
 */
export function removeWhole(
  workers: RemovalWorkers,
  later: AsyncDisposableStack,
  directory: string,
  name: string,
): void {
  const gone = join(directory, `rm-${crypto.randomUUID()}`);
  try {
    renameSync(join(directory, name), gone);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return;
    throw error;
  }
  later.defer(() => removeTree(workers, gone));
}

/** Removes what a crash left of directories that came or went. */
export async function sweepUnfinished(workers: RemovalWorkers, directory: string): Promise<void> {
  for (const name of await namesIn(directory))
    if (/^(new|rm)-/.test(name)) await removeTree(workers, join(directory, name));
}
