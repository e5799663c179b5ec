/** Words of mount(8) that are flags of a mount or of its file system, and what each sets or clears. Source: mount(8), mount(2). */

import { MS } from "./ops.ts";

export interface FlagEffect {
  readonly set?: number;
  readonly clear?: number;
}

export const MOUNT_FLAGS: Readonly<Record<string, FlagEffect>> = {
  ro: { set: MS.rdonly },
  rw: { clear: MS.rdonly },
  nosuid: { set: MS.nosuid },
  suid: { clear: MS.nosuid },
  nodev: { set: MS.nodev },
  dev: { clear: MS.nodev },
  noexec: { set: MS.noexec },
  exec: { clear: MS.noexec },
  nosymfollow: { set: MS.nosymfollow },
  symfollow: { clear: MS.nosymfollow },
  noatime: { set: MS.noatime },
  atime: { clear: MS.noatime },
  nodiratime: { set: MS.nodiratime },
  diratime: { clear: MS.nodiratime },
  relatime: { set: MS.relatime },
  norelatime: { clear: MS.relatime },
  strictatime: { set: MS.strictatime },
  nostrictatime: { clear: MS.strictatime },
  sync: { set: MS.synchronous },
  async: { clear: MS.synchronous },
  dirsync: { set: MS.dirsync },
  lazytime: { set: MS.lazytime },
  nolazytime: { clear: MS.lazytime },
};
