/** System calls that the daemon makes itself and Bun does not have, from shim/lib.c. Negative errno comes back and is thrown here. */

import { dlopen, type Pointer, toArrayBuffer } from "bun:ffi";
import { join } from "node:path";
import { getSystemErrorName } from "node:util";
import { internal } from "./errors.ts";

/** Where the C parts are built to, by shim/shim.build.ts. */
export const builtFile = (name: string): string => join(import.meta.dir, "..", "..", "build", name);

const SYMBOLS = {
  bosun_memfd: { args: ["ptr"], returns: "i32" },
  bosun_umount: { args: ["ptr", "i32"], returns: "i32" },
  bosun_lock: { args: ["ptr"], returns: "i32" },
  bosun_close: { args: ["i32"], returns: "i32" },
  bosun_pidfd_open: { args: ["i32"], returns: "i32" },
  bosun_pidfd_kill: { args: ["i32", "i32"], returns: "i32" },
  bosun_device_filter: { args: ["ptr", "ptr", "u64"], returns: "i32" },
  bosun_statfs: { args: ["ptr", "ptr"], returns: "i32" },
  bosun_alloc: { args: ["u64"], returns: "ptr" },
  bosun_free: { args: ["ptr"], returns: "void" },
  bosun_netlink: { args: ["i32", "i32", "ptr", "u64", "ptr", "u64"], returns: "i64" },
} as const;

let opened: ReturnType<typeof dlopen<typeof SYMBOLS>>["symbols"] | undefined;

/** Opened at the first use, so that programs which make no such call need no library. */
function library() {
  opened ??= dlopen(builtFile("libbosun.so"), SYMBOLS).symbols;
  return opened;
}

const cString = (text: string): Uint8Array => Buffer.from(`${text}\0`);

const EAGAIN = 11;

/** A failed system call; `code` as `EBUSY`. */
export class KernelError extends Error {
  override readonly name = "KernelError";
  readonly code: string;
  constructor(
    action: string,
    readonly errno: number,
  ) {
    const code = getSystemErrorName(-errno);
    super(`Cannot ${action}: ${code}`);
    this.code = code;
  }
}

function checked(action: string, result: number): number {
  if (result < 0) throw new KernelError(action, -result);
  return result;
}

/** Runs `body` with memory of C's, since small arrays of JavaScript may move. `view` reads and writes it. */
function withMemory<T>(size: number, body: (at: Pointer, view: ArrayBuffer) => T): T {
  const at = library().bosun_alloc(BigInt(size));
  if (typeof at !== "number") throw internal(`Cannot allocate ${size} bytes`);
  try {
    return body(at, toArrayBuffer(at, 0, size));
  } finally {
    library().bosun_free(at);
  }
}

/** @returns a descriptor of an unchangeable copy of a file, in memory. @throws KernelError */
export const sealedCopy = (path: string): number =>
  checked(`copy ${path} into memory`, library().bosun_memfd(cString(path)));

/** Flags of umount2(2). */
export const UMOUNT = { detach: 2, nofollow: 8 } as const;

/** @throws KernelError */
export function unmount(path: string, flags = 0): void {
  checked(`unmount ${path}`, library().bosun_umount(cString(path), flags));
}

/**
 * Locks a file, made if missing, against other processes, until `closeFd` or the end of this one.
 * @returns the descriptor that holds the lock; undefined when another process has it. @throws KernelError
 */
export function lockFile(path: string): number | undefined {
  const result = library().bosun_lock(cString(path));
  return result === -EAGAIN ? undefined : checked(`lock ${path}`, result);
}

export function closeFd(fd: number): void {
  library().bosun_close(fd);
}

/**
 * Sends a signal to a process that is not our child.
 * @param isWanted  asked once `pid` can no longer come to mean another process: is it still the one that is meant?
 * @returns         whether it was sent
 */
export function signalProcess(pid: number, signal: number, isWanted: () => boolean): boolean {
  const fd = library().bosun_pidfd_open(pid);
  if (fd < 0) return false;
  try {
    return isWanted() && library().bosun_pidfd_kill(fd, signal) === 0;
  } finally {
    closeFd(fd);
  }
}

/** Lets a BPF program decide about devices in a v2 cgroup. @param code  `struct bpf_insn[]` @throws KernelError */
export function attachDeviceFilter(cgroup: string, code: Uint8Array): void {
  withMemory(code.byteLength, (at, view) => {
    new Uint8Array(view).set(code);
    const result = library().bosun_device_filter(cString(cgroup), at, BigInt(code.byteLength));
    checked(`set the device filter of ${cgroup}`, result);
  });
}

export interface FileSystem {
  /** Magic number, as in statfs(2). */
  readonly type: number;
  readonly totalBytes: number;
  /** To those without privilege. */
  readonly availableBytes: number;
  readonly freeInodes: number;
}

/** The file system that `path` lies on. @throws KernelError */
export function fileSystemOf(path: string): FileSystem {
  return withMemory(7 * 8, (at, view) => {
    checked(`look at the file system of ${path}`, library().bosun_statfs(cString(path), at));
    const fields = Array.from(new BigUint64Array(view), Number);
    const [type = 0, block = 0, blocks = 0, , available = 0, , freeInodes = 0] = fields;
    return { type, totalBytes: block * blocks, availableBytes: block * available, freeInodes };
  });
}

/** Netlink protocols. Source: linux/netlink.h. */
export const NETLINK = { route: 0, netfilter: 12 } as const;

const ANSWER_LIMIT = 4 << 20;

/**
 * Sends netlink messages, one or a batch, and gathers all answers.
 * @param netnsPid  a process of the network namespace; 0: ours
 * @throws KernelError when the exchange itself fails; refusals are messages
 */
export function exchangeNetlink(protocol: number, request: Uint8Array, netnsPid = 0): Uint8Array {
  return withMemory(request.byteLength, (at, view) => {
    new Uint8Array(view).set(request);
    return withMemory(ANSWER_LIMIT, (out, answer) => {
      const { bosun_netlink } = library();
      const size = bosun_netlink(protocol, netnsPid, at, BigInt(view.byteLength), out, BigInt(ANSWER_LIMIT));
      return new Uint8Array(answer).slice(0, checked("talk over netlink", Number(size)));
    });
  });
}
