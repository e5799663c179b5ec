/** Small blobs that would become large, and tars that would take for ever. */

import { expect, test } from "bun:test";
import { erofsOf } from "../../src/wasm/erofs.ts";
import { TarReader } from "../../src/wasm/tar.ts";
import { DRIVERS, refusal } from "../support/hostile.ts";
import { file, tarOf } from "../support/tar.ts";

for (const driver of DRIVERS)
  test(`${driver}: unpack() stops when the tar grows beyond the limit`, async () => {
    const tar = tarOf(file("zeros", "\0".repeat(5 << 20)));
    expect(await refusal(driver, tar, { maxLayerBytes: 1 << 20 })).toContain("more than 1048576 bytes");
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
}, 20_000);

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
}, 60_000);
