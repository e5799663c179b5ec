/** A walk told as a tar or as changes: what the headers say is judged by GNU tar. With real trees: test/suite/tree-tar.test.ts and snapshotter.ts. */

import { expect, test } from "bun:test";
import { enter, leaf, leave, old, recordOf, type WalkRecord } from "../../bench/fixture/walk.ts";
import { failureOf } from "../../src/wasm/fault.ts";
import { type Core, openCore } from "../../src/wasm/module.ts";
import { buildWasm } from "../../wasm/layer.build.ts";

await buildWasm();

type Mode = "tree" | "layer" | "changes";
const MODES: Readonly<Record<Mode, number>> = { tree: 0, layer: 1, changes: 2 };

const check = (core: Core, fault: number): void => {
  if (fault !== 0) throw failureOf(core, fault, (place) => `pack${place}`);
};

/** @param pieces  each given to the engine in one call */
async function packed(mode: Mode, pieces: readonly Uint8Array[], options: { whole?: boolean; except?: string } = {}) {
  const core = await openCore();
  const give = (bytes: Uint8Array): number => {
    new Uint8Array(core.memory.buffer).set(bytes, core.input());
    return bytes.length;
  };
  const outputs: Buffer[] = [];
  const take = () =>
    outputs.push(Buffer.from(Buffer.from(core.memory.buffer, core.packOutput(), core.packOutputBytes())));
  check(core, core.packBegin(MODES[mode], options.whole === true ? 1 : 0, give(Buffer.from(options.except ?? "")), 0));
  for (const piece of pieces) {
    check(core, core.packWrite(give(piece)));
    take();
  }
  check(core, core.packFinish());
  take();
  return Buffer.concat(outputs);
}

const bytesOf = (...records: readonly WalkRecord[]): Buffer => Buffer.concat(records.map(recordOf));

/** The tar that items stand for, files full of zeros. Layout: wasm/tar-item.ts. */
function tarOfItems(items: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < items.length; at += items.readUInt32LE(at)) {
    const end = at + items.readUInt32LE(at);
    const size = Number(items.readBigUInt64LE(at + 8));
    parts.push(items.subarray(end - items.readUInt32LE(at + 4), end), Buffer.alloc((size + 511) & ~511));
  }
  return Buffer.concat(parts);
}

/** Each line as GNU tar prints it: mode owner size date time name. */
async function listed(tar: Uint8Array): Promise<string[]> {
  const options = ["-tv", "--numeric-owner", "--full-time", "--quoting-style=literal"];
  const child = Bun.spawn(["tar", ...options, "-f", "-"], {
    stdin: tar,
    stdout: "pipe",
    env: { TZ: "UTC", LC_ALL: "C" },
  });
  const text = await child.stdout.text();
  expect(await child.exited).toBe(0);
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => line.replaceAll(/ +/g, " "));
}

function changesIn(list: Buffer): string[] {
  const lines: string[] = [];
  for (let at = 0; at < list.length; at += list.readUInt32LE(at))
    lines.push(
      `${"?AMD"[list.readUInt32LE(at + 4)]} ${list.toString("utf8", at + 12, at + 12 + list.readUInt32LE(at + 8))}`,
    );
  return lines;
}

const tree = (...records: readonly WalkRecord[]): Buffer => bytesOf(enter(""), ...records, leave);

test("a tree's headers say what its records say, also what ustar cannot", async () => {
  const long = "l".repeat(200);
  const records = tree(
    leaf("big-id", { uid: 4_000_000_000, gid: 0o7777777 + 1, mtime: 1, mtimeNs: 5 }),
    leaf("block", { mode: 0o60640, rdev: [259, 1_048_575] }),
    leaf("old", { mtime: -2, mode: 0o104755 }),
    leaf("late", { mtime: 8_589_934_592 }),
    enter(long),
    enter(long),
    leaf("x".repeat(100), { mode: 0o120777, target: long }),
    leave,
    leave,
    leaf("pipe", { mode: 0o10600 }),
    leaf("socket", { mode: 0o140755 }),
    leaf("whiteout", { mode: 0o20000 }),
    leaf("z1", { inode: 7, links: 2, size: 3 }),
    leaf("z2", { inode: 7, links: 2, size: 3 }),
    leaf("z3", { inode: 7, links: 2, size: 3, device: [8, 2] }),
  );
  expect(await listed(tarOfItems(await packed("tree", [records])))).toEqual([
    "-rw-r--r-- 4000000000/2097152 0 1970-01-01 00:00:01.000000005 big-id",
    "brw-r----- 0/0 259,1048575 1970-01-01 00:00:00 block",
    "-rwsr-xr-x 0/0 0 1969-12-31 23:59:58 old",
    "-rw-r--r-- 0/0 0 2242-03-16 12:56:32 late",
    `drwxr-xr-x 0/0 0 1970-01-01 00:00:00 ${long}/`,
    `drwxr-xr-x 0/0 0 1970-01-01 00:00:00 ${long}/${long}/`,
    `lrwxrwxrwx 0/0 0 1970-01-01 00:00:00 ${long}/${long}/${"x".repeat(100)} -> ${long}`,
    "prw------- 0/0 0 1970-01-01 00:00:00 pipe",
    "-rw-r--r-- 0/0 3 1970-01-01 00:00:00 z1",
    "hrw-r--r-- 0/0 0 1970-01-01 00:00:00 z2 link to z1",
    "-rw-r--r-- 0/0 3 1970-01-01 00:00:00 z3",
  ]);
});

test("a size beyond ustar's is told in a pax header", async () => {
  const items = await packed("tree", [tree(leaf("huge", { size: 9_000_000_000_000 }))]);
  expect(items.includes("22 size=9000000000000\n")).toBe(true);
});

test("a time before 1970 counts away from it, as GNU tar writes it", async () => {
  for (const [mtime, mtimeNs, text] of [
    [-2, 500_000_000, "mtime=-1.500000000"],
    [-1, 999_999_999, "mtime=-0.000000001"],
    [-1, 0, "mtime=-1"],
  ] as const)
    expect((await packed("tree", [tree(leaf("f", { mtime, mtimeNs }))])).toString("latin1")).toContain(` ${text}\n`);
});

test("xattrs are sorted, those of the machine left out, and binary values kept", async () => {
  const xattrs = {
    "user.b": "2",
    "security.selinux": "x",
    "user.a": "1\n\0=",
    "trusted.x": "t",
    "user.a=b": "?",
    "user.": "",
  };
  const items = await packed("tree", [tree(leaf("f", { xattrs: { ...xattrs, "security.capability": "cap" } }))]);
  const records = [...items.toString("latin1").matchAll(/\d+ (SCHILY\.xattr\.[^=]+)=/g)].map(([, key]) => key);
  expect(records).toEqual(["security.capability", "user.a", "user.b"].map((name) => `SCHILY.xattr.${name}`));
  expect(items.includes("28 SCHILY.xattr.user.a=1\n\0=\n")).toBe(true);
});

/** A base with a, d/{old,same}, gone, and what an overlay's upper directory says on top of it. */
const UPPER = [
  old("a", { size: 1 }),
  leaf("a", { size: 2 }),
  old("d", { mode: 0o40755 }),
  enter("d"),
  old("old"),
  leaf("old", { mode: 0o20000 }),
  leaf("nothing", { mode: 0o20000 }),
  old("same", { mtime: 5 }),
  leaf("same", { mtime: 5 }),
  leave,
  old("e", { mode: 0o40700 }),
  enter("e", { mode: 0o40700 }),
  enter("made"),
  enter("point"),
  leave,
  leave,
  leave,
  old("opaque", { mode: 0o40755 }),
  enter("opaque", { opaque: true }),
  old("hidden", { alone: true }),
  old("kept", { mode: 0o40755 }),
  enter("kept"),
  leave,
  leave,
  enter("pure", { opaque: true }),
  leave,
  old("was", { mode: 0o40755 }),
  leaf("was"),
];

test("a layer has what differs, and whiteouts for what is gone", async () => {
  const except = "e/made/point\0";
  const names = (await listed(tarOfItems(await packed("layer", [tree(...UPPER)], { except })))).map((line) =>
    line.split(" ").slice(5).join(" "),
  );
  expect(names).toEqual([
    "a",
    "d/",
    "d/.wh.old",
    "d/same", // it may have been written to, and its times set back
    "opaque/",
    "opaque/.wh..wh..opq",
    "opaque/kept/",
    "pure/",
    "was",
  ]);
});

test("changes are told in order, a directory before what changed in it", async () => {
  const except = "e/made/point\0";
  expect(changesIn(await packed("changes", [tree(...UPPER)], { except }))).toEqual([
    "M /a",
    "M /d",
    "D /d/old",
    "M /opaque",
    "D /opaque/hidden",
    "A /pure",
    "M /was",
  ]);
  expect(changesIn(await packed("changes", [tree(...UPPER)])).filter((line) => line.includes("/e"))).toEqual([
    "M /e",
    "A /e/made",
    "A /e/made/point",
  ]);
});

test("of two whole trees, a layer has what differs", async () => {
  const records = tree(
    old("d", { mode: 0o40755 }),
    enter("d"),
    old("gone", { alone: true }),
    old("same", { mtime: 5, size: 9 }),
    leaf("same", { mtime: 5, size: 9 }),
    old("touched", { mtime: 5 }),
    leaf("touched", { mtime: 6 }),
    old("xattr", { xattrs: { "user.a": "1" } }),
    leaf("xattr", { xattrs: { "user.a": "2" } }),
    leave,
    old("quiet", { mode: 0o40755, mtime: 1 }),
    enter("quiet", { mtime: 2 }),
    leave,
  );
  const names = async (mode: Mode) => await packed(mode, [records], { whole: true });
  expect(changesIn(await names("changes"))).toEqual(["M /d", "D /d/gone", "M /d/touched", "M /d/xattr"]);
  expect((await listed(tarOfItems(await names("layer")))).map((line) => line.split(" ").at(-1))).toEqual([
    "d/",
    "d/.wh.gone",
    "d/touched",
    "d/xattr",
  ]);
});

for (const mode of ["tree", "layer", "changes"] as const)
  test(`the output is the same however the records are handed over, mode ${mode}`, async () => {
    const records = [enter(""), ...UPPER, leave].map(recordOf);
    // What the base has and the entry of that name go together.
    const waits = (record: Buffer | undefined) => record?.readUInt8(4) === 4 && record.readUInt8(5) === 0;
    const units = records.flatMap((record, i) => {
      if (waits(record)) return [];
      const before = records[i - 1];
      return [before && waits(before) ? Buffer.concat([before, record]) : record];
    });
    const whole = await packed(mode, [Buffer.concat(records)]);
    expect(Buffer.compare(await packed(mode, units), whole)).toBe(0);
  });

/** A record, damaged. */
function damaged(damage: (record: Buffer) => void): Buffer {
  const record = recordOf(enter(""));
  damage(record);
  return record;
}

const BAD: readonly (readonly [what: string, bytes: Uint8Array])[] = [
  ["a record is cut short", recordOf(enter("")).subarray(0, 40)],
  ["a record says that it is longer than it is", Buffer.concat([recordOf(enter("")), Buffer.from([0xff, 0xff, 0, 0])])],
  ["a name reaches beyond its record", damaged((record) => record.writeUInt16LE(65535, 6))],
  ["an xattr reaches beyond its record", damaged((record) => record.writeUInt32LE(9, 72))],
  ["a directory is left that was not entered", recordOf(leave)],
  ["a record is of no kind", damaged((record) => record.writeUInt8(9, 4))],
];

for (const [what, bytes] of BAD)
  test(`packWrite() says that the walk is out of order when ${what}`, async () => {
    await expect(packed("tree", [bytes])).rejects.toThrow("the walk of its tree is out of order");
  });

test("packFinish() says that the walk is out of order when directories are open", async () => {
  await expect(packed("tree", [recordOf(enter(""))])).rejects.toThrow("out of order");
});

test("a path that is too long, and a name that would be a whiteout, are refused by name", async () => {
  const deep = Array.from({ length: 20 }, () => enter("d".repeat(250)));
  await expect(packed("tree", [bytesOf(enter(""), ...deep)])).rejects.toThrow("the path is too long");
  await expect(packed("layer", [tree(enter("d"), leaf(".wh.x"), leave)])).rejects.toThrow(
    'pack at "d/.wh.x": its name starts with .wh.',
  );
  expect((await packed("tree", [tree(leaf(".wh.x"))])).length).toBeGreaterThan(0);
});

test("directories in great number and depth wait without being forgotten", async () => {
  const deep = Array.from({ length: 1000 }, (_, i) => [old(`${i % 10}`, { mode: 0o40755 }), enter(`${i % 10}`)]).flat();
  const records = tree(...deep, leaf("x"), ...deep.filter(({ kind }) => kind === "enter").map(() => leave));
  const lines = changesIn(await packed("changes", [records]));
  expect(lines.length).toBe(1001);
  expect(lines.at(-1)).toMatch(/^A (\/\d){1000}\/x$/);
});
