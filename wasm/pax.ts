/**
 * What extended headers say about entries: about the next one (pax `x`, GNU `L` and `K`) or about all later ones (pax `g`).
 * Sources: POSIX.1-2018 pax, "pax Extended Header"; GNU tar manual, "Storing Sparse Files"; star and libarchive for xattrs.
 *
 *   record: "30 mtime=1350244992.023960108\n"    the length counts itself and the newline
 */

import * as fault from "./fault";
import { alloc, same } from "./memory";
import { add, base64Decode, percentDecode } from "./xattr";

/** Bits of `Overrides.given`. */
export namespace KEY {
  export const PATH: u32 = 1;
  export const LINK: u32 = 2;
  export const SIZE: u32 = 4;
  export const UID: u32 = 8;
  export const GID: u32 = 16;
  export const MTIME: u32 = 32;
  export const XATTR: u32 = 64;
  /** Any `GNU.sparse.` record. */
  export const SPARSE: u32 = 128;
  /** The path is a sparse file's real one: `path` no longer counts. */
  export const REAL_PATH: u32 = 256;
  /** The sparse map is given here rather than at the start of the data. */
  export const MAP: u32 = 512;
}

@unmanaged
export class Overrides {
  given: u32;
  pathLength: u32;
  path: usize;
  link: usize;
  linkLength: u32;
  size: i64;
  uid: i64;
  gid: i64;
  mtime: i64;
  mtimeNs: u32;
  xattrs: usize;
  /** A sparse file's size, bytes. */
  realSize: i64;
  /** Pairs of u64: offset, length. They lie together, since nothing else is allocated while a header is parsed but xattrs; those end the run. */
  map: usize;
  mapNumbers: u32;
  /** The version of the sparse format, 0 or 1. */
  sparseMajor: i64;
}

export let local: Overrides = changetype<Overrides>(0);
export let global: Overrides = changetype<Overrides>(0);
let most: u32 = 0;

export function start(pathLimit: u32): void {
  most = pathLimit;
  local = overrides();
  global = overrides();
}

function overrides(): Overrides {
  const made = changetype<Overrides>(alloc(offsetof<Overrides>()));
  made.path = alloc(most + 1);
  made.link = alloc(most + 1);
  return made;
}

// @ts-ignore: decorator
@inline
export function has(overrides: Overrides, key: u32): bool {
  return (overrides.given & key) != 0;
}

/** The entry that the local overrides were about has come. */
export function forgetLocal(): void {
  local.given = 0;
  local.xattrs = 0;
  local.map = 0;
  local.mapNumbers = 0;
  local.sparseMajor = 0;
  local.realSize = 0;
}

function textLength(text: usize, length: u32): u32 {
  let at: u32 = 0;
  while (at < length && load<u8>(text + at)) at++;
  return at;
}

export function longName(text: usize, length: u32): i32 {
  return setPath(local, text, textLength(text, length));
}

export function longLink(text: usize, length: u32): i32 {
  return setLink(local, text, textLength(text, length));
}

function setPath(to: Overrides, text: usize, length: u32): i32 {
  to.pathLength = min(length, most + 1);
  memory.copy(to.path, text, to.pathLength);
  to.given |= KEY.PATH;
  return fault.NONE;
}

function setLink(to: Overrides, text: usize, length: u32): i32 {
  to.linkLength = min(length, most + 1);
  memory.copy(to.link, text, to.linkLength);
  to.given |= KEY.LINK;
  return fault.NONE;
}

/** Reads all records of a header. Values that are empty give the entry's own field back. */
export function parsePax(body: usize, length: u32, to: Overrides): i32 {
  const end = body + length;
  let at = body;
  while (at < end) {
    let size: u32 = 0;
    let digits = at;
    while (digits < end && <u32>load<u8>(digits) - 0x30 <= 9 && size <= length) size = size * 10 + load<u8>(digits++) - 0x30;
    if (digits == at || digits >= end || load<u8>(digits) != 0x20 || size > <u32>(end - at) || at + size < digits + 3) return fault.MALFORMED_PAX;
    const last = at + size - 1;
    if (load<u8>(last) != 0x0a) return fault.MALFORMED_PAX;
    const key = digits + 1;
    let equals = key;
    while (equals < last && load<u8>(equals) != 0x3d) equals++;
    if (equals == last || equals == key) return fault.MALFORMED_PAX;
    const result = record(to, key, <u32>(equals - key), equals + 1, <u32>(last - equals - 1));
    if (result != fault.NONE) return result;
    at += size;
  }
  return fault.NONE;
}

// Keywords, one after the other.
const PATH: usize = memory.data<u8>([0x70, 0x61, 0x74, 0x68]);
const LINKPATH: usize = memory.data<u8>([0x6c, 0x69, 0x6e, 0x6b, 0x70, 0x61, 0x74, 0x68]);
const SIZE: usize = memory.data<u8>([0x73, 0x69, 0x7a, 0x65]);
const UID: usize = memory.data<u8>([0x75, 0x69, 0x64]);
const GID: usize = memory.data<u8>([0x67, 0x69, 0x64]);
const MTIME: usize = memory.data<u8>([0x6d, 0x74, 0x69, 0x6d, 0x65]);
// "SCHILY.xattr.", "LIBARCHIVE.xattr.", "GNU.sparse."
const SCHILY: usize = memory.data<u8>([0x53, 0x43, 0x48, 0x49, 0x4c, 0x59, 0x2e, 0x78, 0x61, 0x74, 0x74, 0x72, 0x2e]);
const LIBARCHIVE: usize = memory.data<u8>([
  0x4c, 0x49, 0x42, 0x41, 0x52, 0x43, 0x48, 0x49, 0x56, 0x45, 0x2e, 0x78, 0x61, 0x74, 0x74, 0x72, 0x2e,
]);
const SPARSE: usize = memory.data<u8>([0x47, 0x4e, 0x55, 0x2e, 0x73, 0x70, 0x61, 0x72, 0x73, 0x65, 0x2e]);

function record(to: Overrides, key: usize, length: u32, value: usize, size: u32): i32 {
  if (same(key, length, PATH, 4)) return has(to, KEY.REAL_PATH) ? fault.NONE : size ? setPath(to, value, size) : unset(to, KEY.PATH);
  if (same(key, length, LINKPATH, 8)) return size ? setLink(to, value, size) : unset(to, KEY.LINK);
  if (same(key, length, MTIME, 5)) return size ? setTime(to, value, size) : unset(to, KEY.MTIME);
  if (same(key, length, SIZE, 4)) return setNumber(to, KEY.SIZE, offsetof<Overrides>("size"), value, size);
  if (same(key, length, UID, 3)) return setNumber(to, KEY.UID, offsetof<Overrides>("uid"), value, size);
  if (same(key, length, GID, 3)) return setNumber(to, KEY.GID, offsetof<Overrides>("gid"), value, size);
  if (length > 13 && memory.compare(key, SCHILY, 13) == 0) return setXattr(to, key + 13, length - 13, value, size);
  if (length > 17 && memory.compare(key, LIBARCHIVE, 17) == 0) {
    const name = percentDecode(key + 17, length - 17);
    const decoded = base64Decode(value, size);
    return decoded < 0 ? fault.MALFORMED_PAX : setXattr(to, key + 17, name, value, decoded);
  }
  if (length > 11 && memory.compare(key, SPARSE, 11) == 0) return setSparse(to, key + 11, length - 11, value, size);
  return fault.NONE;
}

function unset(to: Overrides, key: u32): i32 {
  to.given &= ~key;
  return fault.NONE;
}

function setXattr(to: Overrides, name: usize, length: u32, value: usize, size: u32): i32 {
  to.given |= KEY.XATTR;
  return add(changetype<usize>(to) + offsetof<Overrides>("xattrs"), name, length, value, size);
}

let decimalValue: i64 = 0;

/** @returns false unless all of the text is a decimal number below 2^53 */
function decimal(text: usize, length: u32): bool {
  let at: u32 = length > 0 && load<u8>(text) == 0x2d ? 1 : 0;
  if (at == length) return false;
  let n: i64 = 0;
  for (; at < length; at++) {
    const digit: u32 = <u32>load<u8>(text + at) - 0x30;
    if (digit > 9 || n > 900719925474099) return false;
    n = n * 10 + digit;
  }
  decimalValue = load<u8>(text) == 0x2d ? -n : n;
  return true;
}

function setNumber(to: Overrides, key: u32, field: usize, text: usize, length: u32): i32 {
  if (length == 0) return unset(to, key);
  if (!decimal(text, length)) return fault.BAD_NUMBER;
  store<i64>(changetype<usize>(to) + field, decimalValue);
  to.given |= key;
  return fault.NONE;
}

/** Seconds with a fraction, of which nanoseconds are kept; the fraction of a negative time counts downwards. */
function setTime(to: Overrides, text: usize, length: u32): i32 {
  let whole: u32 = 0;
  while (whole < length && load<u8>(text + whole) != 0x2e) whole++;
  if (!decimal(text, whole)) return fault.BAD_NUMBER;
  to.mtime = decimalValue;
  to.mtimeNs = 0;
  let unit: u32 = 100000000;
  for (let at = whole + 1; at < length; at++) {
    const digit: u32 = <u32>load<u8>(text + at) - 0x30;
    if (digit > 9) return fault.BAD_NUMBER;
    to.mtimeNs += digit * unit;
    unit /= 10;
  }
  if (load<u8>(text) == 0x2d && to.mtimeNs > 0) {
    to.mtime--;
    to.mtimeNs = 1000000000 - to.mtimeNs;
  }
  to.given |= KEY.MTIME;
  return fault.NONE;
}

/** What follows `GNU.sparse.`: name, map, major, minor, size, realsize, offset, numbytes, numblocks. Told by length and two letters. */
function setSparse(to: Overrides, key: usize, length: u32, value: usize, size: u32): i32 {
  to.given |= KEY.SPARSE;
  const first = load<u8>(key);
  if (length == 4 && first == 0x6e) {
    to.given |= KEY.REAL_PATH; // name
    return setPath(to, value, size);
  }
  if (length == 3 && first == 0x6d) return mapNumbers(to, value, size); // map
  if (!decimal(value, size) || decimalValue < 0) return fault.BAD_NUMBER;
  if (length == 5 && first == 0x6d && load<u8>(key + 1) == 0x61) to.sparseMajor = decimalValue; // major
  else if ((length == 4 && first == 0x73) || (length == 8 && first == 0x72)) to.realSize = decimalValue; // size, realsize
  else if ((length == 6 && first == 0x6f) || (length == 8 && first == 0x6e && load<u8>(key + 3) == 0x62)) mapNumber(to); // offset, numbytes
  return fault.NONE;
}

function mapNumber(to: Overrides): void {
  const at = alloc(8);
  if (to.mapNumbers == 0) to.map = at;
  // An xattr between two numbers ended the run: move it.
  else if (at != to.map + to.mapNumbers * 8) {
    const moved = alloc((to.mapNumbers + 1) * 8);
    memory.copy(moved, to.map, to.mapNumbers * 8);
    to.map = moved;
  }
  store<i64>(to.map + to.mapNumbers * 8, decimalValue);
  to.mapNumbers++;
  to.given |= KEY.MAP;
}

function mapNumbers(to: Overrides, text: usize, length: u32): i32 {
  let at: u32 = 0;
  to.given |= KEY.MAP;
  while (at < length) {
    let end = at;
    while (end < length && load<u8>(text + end) != 0x2c) end++;
    if (!decimal(text + at, end - at) || decimalValue < 0) return fault.BAD_NUMBER;
    mapNumber(to);
    at = end + 1;
  }
  return fault.NONE;
}
