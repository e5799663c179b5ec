/** With native libraries and without, tools that we did not write get the same bytes back. */

import { expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { buildShim } from "../../shim/shim.build.ts";
import { digestOf } from "../../src/base/digest.ts";
import { kindOf } from "../../src/base/errors.ts";
import { type CompressionMethod, openCompressor } from "../../src/wasm/compress.ts";
import { openIsalDeflate } from "../../src/wasm/deflate.ts";
import { Workers } from "../../src/wasm/workers.ts";
import { openZstdCompressor } from "../../src/wasm/zstd-compress.ts";
import { randomBytes } from "../suite/content.ts";
import { makeFolder } from "../support/folder.ts";

await buildShim();

/** Half of it compresses, half does not; more than all buffers on the way. */
const DATA = Buffer.concat([Buffer.alloc(3_000_000, "abcdefgh"), randomBytes(1_500_001)]);

async function compressed(method: CompressionMethod, native: boolean, data: Uint8Array, step: number): Promise<Buffer> {
  const compressor = openCompressor(method, native);
  const parts: Buffer[] = [];
  const out = (bytes: Uint8Array) => void parts.push(Buffer.from(bytes));
  const room = new Uint8Array(new WebAssembly.Memory({ initial: 16 }).buffer);
  for (let at = 0; at < data.length; at += step) {
    const piece = data.subarray(at, at + step);
    room.set(piece);
    await compressor.write(room.subarray(0, piece.length), out);
  }
  await compressor.finish(out);
  compressor[Symbol.dispose]?.();
  return Buffer.concat(parts);
}

const restored = { gzip: gunzipSync, zstd: zstdDecompressSync } as const;
const there = { gzip: openIsalDeflate() !== undefined, zstd: openZstdCompressor() !== undefined };

for (const method of ["gzip", "zstd"] as const)
  for (const native of [true, false])
    for (const [what, data] of [
      ["nothing", new Uint8Array()],
      ["a byte", new Uint8Array(1)],
      ["much", DATA],
    ] as const)
      test.skipIf(native && !there[method])(
        `${native ? "native" : "Bun's"} ${method} of ${what} comes back`,
        async () => {
          const blob = await compressed(method, native, data, 1 << 20);
          expect(Buffer.compare(restored[method](blob), data)).toBe(0);
          expect(blob.equals(await compressed(method, native, data, 1 << 20))).toBeTrue(); // the same every time
          expect(blob.length).toBeLessThan(data.length * 0.4 + 100);
        },
      );

test("native compressors take pieces of any size", async () => {
  const data = DATA.subarray(2_990_000, 3_010_000);
  for (const method of ["gzip", "zstd"] as const)
    for (const step of [1, 7, 4096])
      expect(Buffer.compare(restored[method](await compressed(method, true, data, step)), data)).toBe(0);
});

test.each(["gzip", "zstd"] as const)(
  "compress() makes a %s blob of a tar, with its digest and size",
  async (method) => {
    await using folder = await makeFolder();
    const [tar, blob] = [join(folder.path, "tar"), join(folder.path, "blob")];
    await writeFile(tar, DATA);
    using pool = new Workers({ size: 1 });
    const made = await pool.compress({ tar, blob, diffId: digestOf(DATA), method });
    const bytes = await readFile(blob);
    expect(made).toEqual({ digest: digestOf(bytes), size: bytes.length });
    expect(Buffer.compare(restored[method](bytes), DATA)).toBe(0);
  },
);

test("compress() refuses a damaged tar", async () => {
  await using folder = await makeFolder();
  const [tar, blob] = [join(folder.path, "tar"), join(folder.path, "blob")];
  await writeFile(tar, DATA.subarray(1));
  using pool = new Workers({ size: 1 });
  const failure = await pool.compress({ tar, blob, diffId: digestOf(DATA), method: "gzip" }).catch((error) => error);
  expect(kindOf(failure)).toBe("corrupt");
});
