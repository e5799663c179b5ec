/**
 * A layer's file tree in linear memory: inodes, the directory entries that name them, and a hash table from (directory, name) to entry.
 * A later entry of the same name wins, as when extracting; hard links are entries that share an inode.
 */

import { alloc, keep, reserve, same } from "./memory";

export const S_IFMT: u32 = 0o170000;
export const S_IFIFO: u32 = 0o010000;
export const S_IFCHR: u32 = 0o020000;
export const S_IFDIR: u32 = 0o040000;
export const S_IFBLK: u32 = 0o060000;
export const S_IFREG: u32 = 0o100000;
export const S_IFLNK: u32 = 0o120000;

/** Hides what lower layers have under this name. */
export const WHITEOUT: u32 = 1;
/** A directory that hides the contents which lower layers have. */
export const OPAQUE: u32 = 2;
/** Regular file whose data is described by `map`. */
export const SPARSE: u32 = 4;

@unmanaged
export class Inode {
  mode: u32;
  flags: u32;
  uid: u32;
  gid: u32;
  /** Seconds since 1970, and nanoseconds. */
  mtime: i64;
  mtimeNs: u32;
  /** As Linux' new_encode_dev: minor's low byte, major, minor's rest. */
  rdev: u32;
  /** Bytes: of a file, of a symlink's target; of a directory once it is laid out. */
  size: u64;
  /** Offset of a file's data in the tar. */
  data: u64;
  /** A symlink's target, or a sparse file's map: pairs of u64 (offset in the file, length). */
  target: usize;
  /** Number of pairs. */
  extents: u32;
  /** A directory's entries, in no order before `order()`. */
  first: Entry | null;
  /** A directory's parent; the root is its own. */
  parent: Inode | null;
  /** A directory's own name; null for the root. Of other inodes, the first name that `order()` met. */
  entry: Entry | null;
  xattrs: usize;
  /** What `order()` gives: a number from 1, and the inode after this one. */
  ino: u32;
  links: u32;
  next: Inode | null;
  /** What a writer notes for itself. */
  position: u32;
  blocks: u32;
  layout: u32;
  xattrBytes: u32;
}

@unmanaged
export class Entry {
  next: Entry | null;
  inode: Inode;
  parent: Inode;
  name: usize;
  length: u32;
  hash: u32;
  /** Next in the same bucket. */
  chain: Entry | null;
}

let buckets: usize = 0;
let bucketMask: u32 = 0;
let count: u32 = 0;
let seed: u32 = 0;
export let root: Inode = changetype<Inode>(0);

/** Starts an empty tree. @param salt  any number that the maker of a tar cannot know, against flooded hash chains */
export function plant(salt: u64): void {
  seed = <u32>salt ^ <u32>(salt >> 32);
  bucketMask = 0x3fff;
  buckets = alloc((bucketMask + 1) * sizeof<usize>());
  root = inode(S_IFDIR | 0o755);
  root.parent = root;
}

/** @returns a new inode; owner root, times 0. */
export function inode(mode: u32): Inode {
  const made = changetype<Inode>(alloc(offsetof<Inode>()));
  made.mode = mode;
  return made;
}

// @ts-ignore: decorator
@inline
export function isDirectory(node: Inode): bool {
  return (node.mode & S_IFMT) == S_IFDIR;
}

function hashOf(directory: Inode, name: usize, length: u32): u32 {
  let hash: u32 = seed ^ (<u32>changetype<usize>(directory) * 0x9e3779b1);
  let i: u32 = 0;
  for (; i + 4 <= length; i += 4) hash = rotl((hash ^ load<u32>(name + i)) * 0x85ebca6b, 13) + seed;
  for (; i < length; i++) hash = rotl((hash ^ load<u8>(name + i)) * 0xc2b2ae35, 11) + seed;
  hash = (hash ^ (hash >> 15)) * 0x2c1b3c6d;
  return hash ^ (hash >> 13);
}

/** @returns the entry of that name, or null. */
export function lookup(directory: Inode, name: usize, length: u32): Entry | null {
  const hash = hashOf(directory, name, length);
  let at = load<Entry | null>(buckets + (hash & bucketMask) * sizeof<usize>());
  while (at) {
    if (at.hash == hash && at.parent == directory && same(at.name, at.length, name, length)) return at;
    at = at.chain;
  }
  return null;
}

/** Room for `more` entries. @returns false when memory is used up */
export function reserveEntries(more: u32): bool {
  if (count + more <= bucketMask) return true;
  const mask = bucketMask * 4 + 3;
  if (!reserve(<u64>(mask + 1) * sizeof<usize>())) return false;
  const wider = alloc((mask + 1) * sizeof<usize>());
  for (let b: u32 = 0; b <= bucketMask; b++) {
    let at = load<Entry | null>(buckets + b * sizeof<usize>());
    while (at) {
      const after = at.chain;
      const slot = wider + (at.hash & mask) * sizeof<usize>();
      at.chain = load<Entry | null>(slot);
      store<Entry>(slot, at);
      at = after;
    }
  }
  buckets = wider;
  bucketMask = mask;
  return true;
}

/** Names an inode. There must be no entry of that name. The name's bytes are copied. */
export function insert(directory: Inode, name: usize, length: u32, node: Inode): Entry {
  const entry = changetype<Entry>(alloc(offsetof<Entry>()));
  entry.inode = node;
  entry.parent = directory;
  entry.name = keep(name, length);
  entry.length = length;
  entry.hash = hashOf(directory, name, length);
  const slot = buckets + (entry.hash & bucketMask) * sizeof<usize>();
  entry.chain = load<Entry | null>(slot);
  store<Entry>(slot, entry);
  entry.next = directory.first;
  directory.first = entry;
  if (isDirectory(node)) {
    node.parent = directory;
    node.entry = entry;
  }
  count++;
  return entry;
}

/**
 * Lets a name stand for another inode. What a replaced directory held is no longer reachable, and so no longer part of the tree; inodes that
 * have another name elsewhere stay there.
 */
export function rename(entry: Entry, node: Inode): void {
  entry.inode = node;
  if (isDirectory(node)) {
    node.parent = entry.parent;
    node.entry = entry;
  }
}

const DOTS: usize = memory.data<u8>([0x2e, 0x2e]);

function addDots(directory: Inode): void {
  for (let length: u32 = 1; length <= 2; length++) {
    const dots = changetype<Entry>(alloc(offsetof<Entry>()));
    dots.inode = length == 1 ? directory : changetype<Inode>(changetype<usize>(directory.parent));
    dots.parent = directory;
    dots.name = DOTS;
    dots.length = length;
    dots.next = directory.first;
    directory.first = dots;
  }
}

/** @returns whether an entry is `.` or `..`, as `order()` adds them. */
export function isDots(entry: Entry): bool {
  return entry.name == DOTS;
}

function before(a: Entry, b: Entry): bool {
  const order = memory.compare(a.name, b.name, min(a.length, b.length));
  return order < 0 || (order == 0 && a.length <= b.length);
}

function merge(a: Entry | null, b: Entry | null): Entry | null {
  let head: Entry | null = null;
  let tail: Entry | null = null;
  while (a && b) {
    const least: Entry = before(a, b) ? a : b;
    if (least == a) a = a.next;
    else b = b.next;
    if (tail) tail.next = least;
    else head = least;
    tail = least;
  }
  const rest = a ? a : b;
  if (!tail) return rest;
  tail.next = rest;
  return head;
}

/** Merge sort, bottom up: run `i` of `runs` is empty or has 2^i entries. */
const RUNS: usize = memory.data(32 * sizeof<usize>());
function sorted(list: Entry | null): Entry | null {
  memory.fill(RUNS, 0, 32 * sizeof<usize>());
  while (list) {
    let run: Entry | null = list;
    list = list.next;
    (<Entry>run).next = null;
    let slot = RUNS;
    for (; load<usize>(slot); slot += sizeof<usize>()) {
      run = merge(load<Entry | null>(slot), run);
      store<usize>(slot, 0);
    }
    store<usize>(slot, changetype<usize>(run));
  }
  let all: Entry | null = null;
  for (let slot = RUNS; slot < RUNS + 32 * sizeof<usize>(); slot += sizeof<usize>()) all = merge(load<Entry | null>(slot), all);
  return all;
}

/**
 * Puts the tree in order, once, when it is complete: every directory gets `.` and `..`, its entries are sorted by bytes; inodes are
 * numbered from the root on, breadth first, so that the inodes of one directory lie together, and chained by `next`. `links` counts
 * the names of each.
 * @returns the number of inodes, or 0 when memory is used up
 */
export function order(): u32 {
  let numbered: u32 = 1;
  root.ino = numbered;
  let last: Inode = root;
  for (let node: Inode | null = root; node; node = node.next) {
    if (!isDirectory(node)) continue;
    if (!reserve(2 * offsetof<Entry>() + 32)) return 0;
    addDots(node);
    node.first = sorted(node.first);
    let entry = node.first;
    while (entry) {
      const child = entry.inode;
      child.links++;
      if (!child.ino) {
        child.ino = ++numbered;
        child.entry = entry;
        last.next = child;
        last = child;
      }
      entry = entry.next;
    }
  }
  return numbered;
}
