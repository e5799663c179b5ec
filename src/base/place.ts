/** Putting things into directories that are open, by shim/lib-place.c: nothing that is there is followed. */

import type { FileAttributes } from "./attributes.ts";
import { checked, cString, library } from "./library.ts";

const KINDS = { directory: 1, file: 2, symlink: 3, node: 4 } as const;

const numbersOf = ({ mode, uid, gid, mtime, device }: FileAttributes): BigInt64Array =>
  BigInt64Array.of(
    ...[BigInt(mode), BigInt(uid), BigInt(gid), BigInt(mtime.seconds), BigInt(mtime.nanoseconds)],
    ...[BigInt(device[0]), BigInt(device[1])],
  );

const NOTHING = Buffer.alloc(1);

function xattrBytes(xattrs: ReadonlyMap<string, string>): Buffer {
  if (xattrs.size === 0) return NOTHING;
  const parts = [...xattrs].map(([name, text]) => {
    const value = Buffer.from(text, "latin1");
    const size = Buffer.alloc(4);
    size.writeUInt32LE(value.length);
    return Buffer.concat([cString(Buffer.from(name, "latin1")), size, value]);
  });
  return Buffer.concat([...parts, NOTHING]); // never of no bytes
}

/** Where something goes: a directory that is open, and one component. */
export interface Spot {
  readonly directory: number;
  readonly name: Buffer;
  /** A directory makes way for nothing but a directory (EISDIR), and nothing else for a directory (ENOTDIR). */
  readonly keepKinds: boolean;
}

/**
 * A directory that is there stays; anything else makes way, whole trees too.
 * @param target  of a symlink
 * @returns       a descriptor: give it its attributes, and close it. A file's can be written. @throws SystemError
 */
export function place(
  { directory, name, keepKinds }: Spot,
  kind: keyof typeof KINDS,
  attributes: FileAttributes,
  target: Buffer = NOTHING,
): number {
  const [numbers, goal] = [numbersOf(attributes), cString(target)];
  const result = library().bosun_place(directory, cString(name), KINDS[kind], goal, numbers, Number(keepKinds));
  return checked(`make ${kind} ${name}`, result);
}

/** A whole file at once: the same as `place`, writing, and `setAttributes`. @throws SystemError */
export function placeFile(spot: Spot, attributes: FileAttributes, content: Uint8Array): void {
  const { directory, name, keepKinds } = spot;
  const xattrs = xattrBytes(attributes.xattrs);
  const result = library().bosun_place_file(
    ...([directory, cString(name), numbersOf(attributes), xattrs, BigInt(xattrs.length - 1)] as const),
    ...([content.length > 0 ? content : NOTHING, BigInt(content.length), Number(keepKinds)] as const),
  );
  checked(`make file ${name}`, result);
}

/** Owner, mode, attributes and time of what is open. @throws SystemError */
export function setAttributes(fd: number, attributes: FileAttributes): void {
  const xattrs = xattrBytes(attributes.xattrs);
  const result = library().bosun_place_attributes(fd, numbersOf(attributes), xattrs, BigInt(xattrs.length - 1));
  checked("set attributes", result);
}

/** Another name for what is `goal` in the directory `from`. @throws SystemError */
export function placeLink(from: number, goal: Buffer, { directory, name, keepKinds }: Spot): void {
  const result = library().bosun_place_link(from, cString(goal), directory, cString(name), Number(keepKinds));
  checked(`link ${name}`, result);
}
