/** The component and the core module are the same code: they agree, byte for byte, and in their faults. */

import { expect, test } from "bun:test";
import { stat } from "node:fs/promises";
import { type Index, openLayer } from "../../bench/fixture/component.ts";
import { file, tarOf } from "../../bench/fixture/tar.ts";
import { enter, leaf, leave, recordOf } from "../../bench/fixture/walk.ts";
import { erofsOf, stepsOf } from "../../src/wasm/erofs.ts";
import { openCore } from "../../src/wasm/module.ts";
import { TarReader } from "../../src/wasm/tar.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { randomBytes } from "../suite/content.ts";

await buildWasm();

const LIMITS = { entries: 1000, path: 4095, meta: 1 << 20, salt: 1n };
const TAR = tarOf(...Array.from({ length: 300 }, (_, i) => file(`d${i % 7}/f${i}`, "x".repeat(i))));

function readAll(index: Index): Buffer {
  const parts: Uint8Array[] = [];
  for (let part = index.read(); part.length > 0; part = index.read()) parts.push(part);
  return Buffer.concat(parts);
}

function thrownBy(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}

for (const format of ["erofs", "steps"] as const)
  test(`the component writes what the core module writes, format ${format}`, async () => {
    const tar = await TarReader.open();
    tar.write(TAR);
    tar.finish();
    const { index } = await openLayer();
    index.begin(LIMITS);
    for (let at = 0; at < TAR.length; at += 65536) index.write(TAR.subarray(at, at + 65536));
    const totals = index.finish(format);
    const image = readAll(index);
    expect(totals).toMatchObject({ entries: 300, inodes: 308, bytes: BigInt(image.length) });
    expect(Buffer.compare(image, (format === "erofs" ? erofsOf(tar) : stepsOf(tar)) ?? Buffer.alloc(0))).toBe(0);
  });

test("the component names the fault and the entry when a tar is refused", async () => {
  const { index } = await openLayer();
  index.begin(LIMITS);
  const thrown = thrownBy(() => index.write(tarOf(file("good"), file("../bad"))));
  expect(thrown).toMatchObject({ payload: { fault: "escapes", offset: 512n } });
});

test("the component's digests are those of the native hasher", async () => {
  const { digest } = await openLayer();
  const bytes = randomBytes(700_001);
  digest.sha256Reset();
  for (let at = 0; at < bytes.length; at += 65536) digest.sha256Update(bytes.subarray(at, at + 65536));
  expect(Buffer.from(digest.sha256Finish()).toString("hex")).toBe(
    new Bun.CryptoHasher("sha256").update(bytes).digest("hex"),
  );
  expect(digest.crc32c(0, Buffer.from("123456789")) >>> 0).toBe(0xe3069283);
  digest.xxh3Reset();
  for (let at = 0; at < bytes.length; at += 65536) digest.xxh3Update(bytes.subarray(at, at + 65536));
  expect(BigInt.asUintN(64, digest.xxh3Finish())).toBe(Bun.hash.xxHash3(bytes));
});

test("the component packs what the core module packs, and names what it refuses", async () => {
  const records = Buffer.concat([enter(""), leaf("gone-from-both"), leaf("f", { size: 3 }), leave].map(recordOf));
  const names = Buffer.from("gone-from-both\0");
  const core = await openCore();
  const put = (bytes: Uint8Array) => new Uint8Array(core.memory.buffer).set(bytes, core.input());
  put(names);
  core.packBegin(1, 0, names.length, 0);
  put(records);
  core.packWrite(records.length);
  const expected = Buffer.from(Buffer.from(core.memory.buffer, core.packOutput(), core.packOutputBytes()));
  const { pack } = await openLayer();
  pack.begin({ mode: "layer", whole: false, exceptBytes: names.length }, names);
  expect(Buffer.compare(pack.write(records), expected)).toBe(0);
  expect(expected.includes("gone-from-both")).toBe(false);
  expect(pack.finish().length).toBeGreaterThan(1024);
  const other = (await openLayer()).pack;
  other.begin({ mode: "layer", whole: false, exceptBytes: 0 }, new Uint8Array());
  const refused = { payload: { fault: "reserved-name", path: new Uint8Array(Buffer.from(".wh.x")) } };
  expect(thrownBy(() => other.write(Buffer.concat([enter(""), leaf(".wh.x")].map(recordOf))))).toMatchObject(refused);
});

test("buildWasm() does nothing when the outputs are newer than the sources", async () => {
  const output = new URL("../../build/wasm/layer.wasm", import.meta.url);
  const { mtimeMs } = await stat(output);
  await buildWasm();
  expect((await stat(output)).mtimeMs).toBe(mtimeMs);
});
