/** Which run of the kernel this is: after a crash or a reboot of the machine it is another. */

import { readFileSync } from "node:fs";

let known: string | undefined;

/** Source: proc_sys_kernel(5), random/boot_id. */
export function bootId(): string {
  known ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return known;
}
