/** Whether an entry is another one than its base's. */

import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "./tree";
import { same } from "./memory";
import { Record, RecordXattr, firstXattr, isPortable, nextXattr, targetOf, xattrName, xattrValue } from "./walk-record";

// @ts-ignore: decorator
@inline
export function isDirectory(record: Record): bool {
  return (record.mode & S_IFMT) == S_IFDIR;
}

function find(record: Record, wanted: RecordXattr): RecordXattr | null {
  let xattr = firstXattr(record);
  for (let i: u32 = 0; i < record.xattrs; i++, xattr = nextXattr(xattr))
    if (same(xattrName(xattr), xattr.nameBytes, xattrName(wanted), wanted.nameBytes)) return xattr;
  return null;
}

function portables(record: Record): u32 {
  let count: u32 = 0;
  let xattr = firstXattr(record);
  for (let i: u32 = 0; i < record.xattrs; i++, xattr = nextXattr(xattr)) if (isPortable(xattr)) count++;
  return count;
}

/** More xattrs than this are not compared, but different: it would take the square of their number. */
const MOST_XATTRS: u32 = 256;

function sameXattrs(a: Record, b: Record): bool {
  if (a.xattrs == 0 && b.xattrs == 0) return true;
  if (a.xattrs > MOST_XATTRS || b.xattrs > MOST_XATTRS || portables(a) != portables(b)) return false;
  let xattr = firstXattr(a);
  for (let i: u32 = 0; i < a.xattrs; i++, xattr = nextXattr(xattr)) {
    if (!isPortable(xattr)) continue;
    const other = find(b, xattr);
    if (!other || !same(xattrValue(xattr), xattr.valueBytes, xattrValue(other), other.valueBytes)) return false;
  }
  return true;
}

/** @returns whether two entries are the same but for what they contain. Of times, only those of other things than directories count. */
export function sameAttributes(a: Record, b: Record): bool {
  if (a.mode != b.mode || a.uid != b.uid || a.gid != b.gid || !sameXattrs(a, b)) return false;
  return a.rdevMajor == b.rdevMajor && a.rdevMinor == b.rdevMinor;
}

/** @returns whether two entries, no directories, are the same as far as can be told without reading them. */
export function sameLeaf(a: Record, b: Record): bool {
  if (!sameAttributes(a, b) || a.mtime != b.mtime || a.mtimeNs != b.mtimeNs) return false;
  const kind = a.mode & S_IFMT;
  if (kind == S_IFREG) return a.size == b.size;
  return kind != S_IFLNK || same(targetOf(a), a.targetBytes, targetOf(b), b.targetBytes);
}
