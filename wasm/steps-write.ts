/**
 * Writes a tree as steps that make it in an empty directory, for kernels that cannot mount the index. Walked depth first; every
 * parent that a step names was made by an earlier step, as a directory, so that no step can be led astray by a symlink.
 * Read by shim/lib-extract.c. Little endian; each record starts at a multiple of 8.
 *
 *    0 u32 bytes of the record   4 u8 kind   5 u8 sparse?   6 u16 name bytes
 *    8 u32 mode                 12 u32 uid  16 u32 gid                  20 u32 mtime's nanoseconds
 *   24 i64 mtime                32 u64 size                            40 u64 offset in the tar
 *   48 u32 rdev                 52 u32 target bytes                    56 u32 sparse pieces   60 u32 xattrs
 *   64 name NUL, target NUL, padding to 8, pieces (u64 offset, u64 length), xattrs (u16 name bytes, u16 value bytes, name NUL, value)
 */

import * as fault from "./fault";
import { alloc, reserve } from "./memory";
import { Entry, Inode, OPAQUE, S_IFLNK, S_IFMT, S_IFREG, SPARSE, isDirectory, isDots, root } from "./tree";
import { PREFIX_ACL_ACCESS, PREFIX_SECURITY, PREFIX_TRUSTED, PREFIX_USER, Xattr } from "./xattr";

const ENTER: u32 = 1; // make a directory and go there; without a name, the root
const LEAVE: u32 = 2; // give the directory its attributes and go to its parent
const FILE: u32 = 3;
const SYMLINK: u32 = 4;
const NODE: u32 = 5;
const LINK: u32 = 6; // target: path from the root of a name made before

const HEAD: u32 = 64;

let out: usize = 0;
let position: u32 = 0;
/** 1 while measuring, 2 while writing: what an inode's `layout` says once it has a name in this pass. */
let pass: u32 = 0;

export let steps: usize = 0;
export let stepsBytes: u32 = 0;

/** @returns a fault or NONE; then the steps are `stepsBytes` at `steps` */
export function writeSteps(): i32 {
  out = 0;
  pass = 1;
  if (!walk()) return fault.OUT_OF_MEMORY;
  stepsBytes = position;
  if (!reserve(stepsBytes)) return fault.OUT_OF_MEMORY;
  steps = alloc(stepsBytes);
  out = steps;
  pass = 2;
  if (!walk() || position != stepsBytes) unreachable();
  return fault.NONE;
}

function walk(): bool {
  position = 0;
  let here: Inode = root;
  enter(null, root);
  let entry = root.first;
  while (position < 0x3fffffff) {
    if (!entry) {
      put(LEAVE, null, here, 0, 0);
      if (here == root) return true;
      const left = <Entry>here.entry;
      here = left.parent;
      entry = left.next;
    } else if (isDots(entry)) entry = entry.next;
    else if (isDirectory(entry.inode)) {
      here = entry.inode;
      enter(entry, here);
      entry = here.first;
    } else {
      leaf(entry, entry.inode);
      entry = entry.next;
    }
  }
  return false;
}

function enter(entry: Entry | null, node: Inode): void {
  put(ENTER, entry, node, 0, 0);
}

function leaf(entry: Entry, node: Inode): void {
  if (node.layout == pass) {
    const length = pathBytes(<Entry>node.entry);
    put(LINK, entry, node, 0, length);
    return;
  }
  node.layout = pass;
  node.entry = entry;
  const kind = node.mode & S_IFMT;
  if (kind == S_IFLNK) put(SYMLINK, entry, node, node.target, <u32>node.size);
  else put(kind == S_IFREG ? FILE : NODE, entry, node, 0, 0);
}

function pathBytes(entry: Entry): u32 {
  let bytes: u32 = entry.length;
  let up = entry.parent.entry;
  while (up) {
    bytes += up.length + 1;
    up = up.parent.entry;
  }
  return bytes;
}

/** Writes a path backwards, so that it ends at `end`. */
function writePath(entry: Entry, end: usize): void {
  let each: Entry | null = entry;
  while (each) {
    end -= each.length;
    memory.copy(end, each.name, each.length);
    each = each.parent.entry;
    if (each) store<u8>(--end, 0x2f);
  }
}

function put(kind: u32, entry: Entry | null, node: Inode, target: usize, targetLength: u32): void {
  const start = position;
  const nameLength = entry ? entry.length : 0;
  const pieces = kind == FILE && node.flags & SPARSE ? node.extents : 0;
  position = (position + HEAD + nameLength + 1 + targetLength + 1 + 7) & ~7;
  if (out) {
    head(out + start, kind, nameLength, node, targetLength, pieces);
    const text = out + start + HEAD;
    if (entry) memory.copy(text, entry.name, nameLength);
    if (kind == LINK) writePath(<Entry>node.entry, text + nameLength + 1 + targetLength);
    else memory.copy(text + nameLength + 1, target, targetLength);
    memory.copy(out + position, node.target, pieces * 16);
  }
  position += pieces * 16;
  if (kind != ENTER && kind != LINK) xattrs(start, node);
  position = (position + 7) & ~7;
  if (out) store<u32>(out + start, position - start);
}

function head(at: usize, kind: u32, nameLength: u32, node: Inode, targetLength: u32, pieces: u32): void {
  store<u8>(at, <u8>kind, 4);
  store<u8>(at, kind == FILE && node.flags & SPARSE ? 1 : 0, 5);
  store<u16>(at, <u16>nameLength, 6);
  store<u32>(at, node.mode, 8);
  store<u32>(at, node.uid, 12);
  store<u32>(at, node.gid, 16);
  store<u32>(at, node.mtimeNs, 20);
  store<i64>(at, node.mtime, 24);
  store<u64>(at, node.size, 32);
  store<u64>(at, node.data, 40);
  store<u32>(at, node.rdev, 48);
  store<u32>(at, targetLength, 52);
  store<u32>(at, pieces, 56);
}

// Prefixes by EROFS' index, and their lengths.
const USER: usize = memory.data<u8>([0x75, 0x73, 0x65, 0x72, 0x2e]);
const TRUSTED: usize = memory.data<u8>([0x74, 0x72, 0x75, 0x73, 0x74, 0x65, 0x64, 0x2e]);
const SECURITY: usize = memory.data<u8>([0x73, 0x65, 0x63, 0x75, 0x72, 0x69, 0x74, 0x79, 0x2e]);
const ACL_ACCESS: usize = memory.data<u8>([
  0x73, 0x79, 0x73, 0x74, 0x65, 0x6d, 0x2e, 0x70, 0x6f, 0x73, 0x69, 0x78, 0x5f, 0x61, 0x63, 0x6c, 0x5f, 0x61, 0x63, 0x63, 0x65, 0x73,
  0x73,
]);
const ACL_DEFAULT: usize = memory.data<u8>([
  0x73, 0x79, 0x73, 0x74, 0x65, 0x6d, 0x2e, 0x70, 0x6f, 0x73, 0x69, 0x78, 0x5f, 0x61, 0x63, 0x6c, 0x5f, 0x64, 0x65, 0x66, 0x61, 0x75,
  0x6c, 0x74,
]);
const OPAQUE_NAME: usize = memory.data<u8>([0x6f, 0x76, 0x65, 0x72, 0x6c, 0x61, 0x79, 0x2e, 0x6f, 0x70, 0x61, 0x71, 0x75, 0x65]);
const OPAQUE_VALUE: usize = memory.data<u8>([0x79]);

function xattrs(record: u32, node: Inode): void {
  let count: u32 = 0;
  if (node.flags & OPAQUE) {
    xattr(PREFIX_TRUSTED, OPAQUE_NAME, 14, OPAQUE_VALUE, 1);
    count++;
  }
  let each = changetype<Xattr | null>(node.xattrs);
  while (each) {
    xattr(each.prefix, each.name, each.nameLength, each.value, each.valueLength);
    count++;
    each = each.next;
  }
  if (out) store<u32>(out + record, count, 60);
}

function xattr(prefix: u32, name: usize, nameLength: u32, value: usize, valueLength: u32): void {
  let text = USER;
  let length: u32 = 5;
  if (prefix == PREFIX_TRUSTED) {
    text = TRUSTED;
    length = 8;
  } else if (prefix == PREFIX_SECURITY) {
    text = SECURITY;
    length = 9;
  } else if (prefix != PREFIX_USER) {
    text = prefix == PREFIX_ACL_ACCESS ? ACL_ACCESS : ACL_DEFAULT;
    length = prefix == PREFIX_ACL_ACCESS ? 23 : 24;
  }
  if (out) {
    const at = out + position;
    store<u16>(at, <u16>(length + nameLength));
    store<u16>(at, <u16>valueLength, 2);
    memory.copy(at + 4, text, length);
    memory.copy(at + 4 + length, name, nameLength);
    memory.copy(at + 5 + length + nameLength, value, valueLength);
  }
  position += 5 + length + nameLength + valueLength;
}
