/** Paths as they are seen inside somebody's root, a container's or a volume's, by openat2(2). */

import { constants } from "node:fs";
import { checked, cString, library } from "./library.ts";

/** Of open(2), which node does not name. Source: asm-generic/fcntl.h. */
const O_PATH = 0o10000000;

/**
 * @param root    a directory, trusted
 * @param path    as whoever has that root sees it: no link leads out of it
 * @param follow  whether the last component is followed, if it is a link
 * @returns       a descriptor that can be looked at and named by /proc/self/fd, but not read. @throws SystemError
 */
export function openInRoot(root: string, path: string | Uint8Array, follow = true): number {
  const result = library().bosun_open_in_root(
    cString(root),
    cString(path),
    O_PATH | (follow ? 0 : constants.O_NOFOLLOW),
  );
  return checked(`open ${Buffer.from(path)} in ${root}`, result);
}
