/**
 * Maps of sparse files: which parts of the file the tar holds. Three ways to say it.
 * Source: GNU tar manual, "Storing Sparse Files" and "Extensions to the Archive Format".
 *
 *   old GNU, type S   4 pairs in the header at 386, then blocks of 21 pairs while the byte at their end (482 and 504) is set
 *   pax 0.0 and 0.1   GNU.sparse.offset and .numbytes alternating, or GNU.sparse.map, in the extended header
 *   pax 1.0           decimal lines in front of the data, padded to blocks: count, then offset and length of each
 */

import * as fault from "./fault";
import { alloc, reserve } from "./memory";
import { KEY, has, local } from "./pax";
import { MOST, number, numberValue } from "./tar-header";
import { Inode, SPARSE } from "./tree";

const IDLE: u32 = 0;
const EXTENSION: u32 = 1;
const MAP: u32 = 2;
const MOST_EXTENTS: u32 = 1 << 20;

let state: u32 = IDLE;
let node: Inode = changetype<Inode>(0);
/** Data bytes in the tar that the map has to account for. */
let stored: i64 = 0;
/** Pairs, in one run: nothing else is allocated meanwhile. */
let pairs: usize = 0;
let numbers: u32 = 0;
/** Of pax 1.0: numbers to come, -1 before the count is known; the one being read, -1 between two. */
let expected: i64 = 0;
let digits: i64 = -1;

export function wantsExtension(): bool {
  return state == EXTENSION;
}

export function wantsMap(): bool {
  return state == MAP;
}

function begin(file: Inode, size: i64, realSize: i64): void {
  node = file;
  stored = size;
  numbers = 0;
  pairs = 0;
  node.size = realSize;
}

function push(n: i64): void {
  const at = alloc(8);
  if (numbers == 0) pairs = at;
  store<i64>(at, n);
  numbers++;
}

/** @param at  header of type S */
export function oldHeader(at: usize, file: Inode, size: i64): i32 {
  if (!number(at + 483, 12) || numberValue() < 0) return fault.BAD_SPARSE_MAP;
  begin(file, size, numberValue());
  return oldPairs(at + 386, 4, load<u8>(at + 482));
}

/** @param at  a block that continues the map */
export function extensionBlock(at: usize): i32 {
  if (numbers > MOST_EXTENTS * 2) return fault.BAD_SPARSE_MAP;
  return reserve(1024) ? oldPairs(at, 21, load<u8>(at + 504)) : fault.OUT_OF_MEMORY;
}

function oldPairs(at: usize, count: u32, more: u8): i32 {
  for (let i: u32 = 0; i < count && load<u8>(at + i * 24); i++)
    for (let half: u32 = 0; half < 24; half += 12) {
      if (!number(at + i * 24 + half, 12) || numberValue() < 0) return fault.BAD_SPARSE_MAP;
      push(numberValue());
    }
  state = more ? EXTENSION : IDLE;
  return more ? fault.NONE : done();
}

/** A file that pax calls sparse. */
export function paxHeader(file: Inode, size: i64): i32 {
  begin(file, size, local.realSize);
  if (has(local, KEY.MAP)) {
    pairs = local.map;
    numbers = local.mapNumbers;
    return done();
  }
  if (local.sparseMajor != 1) return fault.BAD_SPARSE_MAP;
  state = MAP;
  expected = -1;
  digits = -1;
  return fault.NONE;
}

/** @param at  a block in front of the data, pax 1.0 */
export function mapBlock(at: usize): i32 {
  if (stored < 512) return fault.BAD_SPARSE_MAP;
  if (!reserve(4096)) return fault.OUT_OF_MEMORY;
  stored -= 512;
  for (let i: usize = 0; i < 512 && state == MAP; i++) {
    const byte = <u32>load<u8>(at + i);
    if (byte - 0x30 <= 9) {
      digits = (digits < 0 ? 0 : digits * 10) + byte - 0x30;
      if (digits > MOST) return fault.BAD_SPARSE_MAP;
    } else if (byte != 0x0a || digits < 0 || !line()) return fault.BAD_SPARSE_MAP;
  }
  return state == MAP ? fault.NONE : done();
}

function line(): bool {
  if (expected < 0) {
    if (digits > <i64>MOST_EXTENTS) return false;
    expected = digits * 2;
  } else {
    push(digits);
    expected--;
  }
  digits = -1;
  if (expected == 0) state = IDLE;
  return true;
}

/** The map is complete: it must ascend, stay in the file, and account for the stored bytes. Empty pieces are dropped. */
function done(): i32 {
  let end: i64 = 0;
  let sum: i64 = 0;
  let kept: u32 = 0;
  if (numbers & 1) return fault.BAD_SPARSE_MAP;
  for (let i: u32 = 0; i < numbers; i += 2) {
    const offset = load<i64>(pairs + i * 8);
    const length = load<i64>(pairs + i * 8 + 8);
    if (offset < end || length > <i64>node.size - offset) return fault.BAD_SPARSE_MAP;
    end = offset + length;
    sum += length;
    if (length == 0) continue;
    store<i64>(pairs + kept * 16, offset);
    store<i64>(pairs + kept * 16 + 8, length);
    kept++;
  }
  if (sum != stored) return fault.BAD_SPARSE_MAP;
  node.target = pairs;
  node.extents = kept;
  if (kept != 1 || sum != <i64>node.size) node.flags |= SPARSE;
  return fault.NONE;
}
