/** Switches of the kernel in a network namespace. */

import { checked, cString, library } from "./library.ts";

/**
 * @param pid   a process in the network namespace
 * @param path  below /proc/sys
 * @throws      SystemError ENOENT for one that the kernel does not know, EINVAL for a value that it refuses
 */
export function setNetworkSysctl(pid: number, path: string, value: string): void {
  const result = library().bosun_set_sysctl(pid, cString(`/proc/sys/${path}`), cString(value));
  checked(`set ${path.replaceAll("/", ".")} to ${value}`, result);
}
