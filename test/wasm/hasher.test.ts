import { expect, test } from "bun:test";
import {
  chooseHasher,
  hasherChoice,
  NativeHasher,
  openHasher,
  shaInstructions,
  WasmHasher,
} from "../../src/wasm/hasher.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { randomBytes } from "../suite/content.ts";

await buildWasm();

test("both hashers give the same digest, in pieces of any size, several at a time", () => {
  const bytes = randomBytes(3_000_001);
  const expected = `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
  for (const step of [bytes.length, (1 << 20) + 1, 65_537, 4_095]) {
    const hashers = [new NativeHasher(), new WasmHasher(), new WasmHasher()];
    for (let at = 0; at < bytes.length; at += step)
      for (const hasher of hashers) hasher.update(bytes.subarray(at, at + step));
    for (const hasher of hashers) expect<string>(hasher.digest()).toBe(expected);
  }
});

const X86 = (flags: string) =>
  `processor\t: 0\nmodel name\t: sha_ni by name only\nflags\t\t: fpu ${flags} ht\nbugs\t\t: none\n`;

test("shaInstructions() reads the processor's flags", () => {
  expect(shaInstructions(X86("sse2 sha_ni avx2"))).toBe("sha_ni");
  expect(shaInstructions(X86("sse2 avx2"))).toBeUndefined();
  expect(shaInstructions("processor\t: 0\nFeatures\t: fp asimd aes sha1 sha2 crc32\n")).toBe("sha2");
  expect(shaInstructions("processor\t: 0\nFeatures\t: fp asimd aes sha1 crc32\n")).toBeUndefined();
});

test("chooseHasher() takes the native one where the processor helps, else the faster one", () => {
  const never = () => expect.unreachable();
  expect(chooseHasher(X86("sha_ni"), never).name).toBe("native (sha_ni)");
  const taking = (native: number, wasm: number) => (open: () => object) =>
    open() instanceof WasmHasher ? wasm : native;
  expect(chooseHasher(X86("avx2"), taking(1, 2)).name).toBe("native");
  const choice = chooseHasher(X86("avx2"), taking(2, 1));
  expect(choice.name).toBe("wasm");
  expect(choice.open()).toBeInstanceOf(WasmHasher);
});

test("chooseHasher() measures when it has to", () => {
  expect(["native", "wasm"]).toContain(chooseHasher(X86("avx2")).name);
});

test("this thread's choice stays", () => {
  expect(hasherChoice()).toBe(hasherChoice());
  const hasher = openHasher();
  hasher.update(Buffer.from("abc"));
  expect(hasher.digest()).toBe("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});
