/**
 * A directory tree as a stream of records, as shim/lib-walk.c writes it: depth first, names sorted by bytes. Little endian; a record starts at a
 * multiple of 8 and is never cut.
 *
 *    0 u32 bytes of the record   4 u8 kind   5 u8 flags   6 u16 name bytes
 *    8 u32 mode                 12 u32 uid  16 u32 gid   20 u32 mtime's nanoseconds
 *   24 i64 mtime                32 u64 size              40 u64 inode
 *   48 u32 device: major        52 u32 minor             56 u32 node's number: major   60 u32 minor
 *   64 u32 links                68 u32 target bytes      72 u32 xattrs
 *   80 name NUL, target, NULs up to 8, xattrs: u32 name bytes, u32 value bytes, name NUL, value, NULs up to 8
 *
 *   ENTER "" ─ ENTER "etc" ─ LEAF "passwd" ─ LEAVE ─ OLD "tmp" ─ ENTER "tmp" ─ LEAVE ─ LEAVE
 *
 * A tree that is read beside another, its base, has an OLD record wherever the base has something too: it comes just before the entry of the same
 * name, in the same chunk. Marked ALONE, the tree has no such entry.
 */

import { same } from "./memory";

export const ENTER: u32 = 1; // a directory, whose entries follow; without a name, the root
export const LEAVE: u32 = 2; // the end of a directory's entries
export const LEAF: u32 = 3;
export const OLD: u32 = 4;

/** Of an overlay's upper directory: it hides what the base has under its name. */
export const OPAQUE: u32 = 1;
export const ALONE: u32 = 2;

export const HEAD: u32 = 80;

// @ts-ignore: decorator
@unmanaged
export class Record {
  bytes: u32;
  kind: u8;
  flags: u8;
  nameBytes: u16;
  mode: u32;
  uid: u32;
  gid: u32;
  mtimeNs: u32;
  mtime: i64;
  size: u64;
  inode: u64;
  deviceMajor: u32;
  deviceMinor: u32;
  rdevMajor: u32;
  rdevMinor: u32;
  links: u32;
  targetBytes: u32;
  xattrs: u32;
  unused: u32;
}

/** @returns whether a record lies in `left` bytes, and its name and target in it. */
export function isWhole(record: Record, left: u32): bool {
  if (left < HEAD || record.bytes < HEAD + 8 || record.bytes > left || record.bytes & 7) return false;
  return <u64>record.nameBytes + record.targetBytes + HEAD + 2 <= record.bytes;
}

// @ts-ignore: decorator
@inline
export function nameOf(record: Record): usize {
  return changetype<usize>(record) + HEAD;
}

// @ts-ignore: decorator
@inline
export function targetOf(record: Record): usize {
  return nameOf(record) + record.nameBytes + 1;
}

// @ts-ignore: decorator
@unmanaged
export class RecordXattr {
  nameBytes: u32;
  valueBytes: u32;
}

export function firstXattr(record: Record): RecordXattr {
  return changetype<RecordXattr>((targetOf(record) + record.targetBytes + 8) & ~7);
}

export function nextXattr(xattr: RecordXattr): RecordXattr {
  return changetype<RecordXattr>((xattrValue(xattr) + xattr.valueBytes + 8) & ~7);
}

// @ts-ignore: decorator
@inline
export function xattrName(xattr: RecordXattr): usize {
  return changetype<usize>(xattr) + 8;
}

// @ts-ignore: decorator
@inline
export function xattrValue(xattr: RecordXattr): usize {
  return xattrName(xattr) + xattr.nameBytes + 1;
}

/** @returns whether the xattrs that a record counts lie in it. */
export function hasWholeXattrs(record: Record): bool {
  const end = changetype<usize>(record) + record.bytes;
  let xattr = firstXattr(record);
  for (let i: u32 = 0; i < record.xattrs; i++) {
    const room: u64 = end - changetype<usize>(xattr);
    if (changetype<usize>(xattr) + 8 > end || <u64>xattr.nameBytes + xattr.valueBytes + 9 > room) return false;
    xattr = nextXattr(xattr);
  }
  return changetype<usize>(xattr) <= end;
}

const USER: usize = memory.data<u8>([0x75, 0x73, 0x65, 0x72, 0x2e]); // user.
// security.capability
const CAPABILITY: usize = memory.data<u8>([
  0x73, 0x65, 0x63, 0x75, 0x72, 0x69, 0x74, 0x79, 0x2e, 0x63, 0x61, 0x70, 0x61, 0x62, 0x69, 0x6c, 0x69, 0x74, 0x79,
]);
// system.posix_acl_
const ACL: usize = memory.data<u8>([
  0x73, 0x79, 0x73, 0x74, 0x65, 0x6d, 0x2e, 0x70, 0x6f, 0x73, 0x69, 0x78, 0x5f, 0x61, 0x63, 0x6c, 0x5f,
]);

/**
 * @returns whether an attribute is the file's own, and pax can say it: security labels are the machine's and would not hold on another one; a name
 *          with `=` would be read as another name
 */
export function isPortable(xattr: RecordXattr): bool {
  const name = xattrName(xattr);
  const length = xattr.nameBytes;
  for (let i: u32 = 0; i < length; i++) if (load<u8>(name + i) == 0x3d) return false;
  if (length > 5 && memory.compare(name, USER, 5) == 0) return true;
  if (length > 17 && memory.compare(name, ACL, 17) == 0) return true;
  return same(name, length, CAPABILITY, 19);
}
