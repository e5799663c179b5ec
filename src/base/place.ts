/** Putting things into directories that are open, by shim/lib-place.c: nothing that is there is followed. */

import type { FileAttributes } from "./attributes.ts";
import { checked, cString, library } from "./library.ts";

const KINDS = { directory: 1, file: 2, symlink: 3, node: 4 } as const;

const numbersOf = ({ mode, uid, gid, mtime, device }: FileAttributes): BigInt64Array =>
  BigInt64Array.from([mode, uid, gid, mtime.seconds, mtime.nanoseconds, ...device], BigInt);

function xattrBytes(xattrs: ReadonlyMap<string, string>): Buffer {
  const parts = [...xattrs].map(([name, text]) => {
    const value = Buffer.from(text, "latin1");
    const size = Buffer.alloc(4);
    size.writeUInt32LE(value.length);
    return Buffer.concat([cString(Buffer.from(name, "latin1")), size, value]);
  });
  return Buffer.concat([...parts, Buffer.alloc(1)]); // never of no bytes
}

/**
 * A directory that is there stays; anything else makes way, whole trees too.
 * @param directory  a descriptor
 * @param name       one component
 * @param target     of a symlink
 * @returns          a descriptor: give it its attributes, and close it. A file's can be written. @throws SystemError
 */
export function place(
  directory: number,
  name: Buffer,
  kind: keyof typeof KINDS,
  attributes: FileAttributes,
  target: Buffer = Buffer.alloc(0),
): number {
  const numbers = numbersOf(attributes);
  const result = library().bosun_place(directory, cString(name), KINDS[kind], cString(target), numbers);
  return checked(`make ${kind} ${name}`, result);
}

/** Owner, mode, attributes and time of what is open. @throws SystemError */
export function setAttributes(fd: number, attributes: FileAttributes): void {
  const xattrs = xattrBytes(attributes.xattrs);
  const result = library().bosun_place_attributes(fd, numbersOf(attributes), xattrs, BigInt(xattrs.length - 1));
  checked("set attributes", result);
}

/** Another name for what is `goal` in the directory `from`. @throws SystemError */
export function placeLink(from: number, goal: Buffer, directory: number, name: Buffer): void {
  checked(`link ${name}`, library().bosun_place_link(from, cString(goal), directory, cString(name)));
}
