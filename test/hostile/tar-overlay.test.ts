/** Tars that would speak to the kernel's overlay: whiteouts in disguise, attributes that steer it. */

import { expect, test } from "bun:test";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { file, folder, layerOf, paxBody, symlink, tarOf } from "../../bench/fixture/tar.ts";
import { listXattrs } from "../../src/base/files.ts";
import { DRIVERS, refusal, withLayers } from "../support/hostile.ts";

const LOWER = layerOf(tarOf(folder("d"), file("d/old", "old"), file("f", "lower"), file("g", "g")));

for (const driver of DRIVERS) {
  for (const name of [
    "trusted.overlay.opaque",
    "trusted.overlay.redirect",
    "trusted.overlay.metacopy",
    "trusted.overlay.",
  ]) {
    test(`${driver}: unpack() refuses ${name}`, async () => {
      const schily = tarOf(folder("d", { pax: { [`SCHILY.xattr.${name}`]: "y" } }));
      expect(await refusal(driver, schily)).toContain("trusted.overlay.*");
      const libarchive = tarOf(folder("d", { pax: { [`LIBARCHIVE.xattr.${name.replace("t", "%74")}`]: "eQ==" } }));
      expect(await refusal(driver, libarchive)).toContain("trusted.overlay.*");
      const global = tarOf({ name: "g", type: "g", data: paxBody({ [`SCHILY.xattr.${name}`]: "y" }) }, folder("d"));
      expect(await refusal(driver, global)).toContain("trusted.overlay.*");
    });
  }

  test(`${driver}: unpack() refuses a character device 0:0`, async () => {
    expect(await refusal(driver, tarOf({ name: "f", type: "3", major: 0, minor: 0 }))).toContain(
      "character device 0:0",
    );
  });

  test(`${driver}: unpack() refuses device numbers that the kernel would cut to 0:0`, async () => {
    expect(await refusal(driver, tarOf({ name: "f", type: "3", major: 4096, minor: 0 }))).toContain("out of range");
    expect(await refusal(driver, tarOf({ name: "f", type: "3", major: 0, minor: 1 << 20 }))).toContain("out of range");
  });

  for (const name of [".wh.", ".wh..", ".wh...", "d/.wh.", ".wh.x/y"])
    test(`${driver}: unpack() refuses the whiteout ${name}`, async () => {
      expect(await refusal(driver, tarOf(file(name)))).toContain("its whiteout names nothing");
    });

  test(`${driver}: a whiteout hides what lower layers have, never what its own layer has, in either order`, async () => {
    const before = layerOf(
      tarOf(file(".wh.f"), file("f", "new"), file(".wh.d"), folder("d"), file("d/new"), file(".wh.g")),
    );
    const after = layerOf(
      tarOf(file("f", "new"), file(".wh.f"), folder("d"), file("d/new"), file(".wh.d"), file(".wh.g")),
    );
    for (const upper of [before, after])
      await withLayers(driver, [LOWER, upper], async ({ path }) => {
        expect((await readdir(path)).sort()).toEqual(["d", "f"]);
        expect(await readFile(join(path, "f"), "utf8")).toBe("new");
        expect(await readdir(join(path, "d"))).toEqual(["new"]);
      });
  });

  test(`${driver}: a directory below a whiteout's name starts empty`, async () => {
    await withLayers(driver, [LOWER, layerOf(tarOf(file(".wh.d"), file("d/sub/new")))], async ({ path }) => {
      expect(await readdir(join(path, "d"))).toEqual(["sub"]);
    });
  });

  test(`${driver}: whiteouts of any type work, and aufs' own names are nothing`, async () => {
    const upper = tarOf(symlink(".wh.f", "x"), folder(".wh..wh.plnk"), file(".wh..wh.aufs"), file("d/.wh..wh..opq"));
    await withLayers(driver, [LOWER, layerOf(upper)], async ({ path }) => {
      expect((await readdir(path)).sort()).toEqual(["d", "g"]);
      expect(await readdir(join(path, "d"))).toEqual([]);
    });
  });

  test(`${driver}: attributes outside the known prefixes are left out`, async () => {
    const pax = {
      "SCHILY.xattr.com.apple.quarantine": "q",
      "SCHILY.xattr.system.nfs4_acl": "n",
      "SCHILY.xattr.user.kept": "k",
    };
    await withLayers(driver, [layerOf(tarOf(file("f", "", { pax })))], async ({ path }) => {
      expect(listXattrs(join(path, "f")).filter((name) => !name.startsWith("trusted.overlay."))).toEqual(["user.kept"]);
    });
  });
}
