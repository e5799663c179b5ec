import { expect, test } from "bun:test";
import { startOf } from "../../../src/base/processes.ts";
import * as op from "../../../src/runtime/ops.ts";
import { encodePlan, parseExit, parsePid, parseReport, planError } from "../../../src/runtime/protocol.ts";

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

test("encodePlan() writes name, count and arguments, and ends with an empty name", () => {
  const plan = [op.session(), op.env(["A=b c", ""]), op.exec("sh", "-c", "ü")];
  expect(text(encodePlan(plan))).toBe("session\x000\0env\x002\0A=b c\0\0exec\x003\0sh\0-c\0ü\0\0");
});

test("encodePlan() refuses a NUL, which would begin another word", () => {
  expect(() => encodePlan([op.hostname("a\0exec")])).toThrow("invalid argument of hostname: it has a NUL byte");
});

test.each([
  [op.stdio("pipe", { stdin: true, once: true }), ["stdio", "pipe", "1", "1"]],
  [op.stdio("null"), ["stdio", "null", "0", "0"]],
  [op.log("/l"), ["log", "/l", "0", "1"]],
  [
    op.log("/l", { maxSize: 10, maxFile: 3, attributes: { a: 'b"' } }),
    ["log", "/l", "10", "3", '"attrs":{"a":"b\\""},'],
  ],
  [op.clone(op.CLONE.newNs | op.CLONE.newNet), ["clone", "1073872896"]],
  [op.overlay("/t", { lower: ["/a", "/b"] }), ["overlay", "/t", "", "", "/a", "/b"]],
  [op.bind("/a", "/b", { flags: op.MS.rec, recursive: op.MS.rdonly }), ["bind", "/a", "/b", "16384", "1", "1"]],
  [op.mknod("/dev/x", { mode: op.S_IF.chr | 0o666, major: 1, minor: 3 }), "mknod /dev/x 8630 1 3 0 0".split(" ")],
  [op.rlimit(op.RLIMIT.nofile, 1024, op.UNLIMITED), ["rlimit", "7", "1024", "18446744073709551615"]],
  [op.oomScore(-500), ["oom-score", "-500"]],
  [
    op.caps({ bounding: 0x1ffffffffffn, effective: 1n, permitted: 1n, inheritable: 0n, ambient: 0n }),
    ["caps", "1ffffffffff", "1", "1", "0", "0"],
  ],
  [op.seccomp(Uint8Array.of(6, 0, 0, 255)), ["seccomp", "0", "060000ff"]],
])("operation %# is made of the right words", (made, words) => {
  expect<readonly string[]>(made).toEqual(words);
});

test("operations refuse numbers that are none", () => {
  expect(() => op.clone(-1)).toThrow(RangeError);
  expect(() => op.umask(0.5)).toThrow(RangeError);
});

test("parseReport() reads every report", () => {
  expect(parseReport("ready 12")).toEqual({ type: "ready", pid: 12 });
  expect(parseReport("started")).toEqual({ type: "started" });
  expect(parseReport("done")).toEqual({ type: "done" });
  expect(parseReport("fail 3 2 ")).toEqual({ type: "fail", index: 3, errno: 2, detail: "" });
  expect(parseReport("fail 3 22 two\nlines")).toEqual({ type: "fail", index: 3, errno: 22, detail: "two\nlines" });
  expect(() => parseReport("hello")).toThrow("Cannot read the shim's report");
});

test.each([
  [op.exec("x"), 2, "executable file not found in $PATH", 'exec: "x": executable file not found in $PATH'],
  [op.exec("/etc"), 21, "", 'exec: "/etc": is a directory'],
  [op.user("x"), 22, "unable to find user x", "unable to find user x"],
  [op.mount("tmpfs", "tmpfs", "/run"), 22, "bad", "Cannot mount tmpfs at /run: invalid argument (bad)"],
  [op.bind("/a", "/b"), 2, "", "Cannot bind /a to /b: no such file or directory"],
  [op.session(), 1, "", "Cannot session: operation not permitted"],
])("planError() of %j says what failed", (failed, errno, detail, message) => {
  const error = planError([op.hostname("a"), failed], { index: 1, errno, detail });
  expect(error.message).toBe(message);
  expect(error.op).toBe(failed);
});

test("parseExit() reads code, signal and time", () => {
  expect(parseExit("3 0 1700000000 250999999\n")).toEqual({ code: 3, at: new Date(1700000000250) });
  expect(parseExit("143 15 1 0")).toEqual({ code: 143, signal: 15, at: new Date(1000) });
  expect(parseExit("")).toBeUndefined();
  expect(parseExit("3 0")).toBeUndefined();
});

test("parsePid() and startOf() name a process for good", () => {
  expect(parsePid("42 1234\n")).toEqual({ pid: 42, start: "1234" });
  expect(parsePid("x")).toBeUndefined();
  const stat = `42 (a) b) S ${Array.from({ length: 40 }, (_, index) => index + 4).join(" ")}`;
  expect(startOf(stat)).toBe("22");
});
