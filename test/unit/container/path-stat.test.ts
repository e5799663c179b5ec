/** Paths of copies and modes as Go has them, as tables. */

import { expect, test } from "bun:test";
import { goMode, parseCopyPath } from "../../../src/container/path-stat.ts";

test.each<[given: string, clean: string, directory: boolean, base: string]>([
  ["/a/b", "/a/b", false, "b"],
  ["a/b", "/a/b", false, "b"],
  ["/a/b/", "/a/b", true, "b"],
  ["/a/b/.", "/a/b", true, "."],
  ["/a/../../b", "/b", false, "b"],
  ["/", "/", true, "/"],
  [".", "/", true, "."],
  ["/a/b.", "/a/b.", false, "b."],
])("parseCopyPath(%p)", (given, clean, directory, base) => {
  expect(parseCopyPath(given)).toEqual({ given, clean, directory, base });
});

// Judged by Go's documentation of io/fs: ModeDir 1<<31, ModeSymlink 1<<27, ModeDevice 1<<26, ModeNamedPipe 1<<25, ModeSocket 1<<24,
// ModeSetuid 1<<23, ModeSetgid 1<<22, ModeCharDevice 1<<21, ModeSticky 1<<20.
test.each<[kernel: string, go: number]>([
  ["100644", 0o644],
  ["104755", 2 ** 23 + 0o755],
  ["102755", 2 ** 22 + 0o755],
  ["040755", 2 ** 31 + 0o755],
  ["041777", 2 ** 31 + 2 ** 20 + 0o777],
  ["120777", 2 ** 27 + 0o777],
  ["020666", 2 ** 26 + 2 ** 21 + 0o666],
  ["060660", 2 ** 26 + 0o660],
  ["010600", 2 ** 25 + 0o600],
  ["140600", 2 ** 24 + 0o600],
])("goMode(0o%s)", (kernel, go) => {
  expect(goMode(Number.parseInt(kernel, 8))).toBe(go);
});
