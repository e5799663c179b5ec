/**
 * Paths of a tar's entries, hostile until proven otherwise: cleaned by text, then walked in the layer's own tree.
 *
 * A parent that is a symlink is followed inside the layer, as openat2(2) with RESOLVE_IN_ROOT does: absolute targets start at the
 * layer's root and `..` stays below it. It must lead to a directory of this layer. Missing parents are made, mode 0755.
 */

import * as fault from "./fault";
import { alloc, same } from "./memory";
import { Inode, S_IFDIR, S_IFLNK, S_IFMT, OPAQUE, WHITEOUT, inode, insert, isDirectory, lookup, rename, root } from "./tree";

export const NAME_BYTES: u32 = 255;
const MOST_FOLLOWS: u32 = 40;

/** The last fault of `clean` or `descend`. */
export let why: i32 = fault.NONE;

/**
 * Cleans in place: no leading, double or trailing slashes, no `.`, and `..` taken back with the component before it. GNU tar makes
 * absolute names relative in the same way. An empty result is the root.
 * @returns the new length; or -1, and the fault in `why`
 */
export function clean(path: usize, length: u32): i32 {
  let out: u32 = 0;
  let at: u32 = 0;
  while (at < length) {
    let end = at;
    while (end < length && load<u8>(path + end) != 0x2f) end++;
    const size = end - at;
    if (size == 2 && load<u16>(path + at) == 0x2e2e) {
      if (out == 0) return failed(fault.ESCAPES);
      while (out > 0 && load<u8>(path + --out) != 0x2f) {}
    } else if (size > 0 && !(size == 1 && load<u8>(path + at) == 0x2e)) {
      if (!isName(path + at, size)) return failed(fault.BAD_NAME);
      if (out > 0) store<u8>(path + out++, 0x2f);
      memory.copy(path + out, path + at, size);
      out += size;
    }
    at = end + 1;
  }
  return out;
}

function failed(reason: i32): i32 {
  why = reason;
  return -1;
}

function isName(name: usize, length: u32): bool {
  if (length > NAME_BYTES) return false;
  for (let i: u32 = 0; i < length; i++) if (!load<u8>(name + i)) return false;
  return true;
}

/** @returns the offset of the last component of a cleaned path. */
export function lastName(path: usize, length: u32): u32 {
  let at = length;
  while (at > 0 && load<u8>(path + at - 1) != 0x2f) at--;
  return at;
}

let follows: u32 = 0;
let cachedPath: usize = 0;
let cachedLength: i32 = -1;
let cachedDirectory: Inode = changetype<Inode>(0);

/** Forgets the cached parent: what a name stands for has changed. */
export function forget(): void {
  cachedLength = -1;
}

/**
 * @param path    cleaned
 * @param create  make what is missing
 * @returns       the directory; or null, and the fault in `why`
 */
export function directoryAt(path: usize, length: u32, create: bool): Inode | null {
  if (cachedLength >= 0 && same(path, length, cachedPath, cachedLength)) return cachedDirectory;
  follows = 0;
  const found = descend(root, path, length, create);
  if (!found || length > 4096) return found;
  if (!cachedPath) cachedPath = alloc(4096);
  memory.copy(cachedPath, path, length);
  cachedLength = length;
  cachedDirectory = found;
  return found;
}

function descend(from: Inode, path: usize, length: u32, create: bool): Inode | null {
  let here = from;
  let at: u32 = 0;
  while (at < length) {
    let end = at;
    while (end < length && load<u8>(path + end) != 0x2f) end++;
    const next = step(here, path + at, end - at, create);
    if (!next) return null;
    here = next;
    at = end + 1;
  }
  return here;
}

function step(here: Inode, name: usize, length: u32, create: bool): Inode | null {
  if (length == 0 || (length == 1 && load<u8>(name) == 0x2e)) return here;
  if (length == 2 && load<u16>(name) == 0x2e2e) return here.parent;
  const entry = lookup(here, name, length);
  if (!entry) return create ? implied(here, name, length) : missing();
  const node = entry.inode;
  if (isDirectory(node)) return node;
  if ((node.mode & S_IFMT) == S_IFLNK) return follow(here, node);
  if (!(node.flags & WHITEOUT) || !create) return missing();
  const made = inode(S_IFDIR | 0o755);
  made.flags = OPAQUE;
  rename(entry, made);
  return made;
}

function missing(): Inode | null {
  why = fault.NOT_DIRECTORY;
  return null;
}

function implied(here: Inode, name: usize, length: u32): Inode | null {
  if (isWhiteoutName(name, length)) {
    why = fault.BAD_WHITEOUT;
    return null;
  }
  const made = inode(S_IFDIR | 0o755);
  insert(here, name, length, made);
  return made;
}

function isWhiteoutName(name: usize, length: u32): bool {
  return length >= 4 && load<u32>(name) == 0x2e68772e;
}

function follow(here: Inode, link: Inode): Inode | null {
  if (++follows > MOST_FOLLOWS) {
    why = fault.LINK_LOOP;
    return null;
  }
  const absolute = load<u8>(link.target) == 0x2f;
  return descend(absolute ? root : here, link.target, <u32>link.size, false);
}
