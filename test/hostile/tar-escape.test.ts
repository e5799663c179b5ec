/** Names that lead out of the layer. */

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { file, folder, hardlink, layerOf, symlink, tarOf } from "../../bench/fixture/tar.ts";
import { DRIVERS, refusal, withLayers } from "../support/hostile.ts";

const CLIMBING = ["../x", "a/../../x", "/../x", "./../x", "a/b/../../../x", "..", "a/../.."];

for (const driver of DRIVERS) {
  for (const name of CLIMBING)
    test(`${driver}: unpack() refuses the tar when it holds ${JSON.stringify(name)}`, async () => {
      expect(await refusal(driver, tarOf(file("ok"), file(name, "x")))).toContain("the path leads out of the layer");
      expect(await refusal(driver, tarOf(file("ok"), { name: "pax", pax: { path: name } }))).toContain("leads out");
      expect(await refusal(driver, tarOf(file("ok"), hardlink("h", name)))).toContain("leads out");
    });

  test(`${driver}: unpack() makes absolute and untidy names relative, as GNU tar does`, async () => {
    const tar = tarOf(
      file("/abs", "1"),
      file("//d//e", "2"),
      file("./d/./f", "3"),
      file("d/x/../g", "4"),
      hardlink("/h", "/abs"),
    );
    await withLayers(driver, [layerOf(tar)], async ({ path }) => {
      expect((await readdir(path)).sort()).toEqual(["abs", "d", "h"]);
      expect((await readdir(join(path, "d"))).sort()).toEqual(["e", "f", "g"]);
      expect(await readFile(join(path, "h"), "utf8")).toBe("1");
    });
  });

  test(`${driver}: unpack() never writes through a symlink that leads out`, async () => {
    const away = "../../../../../../../tmp/bosun-must-not-exist";
    for (const target of [away, "/tmp/bosun-must-not-exist"])
      expect(await refusal(driver, tarOf(symlink("d", target), file("d/x", "x")))).toContain(
        "its parent is not a directory",
      );
    expect(existsSync("/tmp/bosun-must-not-exist")).toBe(false);
  });

  test(`${driver}: unpack() follows a parent that is a symlink inside the layer, and no further`, async () => {
    const tar = tarOf(
      folder("real/"),
      symlink("abs", "/real"),
      symlink("up", "../../../../real"),
      symlink("chain", "abs"),
      file("abs/1", "1"),
      file("up/2", "2"),
      file("chain/3", "3"),
      symlink("etc", "/etc"),
      folder("etc"),
      file("etc/4", "4"),
    );
    await withLayers(driver, [layerOf(tar)], async ({ path }) => {
      expect((await readdir(join(path, "real"))).sort()).toEqual(["1", "2", "3"]);
      expect(await readlink(join(path, "up"))).toBe("../../../../real");
      expect(await readdir(join(path, "etc"))).toEqual(["4"]);
    });
  });

  test(`${driver}: unpack() refuses the tar when symlinks go round in circles`, async () => {
    const tar = tarOf(symlink("a", "b"), symlink("b", "a"), file("a/x", "x"));
    expect(await refusal(driver, tar)).toContain("too many symlinks");
  });

  test(`${driver}: unpack() refuses the tar when a symlink's cost would double with each step`, async () => {
    const links = Array.from({ length: 60 }, (_, i) => symlink(`l${i + 1}`, `l${i}/../l${i}`));
    expect(await refusal(driver, tarOf(folder("l0"), ...links, file("l60/x")))).toContain("too many symlinks");
  });

  test(`${driver}: unpack() refuses the tar when a file is a parent`, async () => {
    expect(await refusal(driver, tarOf(file("f", "x"), file("f/x", "x")))).toContain("its parent is not a directory");
  });

  test(`${driver}: unpack() refuses the tar when its root is not a directory`, async () => {
    for (const name of [".", "/", "./", ""])
      expect(await refusal(driver, tarOf({ name, type: "2", link: "/etc" }))).toContain(
        "its parent is not a directory",
      );
  });
}
