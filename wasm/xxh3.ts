/**
 * XXH3-64 of a stream cut anywhere: a fingerprint, fast, and no protection against anybody who wants two files to have the same one.
 * Source: xxHash, doc/xxhash_spec.md, "XXH3 Algorithm Overview"; seed 0 and the default secret.
 */

const PRIME32_1: u64 = 0x9e3779b1;
const PRIME32_2: u64 = 0x85ebca77;
const PRIME32_3: u64 = 0xc2b2ae3d;
const PRIME64_1: u64 = 0x9e3779b185ebca87;
const PRIME64_2: u64 = 0xc2b2ae3d27d4eb4f;
const PRIME64_3: u64 = 0x165667b19e3779f9;
const PRIME64_4: u64 = 0x85ebca77c2b2ae63;
const PRIME64_5: u64 = 0x27d4eb2f165667c5;
const PRIME_MX1: u64 = 0x165667919e3779f9;
const PRIME_MX2: u64 = 0x9fb21c651e98df25;

const SECRET: usize = memory.data<u8>([
  0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb,
  0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
  0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb,
  0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
  0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d, 0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31,
  0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64, 0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
  0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e, 0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc,
  0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce, 0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
]);

const STRIPE: u32 = 64;
const BLOCK_STRIPES: u32 = 16;
const BUFFER: u32 = 256;
/** Longest input of the algorithms for short ones; shorter than the buffer. */
const SHORT: u64 = 240;

/** Input that waits: a stripe counts only when something follows it. */
const buffer: usize = memory.data(256, 16);
/** The last stripe before that. */
const last: usize = memory.data(64, 16);
/** The last stripe of all, when it lies in both. */
const tail: usize = memory.data(64, 16);
/** 8 lanes of u64, and a copy of them to finish with. */
const lanes: usize = memory.data(64, 16);
const saved: usize = memory.data(64, 16);

let filled: u32 = 0;
let length: u64 = 0;
/** Stripes of the present block. */
let stripes: u32 = 0;

export function xxh3Reset(): void {
  store<u64>(lanes, PRIME32_3);
  store<u64>(lanes, PRIME64_1, 8);
  store<u64>(lanes, PRIME64_2, 16);
  store<u64>(lanes, PRIME64_3, 24);
  store<u64>(lanes, PRIME64_4, 32);
  store<u64>(lanes, PRIME32_2, 40);
  store<u64>(lanes, PRIME64_5, 48);
  store<u64>(lanes, PRIME32_1, 56);
  filled = 0;
  length = 0;
  stripes = 0;
}

export function xxh3Update(at: usize, bytes: u32): void {
  length += bytes;
  if (filled + bytes <= BUFFER) {
    memory.copy(buffer + filled, at, bytes);
    filled += bytes;
    return;
  }
  if (filled > 0) {
    const step = BUFFER - filled;
    memory.copy(buffer + filled, at, step);
    consume(buffer, BUFFER / STRIPE);
    memory.copy(last, buffer + BUFFER - STRIPE, STRIPE);
    at += step;
    bytes -= step;
  }
  if (bytes > BUFFER) {
    const count = (bytes - 1) / STRIPE;
    consume(at, count);
    at += count * STRIPE;
    bytes -= count * STRIPE;
    memory.copy(last, at - STRIPE, STRIPE);
  }
  memory.copy(buffer, at, bytes);
  filled = bytes;
}

/** @returns the fingerprint of what came so far. More may come. */
export function xxh3Finish(): u64 {
  if (length <= SHORT) return short(<u32>length);
  memory.copy(saved, lanes, 64);
  const before = stripes;
  consume(buffer, (filled - 1) / STRIPE);
  let from = buffer + filled - STRIPE;
  if (filled < STRIPE) {
    memory.copy(tail, last + filled, STRIPE - filled);
    memory.copy(tail + STRIPE - filled, buffer, filled);
    from = tail;
  }
  accumulate(from, SECRET + 121);
  const result = merge(SECRET + 11, length * PRIME64_1);
  memory.copy(lanes, saved, 64);
  stripes = before;
  return result;
}

// @ts-ignore: decorator
@inline
function accumulate(at: usize, secret: usize): void {
  for (let i: usize = 0; i < 64; i += 16) {
    const data = v128.load(at + i);
    const key = v128.xor(data, v128.load(secret + i));
    const low = v128.shuffle<i32>(key, key, 0, 2, 0, 2);
    const high = v128.shuffle<i32>(key, key, 1, 3, 1, 3);
    const swapped = v128.shuffle<i64>(data, data, 1, 0);
    const sum = i64x2.add(v128.load(lanes + i), swapped);
    v128.store(lanes + i, i64x2.add(sum, i64x2.extmul_low_i32x4_u(low, high)));
  }
}

function scramble(): void {
  for (let i: usize = 0; i < 64; i += 8) {
    let lane = load<u64>(lanes + i);
    lane ^= lane >> 47;
    lane ^= load<u64>(SECRET + 128 + i);
    store<u64>(lanes + i, lane * PRIME32_1);
  }
}

function consume(at: usize, count: u32): void {
  for (; count > 0; count--, at += STRIPE) {
    accumulate(at, SECRET + stripes * 8);
    if (++stripes < BLOCK_STRIPES) continue;
    scramble();
    stripes = 0;
  }
}

/** @returns the 128-bit product's halves, combined by exclusive or */
function fold(a: u64, b: u64): u64 {
  const aLow = a & 0xffffffff, aHigh = a >> 32;
  const bLow = b & 0xffffffff, bHigh = b >> 32;
  const lowLow = aLow * bLow;
  const cross = (lowLow >> 32) + ((aHigh * bLow) & 0xffffffff) + aLow * bHigh;
  const high = ((aHigh * bLow) >> 32) + (cross >> 32) + aHigh * bHigh;
  return ((cross << 32) | (lowLow & 0xffffffff)) ^ high;
}

function avalanche(hash: u64): u64 {
  hash ^= hash >> 37;
  hash *= PRIME_MX1;
  return hash ^ (hash >> 32);
}

/** The last step of XXH64. */
function avalanche64(hash: u64): u64 {
  hash ^= hash >> 33;
  hash *= PRIME64_2;
  hash ^= hash >> 29;
  hash *= PRIME64_3;
  return hash ^ (hash >> 32);
}

function merge(secret: usize, start: u64): u64 {
  let result = start;
  for (let i: usize = 0; i < 64; i += 16)
    result += fold(load<u64>(lanes + i) ^ load<u64>(secret + i), load<u64>(lanes + i, 8) ^ load<u64>(secret + i, 8));
  return avalanche(result);
}

function mix(at: usize, secret: usize): u64 {
  return fold(load<u64>(at) ^ load<u64>(secret), load<u64>(at, 8) ^ load<u64>(secret, 8));
}

function short(size: u32): u64 {
  if (size > 128) return upTo240(size);
  if (size > 16) return upTo128(size);
  if (size > 8) return upTo16(size);
  if (size >= 4) return upTo8(size);
  if (size > 0) return upTo3(size);
  return avalanche64(load<u64>(SECRET, 56) ^ load<u64>(SECRET, 64));
}

function upTo3(size: u32): u64 {
  const first = <u32>load<u8>(buffer);
  const middle = <u32>load<u8>(buffer + (size >> 1));
  const end = <u32>load<u8>(buffer + size - 1);
  const combined = (first << 16) | (middle << 24) | end | (size << 8);
  return avalanche64(<u64>combined ^ <u64>(load<u32>(SECRET) ^ load<u32>(SECRET, 4)));
}

function upTo8(size: u32): u64 {
  const input = <u64>load<u32>(buffer + size - 4) + (<u64>load<u32>(buffer) << 32);
  let hash = input ^ load<u64>(SECRET, 8) ^ load<u64>(SECRET, 16);
  hash ^= rotl(hash, 49) ^ rotl(hash, 24);
  hash *= PRIME_MX2;
  hash ^= (hash >> 35) + size;
  hash *= PRIME_MX2;
  return hash ^ (hash >> 28);
}

function upTo16(size: u32): u64 {
  const low = load<u64>(buffer) ^ load<u64>(SECRET, 24) ^ load<u64>(SECRET, 32);
  const high = load<u64>(buffer + size - 8) ^ load<u64>(SECRET, 40) ^ load<u64>(SECRET, 48);
  return avalanche(<u64>size + bswap(low) + high + fold(low, high));
}

function upTo128(size: u32): u64 {
  let hash = <u64>size * PRIME64_1;
  for (let i: u32 = 0; i <= (size - 1) >> 5; i++) {
    hash += mix(buffer + i * 16, SECRET + i * 32);
    hash += mix(buffer + size - (i + 1) * 16, SECRET + i * 32 + 16);
  }
  return avalanche(hash);
}

function upTo240(size: u32): u64 {
  let hash = <u64>size * PRIME64_1;
  for (let i: u32 = 0; i < 8; i++) hash += mix(buffer + i * 16, SECRET + i * 16);
  hash = avalanche(hash);
  for (let i: u32 = 8; i < size >> 4; i++) hash += mix(buffer + i * 16, SECRET + (i - 8) * 16 + 3);
  return avalanche(hash + mix(buffer + size - 16, SECRET + 119));
}
