/**
 * The store's calls into libbosun.so (shim/extract.c): what Bun has no function for. Every one blocks its thread. Paths and names are bytes: a path
 * of an image need not be UTF-8.
 */

import { dlopen } from "bun:ffi";
import { constants } from "node:os";
import { hasCode, internal } from "./errors.ts";

const FILE = new URL("../../build/libbosun.so", import.meta.url);

const open = () =>
  dlopen(FILE.pathname, {
    bosun_extract: { args: ["buffer", "buffer", "buffer", "u64"], returns: "i64" },
    bosun_open_mount: { args: ["buffer", "buffer"], returns: "i32" },
    bosun_attach: { args: ["i32", "buffer"], returns: "i32" },
    bosun_detach: { args: ["buffer"], returns: "i32" },
    bosun_get_xattr: { args: ["buffer", "buffer", "buffer", "u64"], returns: "i64" },
    bosun_list_xattrs: { args: ["buffer", "buffer", "u64"], returns: "i64" },
  }).symbols;

let library: ReturnType<typeof open> | undefined;

function native(): ReturnType<typeof open> {
  try {
    library ??= open();
  } catch (error) {
    throw internal(`Cannot load ${FILE.pathname}: build it with bun shim/shim.build.ts`, { cause: error });
  }
  return library;
}

const NAMES = new Map<number, string>(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** A failed call. `code` is as node's: `ENOENT`. */
export class SystemError extends Error {
  override readonly name = "SystemError";
  readonly code: string;
  constructor(action: string, errno: number) {
    const code = NAMES.get(errno) ?? `errno ${errno}`;
    super(`Cannot ${action}: ${code}`);
    this.code = code;
  }
}

function checked(action: string, result: number | bigint): number {
  const value = Number(result);
  if (value < 0) throw new SystemError(action, -value);
  return value;
}

/** FFI moves small arrays: everything that C sees is a Buffer of its own, kept alive by the caller's frame. */
const cString = (text: string | Uint8Array): Buffer => Buffer.concat([Buffer.from(text), Buffer.alloc(1)]);

/**
 * Makes a layer's tree.
 * @param root   an empty directory
 * @param tar    path of the tar that has the contents
 * @param steps  see wasm/steps-write.ts
 * @throws SystemError naming the step's file
 */
export function extract(root: string, tar: string, steps: Uint8Array): void {
  const result = Number(native().bosun_extract(cString(root), cString(tar), steps, steps.length));
  if (result === 0) return;
  const at = Math.floor(-result / 4096);
  const length = new DataView(steps.buffer, steps.byteOffset + at, 64).getUint16(6, true);
  const name = Buffer.from(steps.subarray(at + 64, at + 64 + length)).toString();
  throw new SystemError(`unpack ${JSON.stringify(name)} into ${root}`, -result % 4096);
}

/** @returns a descriptor of the mount's root, which is attached nowhere; see fsopen(2) for the options */
export function openMount(type: string, options: readonly string[]): number {
  const words = cString(options.map((option) => `${option}\0`).join(""));
  return checked(`mount ${type} with ${options.join(",")}`, native().bosun_open_mount(cString(type), words));
}

/** @param mount  from `openMount`; close it afterwards */
export function attachMount(mount: number, target: string): void {
  checked(`mount at ${target}`, native().bosun_attach(mount, cString(target)));
}

/** Takes a mount out of the tree; what it holds in memory is given back in the background. */
export function detachMount(target: string): void {
  checked(`unmount ${target}`, native().bosun_detach(cString(target)));
}

/** Most are short; `XATTR_SIZE_MAX` is 64 KiB. */
function readXattr(action: string, read: (room: Buffer) => number): Buffer {
  const small = Buffer.alloc(512);
  const size = read(small);
  if (size !== -constants.errno.ERANGE) return small.subarray(0, checked(action, size));
  const large = Buffer.alloc(65536);
  return large.subarray(0, checked(action, read(large)));
}

/** @returns a file's attribute, also a symlink's own; undefined when it has none of that name */
export function getXattr(path: string | Buffer, name: string): Buffer | undefined {
  const action = `read attribute ${name} of ${path}`;
  const at = cString(path);
  const key = cString(name);
  try {
    return readXattr(action, (room) => Number(native().bosun_get_xattr(at, key, room, room.length)));
  } catch (error) {
    if (hasCode(error, "ENODATA", "EOPNOTSUPP", "ENOTSUP")) return undefined;
    throw error;
  }
}

/** @returns names of a file's attributes, also of a symlink's own */
export function listXattrs(path: string | Buffer): string[] {
  const at = cString(path);
  const read = (room: Buffer): number => Number(native().bosun_list_xattrs(at, room, room.length));
  const names = readXattr(`list attributes of ${path}`, read);
  return names.toString().split("\0").slice(0, -1);
}
