/** The json-file log, judged by JSON.parse and by Docker's rules. */

import { expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import * as op from "../../src/runtime/ops.ts";
import { type Box, makeBox } from "../support/box.ts";
import { makeSmallDisk } from "../support/small-disk.ts";

interface Entry {
  readonly log: string;
  readonly stream: string;
  readonly time: string;
}

const linesOf = (path: string): string[] => readFileSync(path, "utf8").split("\n").slice(0, -1);
const entriesOf = (path: string): Entry[] => linesOf(path).map((line) => JSON.parse(line));

/** Logs what `script` prints. `/in` in the container is `input`. */
async function logged(box: Box, script: string, options: op.LogOptions = {}, input = Buffer.alloc(0)): Promise<string> {
  const path = `${box.path}/json.log`;
  writeFileSync(`${box.root}/in`, input);
  await box.run(script, { before: [op.log(path, options)] });
  return path;
}

test.each<op.LogOptions>([{}, { maxSize: 40_000, maxFile: 3 }])(
  "a disk that is full loses whole entries, and takes more when it can (%p)",
  async (options) => {
    await using box = await makeBox();
    await using disk = await makeSmallDisk(4 << 20);
    const path = `${disk.path}/json.log`;
    disk.fill(150_000);
    const script = "i=0; while [ $i -lt 4000 ]; do i=$((i+1)); echo $i some text to make it longer; done";
    const run = () => box.run(script, { before: [op.log(path, options)] });
    await run();
    const first = entriesOf(path);
    disk.clear();
    await run();
    const both = [3, 2, 1].flatMap((number) => (existsSync(`${path}.${number}`) ? entriesOf(`${path}.${number}`) : []));
    const numbers = [...both, ...entriesOf(path)].map(({ log }) => Number(log.split(" ")[0]));
    expect(numbers.at(-1)).toBe(4000);
    expect(readFileSync(path, "utf8")).toEndWith('Z"}\n');
    if (options.maxSize === undefined) {
      expect(first.length).toBeWithin(100, 3999);
      const early = numbers.slice(0, first.length);
      expect(early).toEqual(early.toSorted((one, other) => one - other)); // what is lost is lost in between
      expect(numbers.slice(first.length)).toEqual(Array.from({ length: 4000 }, (_, index) => index + 1));
    }
  },
);

test("entries have text, stream and time, in Docker's order and spelling", async () => {
  await using box = await makeBox();
  const path = await logged(box, "echo out; echo err >&2; echo 'a\"b\\'");
  const text = readFileSync(path, "utf8");
  const lines = text.replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z/g, "TIME").split("\n");
  const of = (stream: string) => lines.filter((line) => line.includes(stream)); // in no order with the other's
  expect(of("stdout")).toEqual([
    '{"log":"out\\n","stream":"stdout","time":"TIME"}',
    '{"log":"a\\"b\\\\\\n","stream":"stdout","time":"TIME"}',
  ]);
  expect(of("stderr")).toEqual(['{"log":"err\\n","stream":"stderr","time":"TIME"}']);
  expect([lines.length, lines.at(-1)]).toEqual([4, ""]);
  for (const { time } of entriesOf(path)) expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(60_000);
});

test.each([
  ["quotes and backslashes", Buffer.from('"\\'), '\\"\\\\'],
  ["HTML's characters", Buffer.from("<&>"), "\\u003c\\u0026\\u003e"],
  ["control characters", Buffer.from("\x00\x01\t\r\x1f\x7f"), "\\u0000\\u0001\\u0009\\r\\u001f\x7f"],
  ["UTF-8 as it is", Buffer.from("äß€😀\u07ff\ud7ff\ue000\u{10ffff}"), "äß€😀\u07ff\ud7ff\ue000\u{10ffff}"],
  ["line separators", Buffer.from("\u2028\u2029\u202a"), "\\u2028\\u2029\u202a"],
  ["stray bytes", Buffer.from([0x80, 0xff, 0xfe, 0xc0, 0xc1]), "\\ufffd".repeat(5)],
  ["a sequence cut short", Buffer.from([0xe2, 0x82, 0x41]), "\\ufffd\\ufffdA"],
  ["overlong forms", Buffer.from([0xc0, 0xaf, 0xe0, 0x80, 0xaf]), "\\ufffd".repeat(5)],
  ["surrogates", Buffer.from([0xed, 0xa0, 0x80]), "\\ufffd".repeat(3)],
  ["what is past Unicode", Buffer.from([0xf4, 0x90, 0x80, 0x80, 0xf5]), "\\ufffd".repeat(5)],
])("entries escape %s as Go does", async (_, input, want) => {
  await using box = await makeBox();
  const path = await logged(box, "busybox cat /in", {}, input);
  expect(readFileSync(path, "utf8")).toStartWith(`{"log":"${want}","stream":"stdout",`);
});

test("entries escape what has to be at any place of a line, and nothing else", async () => {
  await using box = await makeBox();
  const odd = ['"', "\\", "<", ">", "&", "\x00", "\x1f", "\x7f", "ä", "€", "\u2028", "\u{10ffff}", "\ufffd"];
  const lines = odd.flatMap((one) =>
    Array.from({ length: 36 }, (_, at) => `${"p".repeat(at)}${one}${"s".repeat((at * 7) % 36)}\n`),
  );
  const path = await logged(box, "busybox cat /in", {}, Buffer.from(lines.join("")));
  expect(entriesOf(path).map(({ log }) => log)).toEqual(lines);
  const escaped = readFileSync(path, "utf8").match(/\\(u[0-9a-f]{4}|["\\])/g) ?? [];
  expect(escaped.length).toBe(36 * 8); // of the odd ones, those that Go escapes
});

test("entries of random bytes say what a UTF-8 decoder says", async () => {
  await using box = await makeBox();
  const input = Buffer.from(crypto.getRandomValues(new Uint8Array(60_000)));
  const path = await logged(box, "busybox cat /in", {}, input);
  // A decoder may count a cut sequence as one replacement; Go counts its bytes. What is valid must be equal.
  const valid = (text: string) => text.replaceAll("\ufffd", "");
  const lines = Buffer.from(
    entriesOf(path)
      .map(({ log }) => log)
      .join(""),
  );
  expect(valid(lines.toString())).toBe(valid(input.toString()));
});

test("a line of more than 16 KiB comes in parts that share a time", async () => {
  await using box = await makeBox();
  const input = Buffer.from(`${"x".repeat(40_000)}\nshort\n`);
  const entries = entriesOf(await logged(box, "busybox cat /in", {}, input));
  expect(entries.map(({ log }) => log.length)).toEqual([16384, 16384, 7233, 6]);
  expect(entries.map(({ log }) => log.endsWith("\n"))).toEqual([false, false, true, true]);
  expect(new Set(entries.slice(0, 3).map(({ time }) => time)).size).toBe(1);
});

test.each([16383, 16384, 16385, 32768])("a line of %d bytes loses nothing", async (size) => {
  await using box = await makeBox();
  const input = Buffer.from(`${"y".repeat(size)}\nend`);
  const entries = entriesOf(await logged(box, "busybox cat /in", {}, input));
  expect(entries.map(({ log }) => log).join("")).toBe(input.toString());
  expect(Math.max(...entries.map(({ log }) => log.length))).toBeLessThanOrEqual(16384);
  expect(entries.at(-1)?.log).toBe("end");
});

test("a line that arrives in pieces is one entry", async () => {
  await using box = await makeBox();
  const script = "busybox printf a; echo e >&2; busybox sleep 0.02; busybox printf b; busybox sleep 0.02; echo c";
  const entries = entriesOf(await logged(box, script));
  expect(entries.map(({ log, stream }) => `${stream} ${log}`)).toEqual(["stderr e\n", "stdout abc\n"]);
});

test("everything that was printed is in the log", async () => {
  await using box = await makeBox();
  const entries = entriesOf(await logged(box, "busybox seq 100000"));
  expect(entries.length).toBe(100_000);
  expect(entries.every(({ log }, index) => log === `${index + 1}\n`)).toBe(true);
});

test("a log of limited size is rotated, and keeps so many files", async () => {
  await using box = await makeBox();
  const path = await logged(box, "busybox seq 1000", { maxSize: 10_000, maxFile: 3 });
  const files = [`${path}.2`, `${path}.1`, path];
  const numbers = files.flatMap((file) => entriesOf(file).map(({ log }) => Number(log)));
  expect(numbers.at(-1)).toBe(1000);
  expect(numbers.every((number, index) => index === 0 || number === (numbers[index - 1] ?? 0) + 1)).toBe(true);
  for (const file of files.slice(0, 2)) expect(readFileSync(file).length).toBeWithin(10_000, 10_200);
  expect(() => readFileSync(`${path}.3`)).toThrow("ENOENT");
});

test("a log of one file is begun anew when it is full", async () => {
  await using box = await makeBox();
  const path = await logged(box, "busybox seq 1000", { maxSize: 10_000, maxFile: 1 });
  expect(entriesOf(path).at(-1)?.log).toBe("1000\n");
  expect(readFileSync(path).length).toBeLessThan(10_200);
  expect(() => readFileSync(`${path}.1`)).toThrow("ENOENT");
});

test("a log that exists is continued, and counts for the size", async () => {
  await using box = await makeBox();
  await logged(box, "echo first");
  expect(entriesOf(await logged(box, "echo second")).map(({ log }) => log)).toEqual(["first\n", "second\n"]);
});

test("attributes are in every entry", async () => {
  await using box = await makeBox();
  const path = await logged(box, "echo x", { attributes: { tag: 'a"b' } });
  expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({ log: "x\n", attrs: { tag: 'a"b' } });
});
