import { describe, expect, test } from "bun:test";
import { parseMountOptions, parseRootPropagation } from "../../../src/oci-runtime/mount-options.ts";
import { MS } from "../../../src/runtime/ops.ts";
import { failureOf } from "../../support/errors.ts";

describe("parseMountOptions()", () => {
  test("of options that contradict each other the last one counts", () => {
    expect(parseMountOptions(["ro", "nosuid", "rw"])).toMatchObject({ set: MS.nosuid, clear: MS.rdonly });
    expect(parseMountOptions(["rw", "ro"])).toMatchObject({ set: MS.rdonly, clear: 0 });
  });

  test("what is no flag belongs to the file system", () => {
    expect(parseMountOptions(["size=1m", "noexec", "mode=755", ""])).toMatchObject({
      set: MS.noexec,
      data: ["size=1m", "mode=755"],
    });
  });

  test("flags for all mounts below, and propagation, are told apart from those of the mount", () => {
    const { deepSet, deepClear, set, propagation } = parseMountOptions([
      "rro",
      "rsuid",
      "rslave",
      "private",
      "relatime",
    ]);
    expect([deepSet, deepClear, set]).toEqual([MS.rdonly, MS.nosuid, MS.relatime]);
    expect(propagation).toEqual([
      { flag: MS.slave, deep: true },
      { flag: MS.private, deep: false },
    ]);
  });

  test("rbind takes the mounts below along, remount and tmpcopyup are no options of a file system", () => {
    expect(parseMountOptions(["rbind"])).toMatchObject({ bind: true, deep: true, data: [] });
    expect(parseMountOptions(["remount", "bind", "tmpcopyup"])).toMatchObject({
      remount: true,
      bind: true,
      copyUp: true,
      data: [],
    });
  });

  test.each(["mand", "ridmap", "iversion"])("refuses %s", async (word) => {
    expect(await failureOf(async () => parseMountOptions([word]))).toBe(
      `notImplemented: mount option ${word} is not supported`,
    );
  });

  test("an option with a comma would be two", async () => {
    expect(await failureOf(async () => parseMountOptions(["size=1,exec"]))).toStartWith(
      "invalid: invalid mount options",
    );
  });
});

test("parseRootPropagation() is slave unless told otherwise", async () => {
  expect(parseRootPropagation("")).toEqual({ flag: MS.slave, deep: true });
  expect(parseRootPropagation("shared")).toEqual({ flag: MS.shared, deep: false });
  expect(parseRootPropagation("runbindable")).toEqual({ flag: MS.unbindable, deep: true });
  expect(await failureOf(async () => parseRootPropagation("both"))).toBe('invalid: invalid rootfsPropagation "both"');
});
