/**
 * The engine's core interface, for a host in the same process that can see the memory: tar in, an image of its tree out. One instance
 * serves one layer: `begin`, `write` until the tar ends, `finish`; the image is then `outputBytes` at `output`.
 */

import { crc32cRegister } from "./crc32c";
import { image, imageBytes, writeErofs } from "./erofs-write";
import * as fault from "./fault";
import { INPUT, INPUT_BYTES } from "./memory";
import * as pack from "./pack";
import * as put from "./pack-put";
import * as item from "./tar-item";
import { DIGEST, sha256Finish, sha256Reset, sha256Update } from "./sha256";
import { xxh3Finish, xxh3Reset, xxh3Update } from "./xxh3";
import { steps, stepsBytes, writeSteps } from "./steps-write";
import * as tar from "./tar-read";
import { order, plant } from "./tree";

/** Where the host puts chunks, and how long they may be. */
export function input(): usize {
  return INPUT;
}
export function inputBytes(): u32 {
  return INPUT_BYTES;
}

let inodeCount: u32 = 0;

/**
 * @param salt  see tree.plant
 * @returns     a fault or 0
 */
export function begin(maxEntries: u32, maxPath: u32, maxMeta: u32, salt: u64): i32 {
  if (!tar.start(maxEntries, maxPath, maxMeta)) return fault.OUT_OF_MEMORY;
  plant(salt);
  return fault.NONE;
}

/** Takes `length` bytes at `input`. @returns a fault or 0 */
export function write(length: u32): i32 {
  return tar.write(INPUT, length);
}

/** The tar has ended: its tree is put in order. @returns a fault or 0 */
export function finish(): i32 {
  const ended = tar.finish();
  if (ended != fault.NONE || inodeCount) return ended;
  inodeCount = order();
  return inodeCount ? fault.NONE : fault.OUT_OF_MEMORY;
}

let at: usize = 0;
let bytes: u32 = 0;

/** After `finish`: an EROFS index of the tar. @returns a fault or 0 */
export function makeErofs(): i32 {
  const result = writeErofs(inodeCount, tar.offset);
  if (result != fault.NONE) return result;
  at = image;
  bytes = imageBytes;
  return fault.NONE;
}

/** After `finish`, instead: steps that make the tree in a directory. @returns a fault or 0 */
export function makeSteps(): i32 {
  const result = writeSteps();
  if (result != fault.NONE) return result;
  at = steps;
  bytes = stepsBytes;
  return fault.NONE;
}

export function output(): usize {
  return at;
}
export function outputBytes(): u32 {
  return bytes;
}

export function entries(): u32 {
  return tar.entries;
}
export function inodes(): u32 {
  return inodeCount;
}
export function tarBytes(): u64 {
  return tar.offset;
}

/** Where a fault arose: the offset of the entry's header, and its path. */
export function faultOffset(): u64 {
  return tar.headerOffset;
}
export function faultPath(): usize {
  return packs ? put.path : tar.pathAt();
}
export function faultPathBytes(): u32 {
  return packs ? put.pathLength : tar.pathLength;
}

let packs: bool = false;

/** The other way: a walked tree in, a tar or changes out. See pack.begin. @returns a fault or 0 */
export function packBegin(mode: u32, whole: u32, exceptBytes: u32, nameBytes: u32): i32 {
  packs = true;
  return pack.begin(mode, whole != 0, exceptBytes, nameBytes);
}

/** Takes `length` bytes of records at `input`. What they come to is `packOutputBytes` at `packOutput`, until the next call. @returns a fault or 0 */
export function packWrite(length: u32): i32 {
  return pack.write(INPUT, length);
}

/** The walk has ended; there is output once more. @returns a fault or 0 */
export function packFinish(): i32 {
  return pack.finish();
}

/** Items or changes. Layout: tar-item.ts. */
export function packOutput(): usize {
  return item.output();
}
export function packOutputBytes(): u32 {
  return item.used;
}

/** Of the tar, contents included. */
export function packTarBytes(): u64 {
  return put.tarBytes;
}
export function packEntries(): u32 {
  return put.entries;
}

export function digestReset(): void {
  sha256Reset();
}
/** SHA-256 of `length` bytes at `input`, as part of a stream. */
export function digestUpdate(length: u32): void {
  sha256Update(INPUT, length);
}
/** @returns where the 32 bytes are */
export function digestFinish(): usize {
  sha256Finish();
  return DIGEST;
}

/** CRC-32C of `length` bytes at `input`. @param before  CRC of the bytes before, 0 at first */
export function crc32c(before: u32, length: u32): u32 {
  return ~crc32cRegister(~before, INPUT, length);
}

export function fingerprintReset(): void {
  xxh3Reset();
}
/** XXH3-64 of `length` bytes at `input`, as part of a stream. */
export function fingerprintUpdate(length: u32): void {
  xxh3Update(INPUT, length);
}
export function fingerprintFinish(): u64 {
  return xxh3Finish();
}
