/** Small blobs that would become large, and tars that would take for ever. */

import { expect, test } from "bun:test";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { file, tarOf } from "../../bench/fixture/tar.ts";
import { ErofsSnapshotter } from "../../src/store/snapshot-erofs.ts";
import { erofsOf } from "../../src/wasm/erofs.ts";
import { TarReader } from "../../src/wasm/tar.ts";
import { failureOf } from "../support/errors.ts";
import { makeFolder } from "../support/folder.ts";
import { DRIVERS, refusal, workers } from "../support/hostile.ts";
import { packedBy } from "../support/tools.ts";

for (const driver of DRIVERS)
  test(`${driver}: unpack() stops when the tar grows beyond the limit`, async () => {
    const tar = tarOf(file("zeros", "\0".repeat(5 << 20)));
    expect(await refusal(driver, tar, { maxLayerBytes: 1 << 20 })).toContain("more than 1048576 bytes");
  });

const packers: Readonly<Record<string, (tar: Buffer) => Uint8Array>> = {
  gzip: (tar) => gzipSync(tar),
  zstd: (tar) => zstdCompressSync(tar),
  ...Object.fromEntries(
    ["xz", "bzip2"].filter((tool) => Bun.which(tool)).map((tool) => [tool, (tar: Buffer) => packedBy(tool, tar)]),
  ),
};

for (const [name, packed] of Object.entries(packers))
  test(`stage() stops when the tar of a small ${name} grows beyond the limit, and leaves nothing`, async () => {
    await using folder = await makeFolder();
    const root = join(folder.path, "root");
    const options = { root, runRoot: join(folder.path, "run"), workers, maxLayerBytes: 1 << 20 };
    const blob = join(folder.path, "blob");
    await writeFile(blob, packed(tarOf(file("zeros", "\0".repeat(5 << 20)))));
    const failure = await failureOf(() => new ErofsSnapshotter(options).stage(blob));
    expect(failure).toMatch(/^corrupt: .*more than 1048576 bytes$/);
    expect(await readdir(join(root, "layers"))).toEqual([]);
  });

async function read(tar: Buffer): Promise<TarReader> {
  const reader = await TarReader.open();
  reader.write(tar);
  reader.finish();
  return reader;
}

test("a path of 2,000 directories is as deep as it says, and no deeper", async () => {
  const reader = await read(tarOf(file("x", "", { pax: { path: `${"d/".repeat(2000)}f` } })));
  expect(reader.core.inodes()).toBe(2002);
  expect(erofsOf(reader)).toBeDefined();
  reader.check(reader.core.makeSteps());
});

test("1,000 deep paths end at the memory's limit with a clear error, or fit", async () => {
  const entries = Array.from({ length: 1000 }, (_, i) =>
    file("x", "", { pax: { path: `${i}/${"d/".repeat(2000)}f` } }),
  );
  const reader = await read(tarOf(...entries));
  expect(reader.core.inodes()).toBe(1 + 1000 * 2002);
}, 180_000);

test("memory that runs out is told as such, not as a trap", async () => {
  const reader = await TarReader.open();
  const entries = Array.from({ length: 500 }, (_, i) => file("x", "", { pax: { path: `${i}/${"d/".repeat(2000)}f` } }));
  let thrown: unknown;
  for (let round = 0; round < 40 && thrown === undefined; round++)
    try {
      reader.write(
        tarOf(...entries.map((entry) => ({ ...entry, pax: { path: `${round}-${entry.pax?.path}` } }))).subarray(
          0,
          -1024,
        ),
      );
    } catch (error) {
      thrown = error;
    }
  expect(thrown).toMatchObject({ kind: "internal", message: expect.stringContaining("does not fit in memory") });
}, 180_000);
