/**
 * Reads a tar as it streams by, in chunks cut anywhere, and plants its entries in the tree. File contents are not looked at: an inode remembers
 * where in the tar they lie.
 *
 *   block 512 B ─┬─ header ──► entry, then its data, padded to 512
 *                ├─ x, g, L, K ► body is collected (meta), tells about the next entry (g: all next ones)
 *                └─ zeros ──► two of them end the archive; what follows is padding
 *
 * Sources: POSIX.1-2018 pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar Format".
 */

import * as fault from "./fault";
import { alloc, reserve } from "./memory";
import { KEY, forgetLocal, global, has, local, longLink, longName, parsePax, start as startPax, Overrides } from "./pax";
import { BLOCK, MOST, checksumHolds, isZero, number, numberValue, padding, textLength } from "./tar-header";
import { extensionBlock, mapBlock, oldHeader, paxHeader, wantsExtension, wantsMap } from "./sparse";
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, Inode, inode, reserveEntries } from "./tree";
import { link, place } from "./whiteout";


let header: usize = 0;
let filled: u32 = 0;
let path: usize = 0;
let target: usize = 0;
let meta: usize = 0;
let metaFilled: u32 = 0;
let metaLeft: u32 = 0;
let metaKind: u8 = 0;
let skip: u64 = 0;
let zeros: u32 = 0;
let fails: i32 = fault.NONE;
let maxEntries: u32 = 0;
let maxPath: u32 = 0;
let maxMeta: u32 = 0;

/** Offset of the next byte in the tar. */
export let offset: u64 = 0;
/** Offset of the header that is being dealt with. */
export let headerOffset: u64 = 0;
export let entries: u32 = 0;
/** Path of the entry that is being dealt with, for messages. */
export let pathLength: u32 = 0;
export function pathAt(): usize {
  return path;
}

/** @returns false when there is not enough memory */
export function start(entryLimit: u32, pathLimit: u32, metaLimit: u32): bool {
  maxEntries = entryLimit;
  maxPath = pathLimit;
  maxMeta = metaLimit;
  if (!reserve(<u64>metaLimit + 4 * <u64>pathLimit + 0x20000)) return false;
  header = alloc(BLOCK);
  path = alloc(pathLimit + 512);
  target = alloc(pathLimit + 512);
  meta = alloc(metaLimit + 8);
  startPax(pathLimit);
  return true;
}

/** Takes the next bytes of the tar. @returns a fault or NONE */
export function write(at: usize, length: u32): i32 {
  const end = at + length;
  while (at < end && fails == fault.NONE) {
    if (skip > 0) {
      const step = <u32>min<u64>(skip, end - at);
      skip -= step;
      at += step;
      offset += step;
    } else if (metaLeft > 0) at = collect(at, end);
    else if (filled == 0 && end - at >= BLOCK) {
      block(at);
      at += BLOCK;
    } else at = fill(at, end);
  }
  return fails;
}

/** The tar has ended. @returns a fault or NONE */
export function finish(): i32 {
  const open = skip > 0 || metaLeft > 0 || filled > 0 || local.given != 0 || sparseNode != null;
  if (fails == fault.NONE && zeros < 2 && open) fails = fault.TRUNCATED;
  return fails;
}

function fill(at: usize, end: usize): usize {
  const step = <u32>min<usize>(BLOCK - filled, end - at);
  memory.copy(header + filled, at, step);
  filled += step;
  if (filled == BLOCK) {
    filled = 0;
    block(header);
  }
  return at + step;
}

function collect(at: usize, end: usize): usize {
  const step = <u32>min<usize>(metaLeft, end - at);
  memory.copy(meta + metaFilled, at, step);
  metaFilled += step;
  metaLeft -= step;
  offset += step;
  if (metaLeft == 0) {
    skip = padding(metaFilled);
    fails = metaDone();
  }
  return at + step;
}

function metaDone(): i32 {
  // A value of the arena: xattrs are copied, decoded ones shrink.
  if (!reserve(<u64>metaFilled * 2 + 0x1000)) return fault.OUT_OF_MEMORY;
  if (metaKind == 0x4c) return longName(meta, metaFilled);
  if (metaKind == 0x4b) return longLink(meta, metaFilled);
  return parsePax(meta, metaFilled, metaKind == 0x67 ? global : local);
}

function block(at: usize): void {
  offset += BLOCK;
  if (zeros >= 2) return;
  if (sparseNode) fails = sparseBlock(at, <Inode>sparseNode);
  else if (load<u8>(at) == 0 && isZero(at)) zeros++;
  else {
    zeros = 0;
    headerOffset = offset - BLOCK;
    pathLength = 0;
    if (!checksumHolds(at)) fails = fault.CHECKSUM;
    else fails = entryOrMeta(at, load<u8>(at, 156));
  }
}

/** The sparse file whose map is coming, and the data and padding that come after the map. */
let sparseNode: Inode | null = null;
let sparseRest: u64 = 0;

function sparseBlock(at: usize, node: Inode): i32 {
  const old = wantsExtension();
  const result = old ? extensionBlock(at) : mapBlock(at);
  if (!old) sparseRest -= BLOCK; // this map counts as data
  if (result != fault.NONE || wantsExtension() || wantsMap()) return result;
  sparseNode = null;
  skip = sparseRest;
  node.data = offset;
  return reserveEntry() ? place(path, pathLength, node) : fault.OUT_OF_MEMORY;
}

function entryOrMeta(at: usize, type: u8): i32 {
  if (!number(at + 124, 12)) return fault.BAD_NUMBER;
  const size = numberValue();
  if (type == 0x78 || type == 0x67 || type == 0x4c || type == 0x4b) {
    if (size < 0) return fault.BAD_NUMBER;
    if (size > <i64>maxMeta) return fault.META_TOO_LARGE;
    metaKind = type;
    metaFilled = 0;
    metaLeft = <u32>size;
    return size == 0 ? metaDone() : fault.NONE;
  }
  if (entries >= maxEntries) return fault.TOO_MANY_ENTRIES;
  entries++;
  if (!reserveEntry()) return fault.OUT_OF_MEMORY;
  const result = entry(at, type, has(local, KEY.SIZE) ? local.size : has(global, KEY.SIZE) ? global.size : size);
  forgetLocal();
  return result;
}

/** The most that an entry takes: an implied directory for every second byte of its path. Sparse maps reserve their own. */
function reserveEntry(): bool {
  return reserve(<u64>maxPath * 128 + 0x1000) && reserveEntries(maxPath / 2 + 1);
}

function entry(at: usize, type: u8, size: i64): i32 {
  if (!readPath(at)) return fault.PATH_TOO_LONG;
  if (type == 0x56 || type == 0x4e) return data(size); // a volume's label, old GNU names: no files
  if (type == 0x30 || type == 0 || type == 0x37 || type == 0x53) return regular(at, type, size);
  if (type == 0x31) return readTarget(at) ? link(path, pathLength, target, targetLength) : fault.PATH_TOO_LONG;
  if (type == 0x32) return symlink(at);
  if (type == 0x35) return other(at, S_IFDIR);
  if (type == 0x36) return other(at, S_IFIFO);
  if (type == 0x33 || type == 0x34) return device(at, type == 0x33 ? S_IFCHR : S_IFBLK);
  return fault.UNSUPPORTED_TYPE;
}

/** The entry's body goes by unread. */
function data(size: i64): i32 {
  if (size < 0 || size > MOST) return fault.BAD_NUMBER;
  skip = <u64>size + padding(size);
  return fault.NONE;
}

function regular(at: usize, type: u8, size: i64): i32 {
  // Before ustar, a directory was a file whose name ends in a slash.
  if (type != 0x53 && pathLength > 0 && load<u8>(path + pathLength - 1) == 0x2f) {
    const result = other(at, S_IFDIR);
    return result == fault.NONE ? data(size) : result;
  }
  const node = attributes(at, S_IFREG);
  if (!node) return fails;
  const result = data(size);
  if (result != fault.NONE) return result;
  node.size = size;
  node.data = offset;
  return type == 0x53 || has(local, KEY.SPARSE) ? sparse(at, type, node, size) : place(path, pathLength, node);
}

/** A sparse file's map may go on in blocks of its own, before the data. */
function sparse(at: usize, type: u8, node: Inode, size: i64): i32 {
  const result = type == 0x53 ? oldHeader(at, node, size) : paxHeader(node, size);
  if (result != fault.NONE) return result;
  if (!wantsExtension() && !wantsMap()) return place(path, pathLength, node);
  sparseNode = node;
  sparseRest = skip;
  skip = 0;
  return fault.NONE;
}

function symlink(at: usize): i32 {
  if (!readTarget(at)) return fault.PATH_TOO_LONG;
  if (targetLength == 0 || targetLength > 4095) return fault.LINK_TARGET;
  for (let i: u32 = 0; i < targetLength; i++) if (!load<u8>(target + i)) return fault.LINK_TARGET;
  const node = attributes(at, S_IFLNK);
  if (!node) return fails;
  node.mode = S_IFLNK | 0o777;
  node.target = alloc(targetLength);
  memory.copy(node.target, target, targetLength);
  node.size = targetLength;
  return place(path, pathLength, node);
}

function other(at: usize, kind: u32): i32 {
  const node = attributes(at, kind);
  return node ? place(path, pathLength, node) : fails;
}

function device(at: usize, kind: u32): i32 {
  if (!number(at + 329, 8)) return fault.BAD_NUMBER;
  const major = numberValue();
  if (!number(at + 337, 8)) return fault.BAD_NUMBER;
  const minor = numberValue();
  // dev_t of the kernel: 12 bits of major, 20 of minor.
  if (major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff) return fault.BAD_NUMBER;
  const node = attributes(at, kind);
  if (!node) return fails;
  node.rdev = (<u32>minor & 0xff) | (<u32>major << 8) | ((<u32>minor & ~0xff) << 12);
  if (kind == S_IFCHR && node.rdev == 0 && !isWhiteoutPath()) return fault.BARE_WHITEOUT;
  return place(path, pathLength, node);
}

function isWhiteoutPath(): bool {
  let at = pathLength;
  while (at > 0 && load<u8>(path + at - 1) != 0x2f) at--;
  return pathLength - at >= 4 && load<u32>(path + at) == 0x2e68772e;
}

function attributes(at: usize, kind: u32): Inode | null {
  if (!number(at + 100, 8)) return bad();
  const node = inode(kind | (<u32>numberValue() & 0o7777));
  const uid = owner(at + 108, KEY.UID, local.uid, global.uid);
  const gid = owner(at + 116, KEY.GID, local.gid, global.gid);
  if (uid < 0 || gid < 0) return bad();
  node.uid = <u32>uid;
  node.gid = <u32>gid;
  const times: Overrides | null = has(local, KEY.MTIME) ? local : has(global, KEY.MTIME) ? global : null;
  if (times) {
    node.mtime = times.mtime;
    node.mtimeNs = times.mtimeNs;
  } else {
    if (!number(at + 136, 12)) return bad();
    node.mtime = numberValue();
  }
  node.xattrs = has(local, KEY.XATTR) ? local.xattrs : global.xattrs;
  return node;
}

function bad(): Inode | null {
  fails = fault.BAD_NUMBER;
  return null;
}

/** @returns an owner's number; -1 when it is none: 2^32 - 1 is what chown takes for "leave it". */
function owner(field: usize, key: u32, mine: i64, all: i64): i64 {
  let id = mine;
  if (!has(local, key)) {
    if (has(global, key)) id = all;
    else id = number(field, 8) ? numberValue() : -1;
  }
  return id < 0xffffffff ? id : -1;
}

/** Sets `path`. @returns false when it is beyond the limit */
function readPath(at: usize): bool {
  const given: Overrides | null = has(local, KEY.PATH) ? local : has(global, KEY.PATH) ? global : null;
  if (given) {
    memory.copy(path, given.path, min(given.pathLength, maxPath));
    pathLength = min(given.pathLength, maxPath);
    return given.pathLength <= maxPath;
  }
  pathLength = 0;
  // Only POSIX' magic, "ustar\0", has a prefix; GNU's, "ustar  ", keeps times there.
  if (load<u32>(at, 257) == 0x61747375 && load<u16>(at, 261) == 0x0072) {
    pathLength = textLength(at + 345, 155);
    memory.copy(path, at + 345, pathLength);
    if (pathLength) store<u8>(path + pathLength++, 0x2f);
  }
  const length = textLength(at, 100);
  memory.copy(path + pathLength, at, length);
  pathLength += length;
  return pathLength <= maxPath;
}

let targetLength: u32 = 0;

/** Sets `target`. @returns false when it is beyond the limit */
function readTarget(at: usize): bool {
  const given: Overrides | null = has(local, KEY.LINK) ? local : has(global, KEY.LINK) ? global : null;
  if (!given) {
    targetLength = textLength(at + 157, 100);
    memory.copy(target, at + 157, targetLength);
    return true;
  }
  targetLength = given.linkLength;
  if (targetLength > maxPath) return false;
  memory.copy(target, given.link, targetLength);
  return true;
}
