/** With native libraries and without, the same bytes come out, and the same blobs are refused. */

import { expect, test } from "bun:test";
import { readdir, readlink, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { kindOf, messageOf } from "../../src/base/errors.ts";
import { collect } from "../../src/base/streams.ts";
import { compressionOf, decompressedFile, openDecompressor } from "../../src/wasm/decompress.ts";
import { randomBytes } from "../suite/content.ts";
import { makeFolder } from "../support/folder.ts";
import { packedBy } from "../support/tools.ts";

/** Half of it compresses, half does not. */
const DATA = Buffer.concat([Buffer.alloc(1_500_000, "abcdefgh"), randomBytes(1_500_001)]);
const PARTS = [DATA.subarray(0, 1), DATA.subarray(1, 700_000), DATA.subarray(700_000)];

async function decompress(blob: Uint8Array, native: boolean, step: number): Promise<Buffer> {
  await using folder = await makeFolder();
  const path = join(folder.path, "blob");
  await writeFile(path, blob);
  using source = openDecompressor(path, { native });
  const parts: Buffer[] = [];
  // Memory that does not move while native code writes to it, as the engine's.
  const room = new Uint8Array(new WebAssembly.Memory({ initial: 16 }).buffer, 0, step);
  for (let size = await source.read(room); size > 0; size = await source.read(room))
    parts.push(Buffer.from(room.subarray(0, size)));
  expect(source.consumed).toBe(blob.length);
  return Buffer.concat(parts);
}

const GOOD: readonly (readonly [what: string, blob: Uint8Array])[] = [
  ["plain", DATA],
  ["gzip", gzipSync(DATA)],
  [
    "gzip with a file name",
    Buffer.concat([
      Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]),
      Buffer.from("name\0"),
      gzipSync(DATA).subarray(10),
    ]),
  ],
  ["gzip of three members", Buffer.concat(PARTS.map((part) => gzipSync(part)))],
  ["gzip, stored", gzipSync(DATA, { level: 0 })],
  ["zstd", zstdCompressSync(DATA)],
  ["zstd of three frames", Buffer.concat(PARTS.map((part) => zstdCompressSync(part)))],
  [
    "zstd after a skippable frame",
    Buffer.concat([Buffer.from([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]), zstdCompressSync(DATA)]),
  ],
];

const damaged = (blob: Uint8Array, at: number): Uint8Array => {
  const copy = Buffer.from(blob);
  copy[at] = (copy[at] ?? 0) ^ 0x55;
  return copy;
};

/** Nothing but their own libraries reads these. */
const FOREIGN = ["xz", "bzip2"].filter((tool) => Bun.which(tool));
for (const tool of FOREIGN) {
  const packed = packedBy(tool, DATA);
  const good: readonly (readonly [what: string, blob: Uint8Array])[] = [
    [tool, packed],
    [`${tool} of three streams`, Buffer.concat(PARTS.map((part) => packedBy(tool, part)))],
    [`${tool} of an empty stream and another`, Buffer.concat([packedBy(tool, Buffer.alloc(0)), packed])],
  ];
  for (const [what, blob] of good)
    test(`read() gives the bytes of ${what}`, async () => {
      for (const step of [1 << 20, 65_537]) expect(Buffer.compare(await decompress(blob, true, step), DATA)).toBe(0);
    });
  const bad: readonly (readonly [what: string, blob: Uint8Array])[] = [
    [`${tool} is cut short`, packed.subarray(0, packed.length - 1)],
    [`${tool} is cut in half`, packed.subarray(0, packed.length >> 1)],
    [`${tool} is nothing but its first bytes`, packed.subarray(0, 6)],
    [`${tool} is damaged`, damaged(packed, packed.length - 800_000)],
    [`${tool} is followed by something else`, Buffer.concat([packed, Buffer.from("something else")])],
    [`a second stream of ${tool} is cut short`, Buffer.concat([packed, packed.subarray(0, 1000)])],
  ];
  for (const [what, blob] of bad)
    test(`read() says corrupt when ${what}`, async () => {
      const error: unknown = await decompress(blob, true, 1 << 20).catch((thrown: unknown) => thrown);
      expect([kindOf(error), messageOf(error)]).toEqual([
        "corrupt",
        expect.stringContaining(`Cannot decompress ${tool}`),
      ]);
    });
  test(`decompressedFile() streams ${tool}, and lets go of the file when it is given up`, async () => {
    await using folder = await makeFolder();
    const path = join(folder.path, "blob");
    await writeFile(path, packed);
    expect(Buffer.compare(await collect(decompressedFile(path), 1 << 30), DATA)).toBe(0);
    const open = decompressedFile(path).getReader();
    await rm(path);
    await open.read();
    expect((await openFiles()).filter((each) => each.includes(path))).toHaveLength(1);
    await open.cancel();
    expect((await openFiles()).filter((each) => each.includes(path))).toEqual([]);
  });
}

/** What this process has open. */
const openFiles = async (): Promise<string[]> =>
  Promise.all((await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));

for (const native of [true, false])
  for (const [what, blob] of GOOD)
    test(`read() gives the bytes of ${what}, ${native ? "native" : "Bun's zlib"}`, async () => {
      for (const step of [1 << 20, 65_537]) expect(Buffer.compare(await decompress(blob, native, step), DATA)).toBe(0);
    });

const gz = gzipSync(DATA);
const zst = zstdCompressSync(DATA, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
/** Bun's zstd ends without a word where its input does; the layer's diffId tells then. */
const SILENT = ["zstd is cut short", "a second zstd frame is cut short"];
const BAD: readonly (readonly [what: string, blob: Uint8Array])[] = [
  ["gzip is cut short", gz.subarray(0, gz.length - 100)],
  ["gzip has no trailer", gz.subarray(0, gz.length - 8)],
  ["gzip has a wrong checksum", damaged(gz, gz.length - 6)],
  ["gzip is damaged", damaged(gz, gz.length - 900_000)],
  ["a second gzip member is cut short", Buffer.concat([gz, gz.subarray(0, 1000)])],
  ["zstd is cut short", zst.subarray(0, zst.length - 100)],
  ["zstd has a wrong checksum", damaged(zst, zst.length - 2)],
  ["a second zstd frame is cut short", Buffer.concat([zst, zst.subarray(0, 1000)])],
];

for (const native of [true, false])
  for (const [what, blob] of BAD.filter(([each]) => native || !SILENT.includes(each)))
    test(`read() says corrupt when ${what}, ${native ? "native" : "Bun's zlib"}`, async () => {
      const error: unknown = await decompress(blob, native, 1 << 20).catch((thrown: unknown) => thrown);
      expect(kindOf(error)).toBe("corrupt");
    });

test("compressionOf() tells by the first bytes", () => {
  expect(compressionOf(gz)).toBe("gzip");
  expect(compressionOf(zst)).toBe("zstd");
  expect(compressionOf(Buffer.from("fd377a585a", "hex"))).toBe("xz");
  expect(compressionOf(Buffer.from("BZh9"))).toBe("bzip2");
  expect(compressionOf(Buffer.from("BZh0"))).toBe("none");
  expect(compressionOf(DATA)).toBe("none");
  expect(compressionOf(new Uint8Array(0))).toBe("none");
});
