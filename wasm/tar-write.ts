/**
 * Tar headers: ustar where an entry fits in it, otherwise with a pax header before it. The same entry gives the same bytes: owners are numbers
 * only, xattrs are sorted.
 * Sources: POSIX.1-2018 pax, "ustar Interchange Format" and "pax Extended Header"; star's `SCHILY.xattr.` (raw values).
 */

import * as out from "./tar-item";
import { BLOCK, checksum } from "./tar-header";
import { alloc, reserve } from "./memory";
import { Record, RecordXattr, firstXattr, isPortable, nextXattr, xattrName, xattrValue } from "./walk-record";

const NAME_BYTES: u32 = 100;
const PREFIX_BYTES: u32 = 155;
const MOST_OCTAL_7: u32 = 0o7777777;
const MOST_OCTAL_11: u64 = 0o77777777777;

/** Most bytes that the headers of an entry take. */
export function headerRoom(record: Record, pathLength: u32, linkLength: u32): u32 {
  return 8 * BLOCK + 2 * pathLength + 2 * linkLength + 3 * record.bytes;
}

function octal(at: usize, digits: u32, value: u64): void {
  for (let i = digits; i > 0; i--) {
    store<u8>(at + i - 1, <u8>(0x30 + (value & 7)));
    value >>= 3;
  }
}

let splitAt: u32 = 0;

/** @returns whether a path fits in ustar's name and prefix; then `splitAt` is the length of the prefix, 0 for none */
function splits(path: usize, length: u32): bool {
  splitAt = 0;
  if (length <= NAME_BYTES) return true;
  for (let at = min<u32>(PREFIX_BYTES, length - 2); at > 0 && length - at - 1 <= NAME_BYTES; at--)
    if (load<u8>(path + at) == 0x2f) {
      splitAt = at;
      return true;
    }
  return false;
}

/** Text of a pax record in the making; its length is put before it. */
let text: usize = 0;
let textRoom: u32 = 0;
let textUsed: u32 = 0;

function startText(most: u32): bool {
  textUsed = 0;
  if (most <= textRoom) return true;
  if (!reserve(2 * <u64>most)) return false;
  textRoom = 2 * most;
  text = alloc(textRoom);
  return true;
}

function add(bytes: usize, length: u32): void {
  memory.copy(text + textUsed, bytes, length);
  textUsed += length;
}

function addByte(byte: u8): void {
  store<u8>(text + textUsed++, byte);
}

/** @param least  digits, zeros in front */
function addNumber(value: u64, least: u32): void {
  let digits: u32 = 1;
  for (let rest = value / 10; rest > 0; rest /= 10) digits++;
  digits = max(digits, least);
  for (let i = digits; i > 0; i--) {
    store<u8>(text + textUsed + i - 1, <u8>(0x30 + (value % 10)));
    value /= 10;
  }
  textUsed += digits;
}

function digitsOf(value: u32): u32 {
  let digits: u32 = 1;
  for (; value >= 10; value /= 10) digits++;
  return digits;
}

/** The record's length counts itself, the space, the text and the newline. */
function endText(): void {
  const body = textUsed + 2;
  let length = body + digitsOf(body);
  if (digitsOf(length) > digitsOf(body)) length++;
  const key = text;
  const keyBytes = textUsed;
  const digits = digitsOf(length);
  const at = out.take(length);
  for (let i = digits, rest = length; i > 0; i--, rest /= 10) store<u8>(at + i - 1, <u8>(0x30 + (rest % 10)));
  store<u8>(at + digits, 0x20);
  memory.copy(at + digits + 1, key, keyBytes);
  store<u8>(at + length - 1, 0x0a);
}

const PATH: usize = memory.data<u8>([0x70, 0x61, 0x74, 0x68, 0x3d]); // path=
const LINKPATH: usize = memory.data<u8>([0x6c, 0x69, 0x6e, 0x6b, 0x70, 0x61, 0x74, 0x68, 0x3d]); // linkpath=
const SIZE: usize = memory.data<u8>([0x73, 0x69, 0x7a, 0x65, 0x3d]); // size=
const UID: usize = memory.data<u8>([0x75, 0x69, 0x64, 0x3d]); // uid=
const GID: usize = memory.data<u8>([0x67, 0x69, 0x64, 0x3d]); // gid=
const MTIME: usize = memory.data<u8>([0x6d, 0x74, 0x69, 0x6d, 0x65, 0x3d]); // mtime=
const SCHILY: usize = memory.data<u8>([0x53, 0x43, 0x48, 0x49, 0x4c, 0x59, 0x2e, 0x78, 0x61, 0x74, 0x74, 0x72, 0x2e]); // SCHILY.xattr.

function bytesRecord(key: usize, keyLength: u32, value: usize, length: u32): void {
  textUsed = 0;
  add(key, keyLength);
  add(value, length);
  endText();
}

function numberRecord(key: usize, keyLength: u32, value: u64): void {
  textUsed = 0;
  add(key, keyLength);
  addNumber(value, 1);
  endText();
}

/** Seconds since 1970 with nine decimals; those of a negative time count away from 0. */
function timeRecord(seconds: i64, nanoseconds: u32): void {
  textUsed = 0;
  add(MTIME, 6);
  if (seconds < 0) {
    addByte(0x2d);
    if (nanoseconds) {
      seconds++;
      nanoseconds = 1000000000 - nanoseconds;
    }
    seconds = -seconds;
  }
  addNumber(<u64>seconds, 1);
  if (nanoseconds) {
    addByte(0x2e);
    addNumber(nanoseconds, 9);
  }
  endText();
}

function xattrRecord(xattr: RecordXattr): void {
  textUsed = 0;
  add(SCHILY, 13);
  add(xattrName(xattr), xattr.nameBytes);
  addByte(0x3d);
  add(xattrValue(xattr), xattr.valueBytes);
  endText();
}

function before(a: RecordXattr, b: RecordXattr): bool {
  const order = memory.compare(xattrName(a), xattrName(b), min(a.nameBytes, b.nameBytes));
  return order < 0 || (order == 0 && a.nameBytes < b.nameBytes);
}

/** Each time the least of those that are greater than the last one: there are few, and no room is needed. */
function xattrRecords(record: Record): void {
  let last: RecordXattr | null = null;
  for (let written: u32 = 0; written < record.xattrs; written++) {
    let least: RecordXattr | null = null;
    let xattr = firstXattr(record);
    for (let i: u32 = 0; i < record.xattrs; i++, xattr = nextXattr(xattr))
      if (isPortable(xattr) && (!last || before(last, xattr)) && (!least || before(xattr, least))) least = xattr;
    if (!least) return;
    xattrRecord(least);
    last = least;
  }
}

function isTime(record: Record): bool {
  return record.mtimeNs == 0 && record.mtime >= 0 && <u64>record.mtime <= MOST_OCTAL_11;
}

/** The pax records that an entry needs. */
function paxBody(record: Record, path: usize, pathLength: u32, link: usize, linkLength: u32, size: u64): void {
  if (!splits(path, pathLength)) bytesRecord(PATH, 5, path, pathLength);
  if (linkLength > NAME_BYTES) bytesRecord(LINKPATH, 9, link, linkLength);
  if (size > MOST_OCTAL_11) numberRecord(SIZE, 5, size);
  if (record.uid > MOST_OCTAL_7) numberRecord(UID, 4, record.uid);
  if (record.gid > MOST_OCTAL_7) numberRecord(GID, 4, record.gid);
  if (!isTime(record)) timeRecord(record.mtime, record.mtimeNs);
  xattrRecords(record);
}

function padBlock(from: u32): void {
  const rest = (BLOCK - ((out.used - from) & (BLOCK - 1))) & (BLOCK - 1);
  memory.fill(out.take(rest), 0, rest);
}

/** A header block's constant parts: no owner's names, version "00". */
function startBlock(type: u8): usize {
  const at = out.take(BLOCK);
  memory.fill(at, 0, BLOCK);
  octal(at + 100, 7, 0);
  octal(at + 108, 7, 0);
  octal(at + 116, 7, 0);
  octal(at + 124, 11, 0);
  octal(at + 136, 11, 0);
  store<u8>(at, type, 156);
  store<u32>(at, 0x61747375, 257); // "ustar\0"
  store<u16>(at, 0x0072, 261);
  store<u16>(at, 0x3030, 263);
  octal(at + 329, 7, 0);
  octal(at + 337, 7, 0);
  return at;
}

function seal(at: usize): void {
  octal(at + 148, 6, checksum(at));
  store<u16>(at, 0x2000, 154); // NUL, space
}

const PAX_NAME: usize = memory.data<u8>([0x50, 0x61, 0x78, 0x48, 0x65, 0x61, 0x64, 0x65, 0x72, 0x73, 0x2f]); // PaxHeaders/

/** A pax header, if the entry needs one. Its own name tells old programs what it belongs to. */
function putPax(record: Record, path: usize, pathLength: u32, link: usize, linkLength: u32, size: u64): void {
  const from = out.used;
  startBlock(0x78);
  paxBody(record, path, pathLength, link, linkLength, size);
  const body = out.used - from - BLOCK;
  const at = out.output() + from;
  if (body == 0) {
    out.take(0 - BLOCK);
    return;
  }
  let base = pathLength;
  while (base > 0 && load<u8>(path + base - 1) == 0x2f) base--;
  const end = base;
  while (base > 0 && load<u8>(path + base - 1) != 0x2f) base--;
  memory.copy(at, PAX_NAME, 11);
  memory.copy(at + 11, path + base, min<u32>(end - base, NAME_BYTES - 11));
  octal(at + 100, 7, 0o644);
  octal(at + 124, 11, body);
  seal(at);
  padBlock(from);
}

/**
 * Puts out an entry's header.
 * @param type  type flag
 * @param path  for a directory, with a slash at its end
 * @param link  target of a link; empty for others
 * @param size  bytes of contents
 * @returns     false when memory is used up; the entry's bytes were made sure of: `headerRoom`
 */
export function putHeader(type: u8, path: usize, pathLength: u32, record: Record, link: usize, linkLength: u32, size: u64): bool {
  if (!startText(0x100 + pathLength + linkLength + record.bytes)) return false;
  putPax(record, path, pathLength, link, linkLength, size);
  const at = startBlock(type);
  if (splits(path, pathLength) && splitAt > 0) {
    memory.copy(at + 345, path, splitAt);
    memory.copy(at, path + splitAt + 1, pathLength - splitAt - 1);
  } else memory.copy(at, path, min(pathLength, NAME_BYTES));
  octal(at + 100, 7, record.mode & 0o7777);
  octal(at + 108, 7, record.uid > MOST_OCTAL_7 ? 0 : record.uid);
  octal(at + 116, 7, record.gid > MOST_OCTAL_7 ? 0 : record.gid);
  octal(at + 124, 11, size > MOST_OCTAL_11 ? 0 : size);
  const isField = record.mtime >= 0 && <u64>record.mtime <= MOST_OCTAL_11;
  octal(at + 136, 11, isField ? record.mtime : 0);
  memory.copy(at + 157, link, min(linkLength, NAME_BYTES));
  if (type == 0x33 || type == 0x34) {
    octal(at + 329, 7, record.rdevMajor);
    octal(at + 337, 7, record.rdevMinor);
  }
  seal(at);
  return true;
}

/** An empty file of root's, of 1970, as whiteouts are. */
export function putMark(path: usize, pathLength: u32): bool {
  const record = changetype<Record>(MARK);
  record.mode = 0o600;
  record.bytes = 88;
  return putHeader(0x30, path, pathLength, record, 0, 0, 0);
}
const MARK: usize = memory.data(88, 8);

/** The end of a tar: two blocks of zeros. */
export function putEnd(): void {
  memory.fill(out.take(2 * BLOCK), 0, 2 * BLOCK);
}
