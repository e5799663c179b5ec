/** The engine as a stream function: however the tar is cut, the image is the same. What the images mean is judged in test/suite. */

import { expect, test } from "bun:test";
import { file, folder, hardlink, paxBody, symlink, tarOf } from "../../bench/fixture/tar.ts";
import { erofsOf, stepsOf } from "../../src/wasm/erofs.ts";
import { TarReader } from "../../src/wasm/tar.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { randomBytes } from "../suite/content.ts";

await buildWasm();

const LONG = `d/${"long-name-".repeat(20)}`;

/** Every kind of header that carries state from one block to another. */
const TAR = tarOf(
  { name: "g", type: "g", data: paxBody({ comment: "all", mtime: "7.5" }) },
  folder("d/"),
  file("d/plain", "x".repeat(700)),
  file("d/pax", "y", { pax: { path: "d/päx", mtime: "1350244992.023960108", "SCHILY.xattr.user.a": "one\ntwo" } }),
  { name: "././@LongLink", type: "L", data: `${LONG}\0` },
  file(LONG.slice(0, 100), "long"),
  { name: "././@LongLink", type: "K", data: `${LONG}\0` },
  { name: "d/hard", type: "1", link: LONG.slice(0, 100) },
  symlink("d/soft", "/d/plain"),
  hardlink("d/hard2", "d/plain"),
  // pax 1.0: the map "1, 512, 512" in a block before the data
  file("ignored", `${"1\n512\n512\n".padEnd(512, "\0")}${"s".repeat(512)}`, {
    pax: {
      "GNU.sparse.major": "1",
      "GNU.sparse.minor": "0",
      "GNU.sparse.name": "d/sparse",
      "GNU.sparse.realsize": "2048",
    },
  }),
  file("d/.wh.gone"),
  file("d/.wh..wh..opq"),
);

async function read(...pieces: readonly Uint8Array[]): Promise<TarReader> {
  const tar = await TarReader.open();
  for (const piece of pieces) tar.write(piece);
  tar.finish();
  return tar;
}

const imageOf = async (...pieces: readonly Uint8Array[]): Promise<Buffer> => {
  const image = erofsOf(await read(...pieces));
  if (image === undefined) throw new Error("this tar can be indexed");
  return Buffer.from(image);
};

function piecesOf(tar: Buffer, first: number, others: number): readonly Buffer[] {
  const pieces = [tar.subarray(0, first)];
  for (let at = first; at < tar.length; at += others) pieces.push(tar.subarray(at, at + others));
  return pieces;
}

// Every byte of the tar is the first of a piece in one of the rounds. Pieces are less than a block, or hold two whole ones between parts of others.
test.each([61, 1543])(
  "write() gives the same image when the tar is cut anywhere, in pieces of %d bytes",
  async (size) => {
    const whole = await imageOf(TAR);
    for (let first = 1; first <= size; first++) {
      const image = await imageOf(...piecesOf(TAR, first, size));
      if (Buffer.compare(image, whole) !== 0) throw new Error(`another image when the first piece has ${first} bytes`);
    }
  },
  180_000,
);

test("write() gives the same image when the tar comes byte by byte", async () => {
  const bytes = Array.from(TAR, (_, i) => TAR.subarray(i, i + 1));
  expect(Buffer.compare(await imageOf(...bytes), await imageOf(TAR))).toBe(0);
});

test("write() gives the same image when a large tar comes in odd pieces", async () => {
  const files = Array.from({ length: 3000 }, (_, i) =>
    file(`dir${i % 40}/file${i}`, Buffer.from(randomBytes(i % 3000, i + 1)).toString("latin1")),
  );
  const tar = tarOf(...files);
  const whole = await imageOf(tar);
  for (const step of [511, 4097, 1_000_003])
    expect(Buffer.compare(await imageOf(...piecesOf(tar, step, step)), whole)).toBe(0);
});

test("finish() refuses the tar when it ends inside an entry", async () => {
  for (let end = 1; end < TAR.length - 1024; end += end % 512 < 8 || end % 512 > 504 ? 1 : 31) {
    const result = await read(TAR.subarray(0, end)).then(
      () => "taken",
      (error: Error) => error.message,
    );
    // Between two entries, nothing tells.
    if (end % 512 !== 0 || result !== "taken") expect(result).toContain("the tar ends too early");
  }
});

test("finish() takes a tar that ends without its closing blocks", async () => {
  const tar = await read(TAR.subarray(0, TAR.length - 1024));
  expect(tar.core.entries()).toBe(10);
});

test("an image does not depend on the salt, nor on the order of a directory's entries", async () => {
  const names = Array.from({ length: 500 }, (_, i) => `dir/${i}-${"x".repeat(i % 90)}`);
  const tar = (list: readonly string[]): Buffer => tarOf(...list.map((name) => folder(`${name}/`)));
  const image = await imageOf(tar(names));
  expect(Buffer.compare(await imageOf(tar(names)), image)).toBe(0);
  expect(Buffer.compare(await imageOf(tar(names.toReversed())), image)).toBe(0);
});

test("stepsOf() gives the same steps when the tar is cut", async () => {
  const whole = Buffer.from(stepsOf(await read(TAR)));
  expect(Buffer.compare(stepsOf(await read(TAR.subarray(0, 1000), TAR.subarray(1000))), whole)).toBe(0);
});

const LIMITS: readonly (readonly [what: string, limits: Parameters<typeof TarReader.open>[0], message: string])[] = [
  ["entries", { entries: 3 }, "too many entries"],
  ["bytes of a path", { path: 50 }, "the path is too long"],
  ["bytes of a header", { meta: 100 }, "an extended header is too large"],
];

for (const [what, limits, message] of LIMITS)
  test(`write() refuses the tar when it has more ${what} than allowed`, async () => {
    const tar = await TarReader.open(limits);
    expect(() => tar.write(TAR)).toThrow(message);
  });
