/** SHA-256 of a stream cut anywhere: the portable digest, where no native one is. Source: FIPS 180-4, sections 5 and 6.2. */

const K: usize = memory.data<u32>([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
  0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
  0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
  0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
  0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
  0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]);
const SCHEDULE: usize = memory.data(64 * 4);
/** The bytes of an unfinished block. */
const BLOCK: usize = memory.data(64, 16);
export const DIGEST: usize = memory.data(32, 16);

let a: u32 = 0;
let b: u32 = 0;
let c: u32 = 0;
let d: u32 = 0;
let e: u32 = 0;
let f: u32 = 0;
let g: u32 = 0;
let h: u32 = 0;
let length: u64 = 0;

export function sha256Reset(): void {
  a = 0x6a09e667;
  b = 0xbb67ae85;
  c = 0x3c6ef372;
  d = 0xa54ff53a;
  e = 0x510e527f;
  f = 0x9b05688c;
  g = 0x1f83d9ab;
  h = 0x5be0cd19;
  length = 0;
}

export function sha256Update(at: usize, bytes: u32): void {
  const end = at + bytes;
  const filled = <u32>length & 63;
  length += bytes;
  if (filled > 0) {
    const step = min<u32>(64 - filled, bytes);
    memory.copy(BLOCK + filled, at, step);
    at += step;
    if (filled + step < 64) return;
    compress(BLOCK);
  }
  for (; at + 64 <= end; at += 64) compress(at);
  memory.copy(BLOCK, at, end - at);
}

/** Ends the stream. The digest is at `DIGEST`; `sha256Reset` starts another. */
export function sha256Finish(): void {
  const filled = <u32>length & 63;
  store<u8>(BLOCK + filled, 0x80);
  memory.fill(BLOCK + filled + 1, 0, 63 - filled);
  if (filled >= 56) {
    compress(BLOCK);
    memory.fill(BLOCK, 0, 64);
  }
  store<u64>(BLOCK, bswap(length << 3), 56);
  compress(BLOCK);
  store<u32>(DIGEST, bswap(a));
  store<u32>(DIGEST, bswap(b), 4);
  store<u32>(DIGEST, bswap(c), 8);
  store<u32>(DIGEST, bswap(d), 12);
  store<u32>(DIGEST, bswap(e), 16);
  store<u32>(DIGEST, bswap(f), 20);
  store<u32>(DIGEST, bswap(g), 24);
  store<u32>(DIGEST, bswap(h), 28);
}

function schedule(block: usize): void {
  for (let i: usize = 0; i < 64; i += 4) store<u32>(SCHEDULE + i, bswap(load<u32>(block + i)));
  for (let i = SCHEDULE + 64; i < SCHEDULE + 256; i += 4) {
    const x = load<u32>(i - 60);
    const y = load<u32>(i - 8);
    const s0 = rotr(x, 7) ^ rotr(x, 18) ^ (x >> 3);
    const s1 = rotr(y, 17) ^ rotr(y, 19) ^ (y >> 10);
    store<u32>(i, load<u32>(i - 64) + s0 + load<u32>(i - 28) + s1);
  }
}

function compress(block: usize): void {
  schedule(block);
  let A = a, B = b, C = c, D = d, E = e, F = f, G = g, H = h;
  for (let i: usize = 0; i < 256; i += 4) {
    const s1 = rotr(E, 6) ^ rotr(E, 11) ^ rotr(E, 25);
    const t1 = H + s1 + ((E & F) ^ (~E & G)) + load<u32>(K + i) + load<u32>(SCHEDULE + i);
    const s0 = rotr(A, 2) ^ rotr(A, 13) ^ rotr(A, 22);
    const t2 = s0 + ((A & B) ^ (A & C) ^ (B & C));
    H = G;
    G = F;
    F = E;
    E = D + t1;
    D = C;
    C = B;
    B = A;
    A = t1 + t2;
  }
  a += A;
  b += B;
  c += C;
  d += D;
  e += E;
  f += F;
  g += G;
  h += H;
}
