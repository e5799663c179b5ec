/** Failed system calls of ours: like node's they have a `code`, as `ENOENT`, so that `hasCode` tells both. */

import { constants } from "node:os";

const NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));
// What the platform's list lacks; EWOULDBLOCK is another name of EAGAIN. Source: asm-generic/errno.h.
for (const [number, name] of [
  [11, "EAGAIN"],
  [15, "ENOTBLK"],
  [94, "ESOCKTNOSUPPORT"],
  [117, "EUCLEAN"],
] as const)
  NAMES.set(number, name);

/** @returns as `ENOENT`; numbers without a name as `E123` */
export const errnoName = (errno: number): string => NAMES.get(errno) ?? `E${errno}`;

/** A system call that failed, here or in a process that made it for us. */
export class SystemError extends Error {
  override readonly name: string = "SystemError";
  /** As `EBUSY`. */
  readonly code: string;

  /** @param action  what was tried, as `unmount /x` */
  constructor(
    action: string,
    readonly errno: number,
  ) {
    const code = errnoName(errno);
    super(`Cannot ${action}: ${code}`);
    this.code = code;
  }
}
