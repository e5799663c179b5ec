/**
 * What a packer puts out. A tar comes as items, each some bytes of the tar and then, if any, a file's contents, which the host appends with zeros up
 * to a multiple of 512: shim/lib-pour.c does. Little endian; an item starts at a multiple of 8.
 *
 *    0 u32 bytes of the item   4 u32 tar bytes   8 u64 contents' bytes   16 u64 inode of the file
 *   24 u32 path bytes         32 path NUL, NULs up to 8, tar bytes: 0 or more blocks of 512
 *
 * Changes come as a list instead:
 *
 *    0 u32 bytes of the change   4 u32 kind: 1 added, 2 modified, 3 deleted   8 u32 path bytes   12 path, from "/" on, NULs up to 8
 */

import { alloc, reserve } from "./memory";

export const ITEM_HEAD: u32 = 32;

let buffer: usize = 0;
let room: u32 = 0;
export let used: u32 = 0;

export function output(): usize {
  return buffer;
}

/** What was put out has been taken. */
export function empty(): void {
  used = 0;
}

/** Makes room for `bytes` more. Pointers into the buffer are stale after it. @returns false when memory is used up */
export function ensure(bytes: u32): bool {
  if (<u64>used + bytes <= room) return true;
  const wanted = (<u64>used + bytes) * 2 + 0x10000;
  if (wanted > 0x3fffffff || !reserve(wanted)) return false;
  const wider = alloc(<usize>wanted);
  memory.copy(wider, buffer, used);
  buffer = wider;
  room = <u32>wanted;
  return true;
}

// @ts-ignore: decorator
@inline
export function end(): usize {
  return buffer + used;
}

/** Takes `bytes` that were made sure of. They are not cleared. */
export function take(bytes: u32): usize {
  const at = buffer + used;
  used += bytes;
  return at;
}

export function put(bytes: usize, length: u32): void {
  memory.copy(take(length), bytes, length);
}

/** Ends a text with NULs up to a multiple of 8. */
export function endText(): void {
  do store<u8>(take(1), 0);
  while (used & 7);
}

let item: u32 = 0;
let headAt: u32 = 0;

/** Begins an item; then come tar bytes. @param path  where the file's contents are, when there are any */
export function beginItem(size: u64, inode: u64, path: usize, pathLength: u32): void {
  item = used;
  const at = take(ITEM_HEAD);
  memory.fill(at, 0, ITEM_HEAD);
  store<u64>(at, size, 8);
  store<u64>(at, inode, 16);
  const length = size > 0 ? pathLength : 0;
  store<u32>(at, length, 24);
  put(path, length);
  endText();
  headAt = used;
}

export function endItem(): void {
  store<u32>(buffer + item, used - item);
  store<u32>(buffer + item, used - headAt, 4);
}

export function putChange(kind: u32, path: usize, length: u32): void {
  const at = used;
  store<u32>(take(4), 0);
  store<u32>(take(4), kind);
  store<u32>(take(4), length + 1);
  store<u8>(take(1), 0x2f);
  put(path, length);
  endText();
  store<u32>(buffer + at, used - at);
}
