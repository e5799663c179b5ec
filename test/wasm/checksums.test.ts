import { expect, test } from "bun:test";
import { type Core, openCore } from "../../src/wasm/module.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { randomBytes } from "../suite/content.ts";

await buildWasm();
const core = await openCore();

function give(target: Core, bytes: Uint8Array): number {
  new Uint8Array(target.memory.buffer).set(bytes, target.input());
  return bytes.length;
}

/** @param pieces  fed one after the other, each in pieces of at most 1 MiB */
function sha256(...pieces: readonly Uint8Array[]): string {
  core.digestReset();
  for (const piece of pieces)
    for (let at = 0; at < piece.length; at += 1 << 20)
      core.digestUpdate(give(core, piece.subarray(at, at + (1 << 20))));
  return Buffer.from(core.memory.buffer, core.digestFinish(), 32).toString("hex");
}

const crc32c = (...pieces: readonly Uint8Array[]): number =>
  pieces.reduce((crc, piece) => core.crc32c(crc, give(core, piece)) >>> 0, 0);

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const native = (bytes: Uint8Array): string => new Bun.CryptoHasher("sha256").update(bytes).digest("hex");

// FIPS 180-4 examples, as published by NIST with the standard.
const SHA256: readonly (readonly [message: string, digest: string])[] = [
  ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
  ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  [
    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
  ],
  ["a".repeat(1_000_000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"],
];

for (const [message, digest] of SHA256)
  test(`sha256() gives FIPS 180-4's digest when given ${message.length} bytes`, () => {
    expect(sha256(text(message))).toBe(digest);
  });

test("sha256() gives the same digest when the input is cut in two anywhere", () => {
  for (let length = 0; length <= 200; length++) {
    const bytes = randomBytes(length, length + 1);
    const expected = native(bytes);
    for (let cut = 0; cut <= length; cut++)
      if (sha256(bytes.subarray(0, cut), bytes.subarray(cut)) !== expected)
        throw new Error(`wrong digest of ${length} bytes cut at ${cut}`);
  }
});

test("sha256() gives the same digest when a large input is cut in odd pieces", () => {
  const bytes = randomBytes(3_000_001);
  for (const step of [1_000_003, 65_537, 4_095, 63]) {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += step) pieces.push(bytes.subarray(at, at + step));
    expect(sha256(...pieces)).toBe(native(bytes));
  }
});

// RFC 3720, appendix B.4, and the check value of the CRC catalogues.
const CRC32C: readonly (readonly [what: string, bytes: Uint8Array, crc: number])[] = [
  ["digits", text("123456789"), 0xe3069283],
  ["32 zeros", new Uint8Array(32), 0x8a9136aa],
  ["32 ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ["32 ascending", Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ["32 descending", Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
];

for (const [what, bytes, crc] of CRC32C)
  test(`crc32c() gives the published value when given ${what}, cut anywhere`, () => {
    for (let cut = 0; cut <= bytes.length; cut++) expect(crc32c(bytes.subarray(0, cut), bytes.subarray(cut))).toBe(crc);
  });

function xxh3(...pieces: readonly Uint8Array[]): bigint {
  core.fingerprintReset();
  for (const piece of pieces)
    for (let at = 0; at < piece.length; at += 1 << 20)
      core.fingerprintUpdate(give(core, piece.subarray(at, at + (1 << 20))));
  return BigInt.asUintN(64, core.fingerprintFinish());
}

test("xxh3() gives what another implementation gives, of every short length, cut in two anywhere", () => {
  for (let length = 0; length <= 600; length++) {
    const bytes = randomBytes(length, length + 1);
    const expected = Bun.hash.xxHash3(bytes);
    for (let cut = 0; cut <= length; cut += length > 300 ? 7 : 1)
      if (xxh3(bytes.subarray(0, cut), bytes.subarray(cut)) !== expected)
        throw new Error(`wrong fingerprint of ${length} bytes cut at ${cut}`);
  }
});

test("xxh3() gives the same fingerprint when a large input is cut in odd pieces", () => {
  const bytes = randomBytes(3_000_001);
  for (const step of [3_000_001, 1_000_003, 65_537, 1024, 1023, 257, 256, 255, 64, 63]) {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += step) pieces.push(bytes.subarray(at, at + step));
    expect(xxh3(...pieces)).toBe(Bun.hash.xxHash3(bytes));
  }
});

test("xxh3() can be asked in the middle of a stream", () => {
  const bytes = randomBytes(5000);
  core.fingerprintReset();
  for (let at = 0; at < bytes.length; at += 100) {
    core.fingerprintUpdate(give(core, bytes.subarray(at, at + 100)));
    expect(BigInt.asUintN(64, core.fingerprintFinish())).toBe(Bun.hash.xxHash3(bytes.subarray(0, at + 100)));
  }
});

test("the module imports nothing from its host", async () => {
  const bytes = await Bun.file(new URL("../../build/wasm/layer.wasm", import.meta.url)).bytes();
  expect(WebAssembly.Module.imports(await WebAssembly.compile(bytes))).toEqual([]);
});
