/** Sparse maps that lie, and files that are larger than any disk. */

import { expect, test } from "bun:test";
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { file, layerOf, type TarEntry, tarOf } from "../../bench/fixture/tar.ts";
import { DRIVERS, refusal, withLayers } from "../support/hostile.ts";

const map = (text: string, data: string, realsize: number | string, name = "s"): TarEntry =>
  file("x", `${text.padEnd(Math.ceil(text.length / 512) * 512, "\0")}${data}`, {
    pax: {
      "GNU.sparse.major": "1",
      "GNU.sparse.minor": "0",
      "GNU.sparse.name": name,
      "GNU.sparse.realsize": String(realsize),
    },
  });
const DATA = "d".repeat(512);

const CASES: readonly (readonly [what: string, entry: TarEntry])[] = [
  ["pieces overlap", map("2\n0\n512\n256\n256\n", `${DATA}${"d".repeat(256)}`, 4096)],
  ["pieces go backwards", map("2\n1024\n512\n0\n512\n", DATA + DATA, 4096)],
  ["a piece ends after the file", map("1\n512\n512\n", DATA, 1000)],
  ["a piece wraps around", map("1\n9007199254740991\n512\n", DATA, 4096)],
  ["the pieces have more data than the tar", map("1\n0\n1024\n", DATA, 4096)],
  ["the pieces have less data than the tar", map("1\n0\n256\n", DATA, 4096)],
  ["the map is no number", map("x\n0\n512\n", DATA, 4096)],
  ["the map has 10^9 pieces", map("1000000000\n", DATA, 4096)],
  ["a number of the map has 30 digits", map(`1\n${"9".repeat(30)}\n512\n`, DATA, 4096)],
  ["the map does not end", map("5\n0\n512\n", "", 4096)],
  ["the real size is negative", map("0\n", "", -1)],
  [
    "the old map is no number",
    {
      name: "s",
      type: "S",
      data: DATA,
      raw: [
        [386, "zzz"],
        [483, "00000002000\0"],
      ],
    },
  ],
  [
    "the old real size is smaller than its pieces",
    { name: "s", type: "S", data: DATA, raw: [[386, "00000000000\x0000000001000\0"]] },
  ],
  [
    "an old map goes on and on",
    {
      name: "s",
      type: "S",
      data: "",
      raw: [
        [482, "\x01"],
        [483, "00000002000\0"],
      ],
    },
  ],
  [
    "numbers do not come in pairs",
    file("s", DATA, { pax: { "GNU.sparse.map": "0,512,1024", "GNU.sparse.size": "4096" } }),
  ],
];

for (const driver of DRIVERS) {
  for (const [what, entry] of CASES)
    test(`${driver}: unpack() refuses a sparse file when ${what}`, async () => {
      expect(await refusal(driver, tarOf(entry, file("after")))).toMatch(
        /sparse map is malformed|number is malformed|ends too early|checksum/,
      );
    });

  test(`${driver}: a sparse file's holes are zeros, and its pieces where the map says`, async () => {
    const tar = tarOf(map("2\n512\n512\n2048\n100\n", `${DATA}${"e".repeat(100)}`, 3000), file("after", "after"));
    await withLayers(driver, [layerOf(tar)], async ({ path, indexed }) => {
      const bytes = Buffer.alloc(3000);
      bytes.write(DATA, 512);
      bytes.write("e".repeat(100), 2048);
      // The last piece ends inside a block and inside the file: EROFS cannot say that, and the layer is a directory.
      expect(indexed).toBe(false);
      expect(Buffer.compare(await Bun.file(join(path, "s")).bytes(), bytes)).toBe(0);
      expect(await Bun.file(join(path, "after")).text()).toBe("after");
    });
  });

  test(`${driver}: a file of 1 TiB with one block costs next to nothing`, async () => {
    const size = 2 ** 40;
    const tar = tarOf(map(`1\n${size - 2 ** 20}\n512\n`, DATA, size));
    await withLayers(driver, [layerOf(tar)], async ({ path }) => {
      expect((await lstat(join(path, "s"))).size).toBe(size);
      const tail = Bun.file(join(path, "s")).slice(size - 2 ** 20, size - 2 ** 20 + 513);
      expect(await tail.text()).toBe(`${DATA}\0`);
    });
  });
}

test("erofs: a sparse file cut at blocks is indexed, not unpacked", async () => {
  const tar = tarOf(map("1\n512\n512\n", DATA, 2048));
  await withLayers("erofs", [layerOf(tar)], async ({ path, indexed }) => {
    expect(indexed).toBe(true);
    expect(Buffer.from(await Bun.file(join(path, "s")).bytes()).toString()).toBe(
      `${"\0".repeat(512)}${DATA}${"\0".repeat(1024)}`,
    );
  });
});
