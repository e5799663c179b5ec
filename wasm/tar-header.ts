/**
 * A tar's header block, field by field. Source: POSIX.1-2018 pax, "ustar Interchange Format"; base-256 numbers: GNU tar manual, "Extensions to
 * the Archive Format".
 */

export const BLOCK: u32 = 512;
/** No size, offset or time beyond this many: JavaScript's numbers hold them all. */
export const MOST: i64 = 9007199254740992; // 2^53

// @ts-ignore: decorator
@inline
export function padding(size: u64): u64 {
  return (BLOCK - (size & (BLOCK - 1))) & (BLOCK - 1);
}

export function isZero(at: usize): bool {
  for (let i: usize = 0; i < BLOCK; i += 8) if (load<u64>(at + i)) return false;
  return true;
}

/** @returns the sum of a header's bytes, where the checksum's own field counts as spaces. */
export function checksum(at: usize): i32 {
  let lanes = i32x4.splat(0);
  for (let i: usize = 0; i < BLOCK; i += 16)
    lanes = i32x4.add(lanes, i32x4.extadd_pairwise_i16x8_u(i16x8.extadd_pairwise_i8x16_u(v128.load(at + i))));
  let sum = i32x4.extract_lane(lanes, 0) + i32x4.extract_lane(lanes, 1) + i32x4.extract_lane(lanes, 2) + i32x4.extract_lane(lanes, 3);
  for (let i: usize = 148; i < 156; i++) sum += 32 - <i32>load<u8>(at + i);
  return sum;
}

/** Old tars summed signed bytes. */
export function checksumHolds(at: usize): bool {
  if (!number(at + 148, 8)) return false;
  if (value == checksum(at)) return true;
  let signed: i32 = 0;
  for (let i: usize = 0; i < BLOCK; i++) signed += i >= 148 && i < 156 ? 32 : <i32>load<i8>(at + i);
  return value == signed;
}

/** What `number` read. */
let value: i64 = 0;

/**
 * A numeric field: octal digits between spaces and NULs, or, with the first bit set, base-256.
 * @returns false when it is neither, or beyond 2^53; the number is in `value`
 */
export function number(field: usize, width: u32): bool {
  const first = load<u8>(field);
  if (first & 0x80) return base256(field, width, first);
  value = 0;
  let i: u32 = 0;
  while (i < width && load<u8>(field + i) == 0x20) i++;
  for (; i < width; i++) {
    const digit: u32 = <u32>load<u8>(field + i) - 0x30;
    if (digit > 7) break;
    value = (value << 3) | digit;
  }
  for (; i < width; i++) {
    const byte = load<u8>(field + i);
    if (byte == 0) return true;
    if (byte != 0x20) return false;
  }
  return true;
}

export function numberValue(): i64 {
  return value;
}

function base256(field: usize, width: u32, first: u8): bool {
  let n: i64 = first & 0x40 ? -1 : 0;
  n = (n << 6) | (first & 0x3f);
  for (let i: u32 = 1; i < width; i++) {
    if (n > MOST || n < -MOST) return false;
    n = (n << 8) | load<u8>(field + i);
  }
  value = n;
  return n <= MOST && n >= -MOST;
}

/** @returns length of a text that a NUL or its field ends */
export function textLength(field: usize, width: u32): u32 {
  let length: u32 = 0;
  while (length < width && load<u8>(field + length)) length++;
  return length;
}
