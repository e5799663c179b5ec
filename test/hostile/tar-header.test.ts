/** Headers that lie, and numbers that overflow. */

import { expect, test } from "bun:test";
import { file, paxBody, type TarEntry, tarOf } from "../../bench/fixture/tar.ts";
import { INEXPRESSIBLE } from "../../src/wasm/fault.ts";
import { TarReader } from "../../src/wasm/tar.ts";
import { refusal } from "../support/hostile.ts";

const BASE_256 = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);
const raw = (offset: number, bytes: string | Uint8Array): Partial<TarEntry> => ({ raw: [[offset, bytes]] });
const pax = (records: Record<string, string>) => tarOf(file("f", "", { pax: records }));
const body = (data: string) => tarOf({ name: "x", type: "x", data }, file("f"));

const CASES: readonly (readonly [what: string, tar: Buffer, message: string])[] = [
  ["a wrong checksum", tarOf(file("f", "", { checksumError: 1 })), "a header's checksum is wrong"],
  ["no checksum", tarOf(file("f", "", { checksumError: -100_000 })), "a header's checksum is wrong"],
  ["a size that is no number", tarOf(file("f", "", raw(124, "00000000x00\0"))), "a number is malformed"],
  ["a mode that is no number", tarOf(file("f", "", raw(100, "000rwx0\0"))), "a number is malformed"],
  ["a negative size", tarOf(file("f", "", raw(124, BASE_256(0xff, ...Array(11).fill(0xff))))), "a number is malformed"],
  ["a size of 2^90", tarOf(file("f", "", raw(124, BASE_256(0x84, ...Array(11).fill(0))))), "a number is malformed"],
  [
    "a size of 2^63",
    tarOf(file("f", "", raw(124, BASE_256(0x80, 0, 0, 0, 0x80, ...Array(7).fill(0))))),
    "a number is malformed",
  ],
  ["an owner of 2^32 - 1, which chown takes for none", pax({ uid: "4294967295" }), "a number is malformed"],
  ["a negative owner", pax({ gid: "-1" }), "a number is malformed"],
  ["a pax size that is no number", pax({ size: "1x" }), "a number is malformed"],
  ["a pax size of 10^30", pax({ size: `1${"0".repeat(30)}` }), "a number is malformed"],
  ["a pax time that is no number", pax({ mtime: "1.5.5" }), "a number is malformed"],
  ["a file longer than the tar", tarOf(file("f", "short", { size: 1 << 30 })), "the tar ends too early"],
  ["a pax record without a newline", body("9 path=ab"), "an extended header is malformed"],
  ["a pax record without a length", body("path=a\n"), "an extended header is malformed"],
  ["a pax record longer than its header", body("99 path=a\n"), "an extended header is malformed"],
  ["a pax record of length 0", body("0 path=a\n"), "an extended header is malformed"],
  ["a pax record of length 2^32 + 10", body("4294967306 path=a\n"), "an extended header is malformed"],
  ["a pax record without a value", body("8 path\nx\n"), "an extended header is malformed"],
  [
    "a pax header of 2 MiB",
    tarOf({ name: "x", type: "x", data: "x".repeat(2 << 20) }),
    "an extended header is too large",
  ],
  [
    "a long name of 2 MiB",
    tarOf({ name: "L", type: "L", data: "x".repeat(2 << 20) }),
    "an extended header is too large",
  ],
  ["a long name of 5000 bytes", pax({ path: "x/".repeat(2500) }), "the path is too long"],
  ["a name of 256 bytes", pax({ path: "x".repeat(256) }), "a name is longer than 255 bytes or has a NUL"],
  ["a name with a NUL", pax({ path: "a\0b" }), "a name is longer than 255 bytes or has a NUL"],
  ["a symlink to nothing", tarOf({ name: "s", type: "2", link: "" }), "its link leads nowhere"],
  [
    "a symlink with a NUL",
    tarOf({ name: "s", type: "2", link: "x", pax: { linkpath: "a\0b" } }),
    "its link leads nowhere",
  ],
  ["an attribute of 64 KiB", pax({ "SCHILY.xattr.user.x": "x".repeat(65536) }), "too large extended attributes"],
  [
    "an attribute whose name has 300 bytes",
    pax({ [`SCHILY.xattr.user.${"x".repeat(300)}`]: "" }),
    "too large extended attributes",
  ],
  ["an attribute that is not base64", pax({ "LIBARCHIVE.xattr.user.x": "***" }), "an extended header is malformed"],
  ["an unknown type", tarOf({ name: "f", type: "M" }), "its type is unknown"],
  [
    "a header for nothing",
    tarOf({ name: "x", type: "x", data: paxBody({ path: "f" }) }).subarray(0, -1024),
    "the tar ends too early",
  ],
];

for (const [what, tar, message] of CASES)
  test(`unpack() refuses ${what}`, async () => {
    expect(await refusal("erofs", tar)).toContain(message);
  });

test("unpack() takes base-256 numbers and old, signed checksums", async () => {
  const tar = await TarReader.open();
  // 0xff in a signed sum is -1: 256 less than in an unsigned one.
  tar.write(tarOf(file("f", "", { ...raw(108, BASE_256(0x80, 0, 0, 0, 0x0f, 0xff, 0xff, 0xfe)), checksumError: 0 })));
  tar.finish();
  const signed = await TarReader.open();
  signed.write(
    tarOf(
      file(Buffer.from([0xff, 0xfe]).toString("latin1"), "", { name: Uint8Array.of(0xff, 0xfe), checksumError: -512 }),
    ),
  );
  signed.finish();
  expect(signed.core.entries()).toBe(1);
});

test("the engine survives random damage anywhere in a tar: it refuses or takes, and never traps", async () => {
  const good = tarOf(
    file("d/f", "x".repeat(600), { pax: { "SCHILY.xattr.user.a": "b", mtime: "1.5" } }),
    {
      name: "sparse",
      type: "S",
      data: "x".repeat(512),
      raw: [
        [386, "00000000000\x0000000001000\0"],
        [483, "00000002000\0"],
      ],
    },
    { name: "g", type: "g", data: paxBody({ comment: "c" }) },
    file("d/.wh.x"),
    { name: "h", type: "1", link: "d/f" },
  );
  let seed = 12345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  let taken = 0;
  for (let round = 0; round < 3000; round++) {
    const tar = Buffer.from(good);
    for (let i = 0; i <= round % 4; i++) tar[random(tar.length)] = random(256);
    // Half of them with right checksums, so that the damage is looked at.
    if (round % 2 === 0) for (let at = 0; at < tar.length; at += 512) repairChecksum(tar.subarray(at, at + 512));
    const reader = await TarReader.open();
    try {
      reader.write(tar);
      reader.finish();
      const fault = reader.core.makeErofs();
      if (fault !== INEXPRESSIBLE) reader.check(fault);
      reader.check(reader.core.makeSteps());
      taken++;
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith("Cannot read tar")) throw error;
    }
  }
  expect(taken).toBeGreaterThan(100);
  expect(taken).toBeLessThan(3000);
}, 180_000);

function repairChecksum(block: Buffer): void {
  if (block.toString("latin1", 257, 262) !== "ustar") return;
  block.fill(" ", 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
}
