/** Device nodes, attributes of the machine's security, and what comes after a tar's end. */

import { expect, test } from "bun:test";
import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { file, layerOf, tarOf } from "../../bench/fixture/tar.ts";
import { getXattr } from "../../src/base/files.ts";
import { DRIVERS, refusal, withLayers } from "../support/hostile.ts";

/** memory of the machine: were it opened while unpacking, this would be found in the layer's files */
const MEMORY = { type: "3", major: 1, minor: 1, mode: 0o666 } as const;

for (const driver of DRIVERS) {
  test(`${driver}: a device node stays a node, which nobody opens`, async () => {
    const tar = tarOf({ name: "mem", ...MEMORY }, { name: "disk", type: "4", major: 8, minor: 0 });
    await withLayers(driver, [layerOf(tar)], async ({ path }) => {
      expect((await lstat(join(path, "mem"))).isCharacterDevice()).toBe(true);
      expect((await lstat(join(path, "mem"))).rdev).toBe((1 << 8) | 1);
      expect((await lstat(join(path, "disk"))).isBlockDevice()).toBe(true);
    });
  });

  test(`${driver}: nothing goes into a device node or through it`, async () => {
    expect(await refusal(driver, tarOf({ name: "mem", ...MEMORY }, file("mem/x")))).toContain(
      "its parent is not a directory",
    );
  });

  test(`${driver}: file capabilities are kept; malformed ones only count for their own file`, async () => {
    const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
    const pax = { "SCHILY.xattr.security.capability": capability };
    await withLayers(driver, [layerOf(tarOf(file("ping", "p", { pax }), file("plain", "p")))], async ({ path }) => {
      expect(getXattr(join(path, "ping"), "security.capability")?.toString("hex")).toBe(capability.toString("hex"));
      expect(getXattr(join(path, "plain"), "security.capability")).toBeUndefined();
    });
  });

  test(`${driver}: what comes after a tar's end is no part of it`, async () => {
    const tar = Buffer.concat([tarOf(file("in", "in")), tarOf(file("after"), file("../out")), Buffer.alloc(512, "x")]);
    await withLayers(driver, [layerOf(tar)], async ({ path }) => {
      expect(await readdir(path)).toEqual(["in"]);
      expect(await readFile(join(path, "in"), "utf8")).toBe("in");
    });
  });
}
