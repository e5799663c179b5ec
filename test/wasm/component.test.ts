/** The component and the core module are the same code: they agree, byte for byte, and in their faults. */

import { expect, test } from "bun:test";
import { stat } from "node:fs/promises";
import { erofsOf, stepsOf } from "../../src/wasm/erofs.ts";
import { TarReader } from "../../src/wasm/tar.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { randomBytes } from "../suite/content.ts";
import { file, tarOf } from "../support/tar.ts";

await buildWasm();
const COMPONENT = new URL("../../build/wasm/component/", import.meta.url);

interface Index {
  begin(limits: { entries: number; path: number; meta: number; salt: bigint }): void;
  write(chunk: Uint8Array): void;
  finish(format: "erofs" | "steps"): { entries: number; inodes: number; tarBytes: bigint; bytes: bigint };
  read(): Uint8Array;
}
interface Digest {
  sha256Reset(): void;
  sha256Update(chunk: Uint8Array): void;
  sha256Finish(): Uint8Array;
  crc32c(before: number, chunk: Uint8Array): number;
}

async function open(): Promise<{ index: Index; digest: Digest }> {
  const { instantiate } = await import(new URL("layer.js", COMPONENT).pathname);
  const module = async (path: string) => WebAssembly.compile(await Bun.file(new URL(path, COMPONENT)).bytes());
  return instantiate(module, {});
}

const LIMITS = { entries: 1000, path: 4095, meta: 1 << 20, salt: 1n };
const TAR = tarOf(...Array.from({ length: 300 }, (_, i) => file(`d${i % 7}/f${i}`, "x".repeat(i))));

function readAll(index: Index): Buffer {
  const parts: Uint8Array[] = [];
  for (let part = index.read(); part.length > 0; part = index.read()) parts.push(part);
  return Buffer.concat(parts);
}

for (const format of ["erofs", "steps"] as const)
  test(`the component writes what the core module writes, format ${format}`, async () => {
    const tar = await TarReader.open();
    tar.write(TAR);
    tar.finish();
    const { index } = await open();
    index.begin(LIMITS);
    for (let at = 0; at < TAR.length; at += 65536) index.write(TAR.subarray(at, at + 65536));
    const totals = index.finish(format);
    const image = readAll(index);
    expect(totals).toMatchObject({ entries: 300, inodes: 308, bytes: BigInt(image.length) });
    expect(Buffer.compare(image, (format === "erofs" ? erofsOf(tar) : stepsOf(tar)) ?? Buffer.alloc(0))).toBe(0);
  });

test("the component names the fault and the entry when a tar is refused", async () => {
  const { index } = await open();
  index.begin(LIMITS);
  const thrown = (() => {
    try {
      index.write(tarOf(file("good"), file("../bad")));
    } catch (error) {
      return error;
    }
  })();
  expect(thrown).toMatchObject({ payload: { fault: "escapes", offset: 512n } });
});

test("the component's digests are those of the native hasher", async () => {
  const { digest } = await open();
  const bytes = randomBytes(700_001);
  digest.sha256Reset();
  for (let at = 0; at < bytes.length; at += 65536) digest.sha256Update(bytes.subarray(at, at + 65536));
  expect(Buffer.from(digest.sha256Finish()).toString("hex")).toBe(
    new Bun.CryptoHasher("sha256").update(bytes).digest("hex"),
  );
  expect(digest.crc32c(0, Buffer.from("123456789")) >>> 0).toBe(0xe3069283);
});

test("buildWasm() does nothing when the outputs are newer than the sources", async () => {
  const output = new URL("../../build/wasm/layer.wasm", import.meta.url);
  const { mtimeMs } = await stat(output);
  await buildWasm();
  expect((await stat(output)).mtimeMs).toBe(mtimeMs);
});
