/**
 * build/libbosun.so: system calls that Bun has no function for. Its convention (shim/lib.h): 0 or more, or -errno; every call blocks its
 * thread. Each function has one caller among the files beside this one.
 */

import { dlopen } from "bun:ffi";
import { builtFile } from "./built.ts";
import { internal } from "./errors.ts";
import { SystemError } from "./system-error.ts";

/** Memory is handed over as a `buffer`: C has it during the call only, in which nothing moves it. */
const SYMBOLS = {
  bosun_memfd: { args: ["buffer"], returns: "i32" },
  bosun_lock: { args: ["buffer"], returns: "i32" },
  bosun_lock_directory: { args: ["buffer"], returns: "i32" },
  bosun_limit_size: { args: ["buffer", "u64"], returns: "i32" },
  bosun_subvolume: { args: ["buffer", "buffer"], returns: "i32" },
  bosun_snapshot: { args: ["buffer", "buffer", "buffer"], returns: "i32" },
  bosun_limit_subvolume: { args: ["buffer", "u64"], returns: "i32" },
  bosun_statfs: { args: ["buffer", "buffer"], returns: "i32" },
  bosun_get_xattr: { args: ["buffer", "buffer", "buffer", "u64"], returns: "i64" },
  bosun_list_xattrs: { args: ["buffer", "buffer", "u64"], returns: "i64" },
  bosun_open_mount: { args: ["buffer", "buffer"], returns: "i32" },
  bosun_open_tree: { args: ["buffer", "i32"], returns: "i32" },
  bosun_restrict_mount: { args: ["i32", "u64"], returns: "i32" },
  bosun_attach: { args: ["i32", "buffer"], returns: "i32" },
  bosun_detach: { args: ["buffer"], returns: "i32" },
  bosun_open_in_root: { args: ["buffer", "buffer", "i32"], returns: "i32" },
  bosun_place: { args: ["i32", "buffer", "i32", "buffer", "buffer", "i32"], returns: "i32" },
  bosun_place_file: { args: ["i32", "buffer", "buffer", "buffer", "u64", "buffer", "u64", "i32"], returns: "i32" },
  bosun_place_attributes: { args: ["i32", "buffer", "buffer", "u64"], returns: "i32" },
  bosun_place_link: { args: ["i32", "buffer", "i32", "buffer", "i32"], returns: "i32" },
  bosun_unmap_code: { args: [], returns: "i32" },
  bosun_pidfd_open: { args: ["i32"], returns: "i32" },
  bosun_pidfd_kill: { args: ["i32", "i32"], returns: "i32" },
  bosun_device_filter: { args: ["buffer", "buffer", "u64"], returns: "i32" },
  bosun_watch_exhaustion: { args: ["buffer"], returns: "i32" },
  bosun_netlink: { args: ["i32", "i32", "buffer", "u64", "buffer", "u64"], returns: "i64" },
  bosun_netlink_watch: { args: ["i32", "u32"], returns: "i32" },
  bosun_set_sysctl: { args: ["i32", "buffer", "buffer"], returns: "i32" },
  bosun_datagrams_open: { args: ["buffer"], returns: "i32" },
  bosun_datagrams_send: { args: ["i32", "buffer", "u64"], returns: "i32" },
  bosun_extract: { args: ["buffer", "buffer", "buffer", "u64", "buffer"], returns: "i32" },
  bosun_walk_open: { args: ["buffer", "buffer", "buffer", "i32"], returns: "i64" },
  bosun_walk_next: { args: ["i64", "buffer", "u64"], returns: "i64" },
  bosun_walk_close: { args: ["i64"], returns: "void" },
  bosun_remove: { args: ["buffer", "buffer", "u32"], returns: "i32" },
  bosun_pour_open: { args: ["buffer"], returns: "i64" },
  bosun_pour: { args: ["i64", "buffer", "u64", "buffer", "u64"], returns: "i64" },
  bosun_pour_close: { args: ["i64"], returns: "void" },
} as const;

const FILE = builtFile("libbosun.so");

let opened: ReturnType<typeof dlopen<typeof SYMBOLS>>["symbols"] | undefined;

/** Opened at the first use, so that programs which make no such call need no library. @throws internal when it is not built */
export function library(): NonNullable<typeof opened> {
  try {
    opened ??= dlopen(FILE, SYMBOLS).symbols;
  } catch (error) {
    throw internal(`Cannot load ${FILE}: build it with bun shim/shim.build.ts`, { cause: error });
  }
  return opened;
}

/** A text or a path, which need not be UTF-8, as C takes it. */
export const cString = (text: string | Uint8Array): Buffer => Buffer.concat([Buffer.from(text), Buffer.alloc(1)]);

/**
 * @param action  for the message, as `unmount /x`
 * @returns       what the call returned. @throws SystemError when that is -errno
 */
export function checked(action: string, result: number | bigint): number {
  const value = Number(result);
  if (value < 0) throw new SystemError(action, -value);
  return value;
}
