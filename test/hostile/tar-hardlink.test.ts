/** Hard links to what is not in the layer. */

import { expect, test } from "bun:test";
import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { file, folder, hardlink, layerOf, symlink, tarOf } from "../../bench/fixture/tar.ts";
import { DRIVERS, refusal, withLayers } from "../support/hostile.ts";

for (const driver of DRIVERS) {
  const refused: readonly (readonly [what: string, tar: Buffer])[] = [
    ["a missing file", tarOf(hardlink("h", "no"))],
    ["a file that comes later", tarOf(hardlink("h", "later"), file("later"))],
    ["a file of the host", tarOf(hardlink("h", "/etc/passwd"))],
    ["a file of the host, through a symlink", tarOf(symlink("e", "/etc"), hardlink("h", "e/passwd"))],
    ["a directory", tarOf(folder("d"), hardlink("h", "d"))],
    ["the root", tarOf(hardlink("h", "."))],
    ["a whiteout", tarOf(file(".wh.gone"), hardlink("h", "gone"))],
    ["nothing", tarOf(hardlink("h", ""))],
  ];
  for (const [what, tar] of refused)
    test(`${driver}: unpack() refuses a hard link to ${what}`, async () => {
      expect(await refusal(driver, tar)).toContain("its link leads nowhere");
    });

  test(`${driver}: a hard link keeps its inode when the name that it was made from stands for something else`, async () => {
    const tar = tarOf(file("a", "old"), hardlink("b", "a"), file("a", "new"), hardlink("c", "b"), hardlink("b", "b"));
    await withLayers(driver, [layerOf(tar)], async ({ path }) => {
      expect(await readFile(join(path, "a"), "utf8")).toBe("new");
      expect(await readFile(join(path, "c"), "utf8")).toBe("old");
      expect((await lstat(join(path, "b"))).nlink).toBe(2);
      expect((await lstat(join(path, "a"))).nlink).toBe(1);
    });
  });

  test(`${driver}: a hard link to a symlink is that symlink, not what it leads to`, async () => {
    const tar = tarOf(file("f", "f"), symlink("s", "f"), hardlink("h", "s"));
    await withLayers(driver, [layerOf(tar)], async ({ path }) => {
      expect((await lstat(join(path, "h"))).isSymbolicLink()).toBe(true);
      expect((await lstat(join(path, "h"))).ino).toBe((await lstat(join(path, "s"))).ino);
    });
  });

  test(`${driver}: a hard link survives the removal of the directory that it was made from`, async () => {
    const tar = tarOf(folder("d"), file("d/f", "kept"), hardlink("h", "d/f"), file("d", "now a file"));
    await withLayers(driver, [layerOf(tar)], async ({ path }) => {
      expect((await readdir(path)).sort()).toEqual(["d", "h"]);
      expect(await readFile(join(path, "h"), "utf8")).toBe("kept");
      expect((await lstat(join(path, "h"))).nlink).toBe(1);
    });
  });
}
