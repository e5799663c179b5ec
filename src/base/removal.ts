/** Removing trees by shim/lib-remove.c: Bun's own takes half a minute for 3,000 nested directories, and enters mounts. */

import { join } from "node:path";
import { checked, cString, library } from "./library.ts";

/** Entries that are gone before anybody notices. */
const FEW = 64;

const remove = (directory: string, name: string, most: number): boolean =>
  checked(`remove ${join(directory, name)}`, library().bosun_remove(cString(directory), cString(name), most)) === 0;

/**
 * Begins to remove a file or a tree, for as long as the main thread can wait.
 * @param directory  trusted; below it no link is followed, and no mount entered
 * @returns          whether it is gone, or never was there. @throws SystemError
 */
export const removeBriefly = (directory: string, name: string): boolean => remove(directory, name, FEW);

/** Removes all of it, and blocks the thread meanwhile. @throws SystemError, with all gone that could go; `EBUSY` where something is mounted */
export function removeAll(directory: string, name: string): void {
  remove(directory, name, 0);
}
