/** Names that come twice, as the same or as something else: the last one counts. */

import { expect, test } from "bun:test";
import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { file, folder, layerOf, symlink, tarOf } from "../../bench/fixture/tar.ts";
import { DRIVERS, withLayers } from "../support/hostile.ts";

for (const driver of DRIVERS) {
  test(`${driver}: a directory that comes again keeps its contents and takes the new attributes`, async () => {
    const tar = tarOf(
      folder("d", { mode: 0o700, uid: 1 }),
      file("d/f", "f"),
      folder("d/", { mode: 0o711, uid: 2, mtime: 99 }),
    );
    await withLayers(driver, [layerOf(tar)], async ({ path }) => {
      expect(await lstat(join(path, "d"))).toMatchObject({ mode: 0o40711, uid: 2, mtimeMs: 99_000 });
      expect(await readFile(join(path, "d/f"), "utf8")).toBe("f");
    });
  });

  test(`${driver}: a file takes a directory's place, with all that was in it`, async () => {
    const tar = tarOf(folder("d"), folder("d/e"), file("d/e/f", "f"), file("d", "file"), symlink("s", "d"));
    await withLayers(driver, [layerOf(tar)], async ({ path }) => {
      expect(await readFile(join(path, "s"), "utf8")).toBe("file");
    });
  });

  test(`${driver}: a directory takes a file's place, and is a parent from then on`, async () => {
    const tar = tarOf(file("d", "file"), folder("d"), file("d/f", "f"));
    await withLayers(driver, [layerOf(tar)], async ({ path }) => expect(await readdir(join(path, "d"))).toEqual(["f"]));
  });

  test(`${driver}: a directory takes the place of a symlink to a directory, which stays as it is`, async () => {
    const tar = tarOf(folder("real"), symlink("d", "real"), file("d/1"), folder("d"), file("d/2"));
    await withLayers(driver, [layerOf(tar)], async ({ path }) => {
      expect(await readdir(join(path, "real"))).toEqual(["1"]);
      expect(await readdir(join(path, "d"))).toEqual(["2"]);
    });
  });

  test(`${driver}: what is put in a directory that was replaced goes to the new one`, async () => {
    const tar = tarOf(
      folder("d"),
      file("d/1"),
      symlink("d", "e"),
      folder("d"),
      file("d/2"),
      file("d", "f"),
      folder("d"),
      file("d/3"),
    );
    await withLayers(driver, [layerOf(tar)], async ({ path }) => expect(await readdir(join(path, "d"))).toEqual(["3"]));
  });

  test(`${driver}: the root takes its attributes from the tar, or is 0755`, async () => {
    await withLayers(driver, [layerOf(tarOf(file("f")))], async ({ path }) =>
      expect((await lstat(path)).mode).toBe(0o40755),
    );
  });
}
