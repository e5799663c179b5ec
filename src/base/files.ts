/** Files beyond what node has: durability of names, locks, the disk below a path, extended attributes. */

import { open } from "node:fs/promises";
import { constants } from "node:os";
import type { Digest } from "./digest.ts";
import { hasCode } from "./errors.ts";
import { checked, cString, library } from "./library.ts";

const { EAGAIN, ERANGE } = constants.errno;

/** Waits until a directory's names are on disk: what was created in it or renamed into it stays. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, "r");
  await directory.sync();
}

/**
 * Locks a file, made if missing, against other processes, until it is closed or this process ends.
 * @returns the descriptor that holds the lock; undefined when another process has it. @throws SystemError
 */
export function lockFile(path: string): number | undefined {
  const result = library().bosun_lock(cString(path));
  return result === -EAGAIN ? undefined : checked(`lock ${path}`, result);
}

/** The same with a directory, which is not made. @throws SystemError, also when there is none */
export function lockDirectory(path: string): number | undefined {
  const result = library().bosun_lock_directory(cString(path));
  return result === -EAGAIN ? undefined : checked(`lock ${path}`, result);
}

/** Bytes that are hashed at a time: about half a millisecond, in which nobody else runs. */
const HASH_BATCH = 1 << 20;

/** @returns the digest of all that a file has. @throws what reading fails with */
export async function digestOfFile(path: string): Promise<Digest> {
  await using file = await open(path, "r");
  const hash = new Bun.CryptoHasher("sha256");
  const room = Buffer.allocUnsafeSlow(HASH_BATCH);
  for (;;) {
    const { bytesRead } = await file.read(room, 0, HASH_BATCH, null);
    if (bytesRead === 0) return `sha256:${hash.digest("hex")}`;
    hash.update(room.subarray(0, bytesRead));
  }
}

export interface FileSystem {
  /** Magic number, as in statfs(2). */
  readonly type: number;
  readonly totalBytes: number;
  /** To those without privilege. */
  readonly availableBytes: number;
  readonly freeInodes: number;
}

/** The file system that `path` lies on. @throws SystemError */
export function fileSystemOf(path: string): FileSystem {
  const fields = new BigUint64Array(7);
  checked(`look at the file system of ${path}`, library().bosun_statfs(cString(path), fields));
  const [type = 0, block = 0, blocks = 0, , available = 0, , freeInodes = 0] = Array.from(fields, Number);
  return { type, totalBytes: block * blocks, availableBytes: block * available, freeInodes };
}

/** Most attributes are short; the kernel's limit, XATTR_SIZE_MAX, is 64 KiB. */
function readXattr(action: string, read: (room: Buffer) => number | bigint): Buffer {
  const small = Buffer.alloc(512);
  const size = Number(read(small));
  if (size !== -ERANGE) return small.subarray(0, checked(action, size));
  const large = Buffer.alloc(65536);
  return large.subarray(0, checked(action, read(large)));
}

/** @returns a file's attribute, also a symlink's own; undefined when it has none of that name. @throws SystemError */
export function getXattr(path: string | Buffer, name: string): Buffer | undefined {
  const [at, key] = [cString(path), cString(name)];
  try {
    return readXattr(`read attribute ${name} of ${path}`, (room) =>
      library().bosun_get_xattr(at, key, room, room.length),
    );
  } catch (error) {
    if (hasCode(error, "ENODATA", "EOPNOTSUPP", "ENOTSUP")) return undefined;
    throw error;
  }
}

/** @returns names of a file's attributes, also of a symlink's own. @throws SystemError */
export function listXattrs(path: string | Buffer): string[] {
  const at = cString(path);
  const names = readXattr(`list attributes of ${path}`, (room) => library().bosun_list_xattrs(at, room, room.length));
  return names.toString().split("\0").slice(0, -1);
}
