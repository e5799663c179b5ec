/** Where a copy goes and what it is called, as tables. */

import { describe, expect, test } from "bun:test";
import { type Found, parsePlace, renaming, type Target, targetOf } from "../../../src/cli/cp-path.ts";

test.each<[text: string, place: object]>([
  ["box:/a", { container: "box", path: "/a" }],
  ["box:a:b", { container: "box", path: "a:b" }],
  ["/a:b", { path: "/a:b" }],
  ["./box:/a", { path: "./box:/a" }],
  ["a", { path: "a" }],
  ["-", { path: "-" }],
])("parsePlace(%p)", (text, place) => {
  expect(parsePlace(text) as object).toEqual(place);
});

const dir = (path: string) => ({ path, directory: true });
const one = (path: string) => ({ path, directory: false });

describe("targetOf()", () => {
  test.each<[source: { path: string; directory: boolean }, to: string, found: Found, target: Target]>([
    [one("/a"), "/x", "directory", { directory: "/x", make: false, name: undefined }],
    [one("/a"), "/x/b", "nothing", { directory: "/x", make: false, name: "b" }],
    [one("/a"), "/x/b", "other", { directory: "/x", make: false, name: "b" }],
    [dir("/a"), "/x", "directory", { directory: "/x", make: false, name: undefined }],
    [dir("/a"), "/x/b/", "nothing", { directory: "/x", make: false, name: "b" }],
    [dir("/a/."), "/x", "directory", { directory: "/x", make: false, name: undefined }],
    [dir("/a/."), "/x/b", "nothing", { directory: "/x/b", make: true, name: undefined }],
  ])("targetOf(%p, %p) with %p there", (source, to, found, target) => {
    expect(targetOf(source, to, found)).toEqual(target);
  });

  test.each<[source: { path: string; directory: boolean }, to: string, found: Found, why: string]>([
    [dir("/a"), "/x", "other", "cannot copy directory"],
    [one("/a"), "/x/", "nothing", "no such directory"],
    [one("/a"), "/x/", "other", "destination /x/ is not a directory"],
  ])("targetOf(%p, %p) with %p there is refused", (source, to, found, why) => {
    expect(() => targetOf(source, to, found)).toThrow(why);
  });
});

test("renaming() means the name, whatever is in it", () => {
  const rename = (from: string, to: string, path: string): string => {
    const { stdout } = Bun.spawnSync(["sed", renaming(from, to).replace("--transform=flags=rh;", "")], {
      stdin: Buffer.from(`${path}\n`),
    });
    return stdout.toString().trimEnd();
  };
  expect(rename("a.b", "c&d", "a.b/x")).toBe("c&d/x");
  expect(rename("a.b", "c", "axb/x")).toBe("axb/x");
  expect(rename("a", "b", "ab")).toBe("ab");
  expect(rename("[a]*", "x,y\\z", "[a]*")).toBe("x,y\\z");
});
