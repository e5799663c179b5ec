/** The choice of a snapshotter, on this kernel. */

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { layerOf, tarOf } from "../../bench/fixture/tar.ts";
import { buildShim } from "../../shim/shim.build.ts";
import { mountsBelow } from "../../src/base/mountinfo.ts";
import { openSnapshotter, probeErofs } from "../../src/store/snapshotters.ts";
import { Workers } from "../../src/wasm/workers.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { makeFolder } from "../support/folder.ts";

await buildWasm();
await buildShim();

/** File-backed EROFS needs 6.12. */
const [major = 0, minor = 0] = (await readFile("/proc/sys/kernel/osrelease", "utf8")).split(".").map(Number);
const ABLE = major * 100 + minor >= 612 && existsSync("/sys/fs/erofs");
const optionsIn = (path: string) => ({
  root: join(path, "root"),
  runRoot: join(path, "run"),
  workers: new Workers({ size: 1 }),
});

test("probeErofs() finds what the kernel's version promises, and leaves no mount", async () => {
  await using folder = await makeFolder();
  for (const _ of ["first", "again"]) {
    expect((await probeErofs(folder.path)) === undefined).toBe(ABLE);
    expect(await readdir(folder.path)).toEqual(["probe"]);
    expect(await mountsBelow(folder.path)).toEqual([]);
  }
});

test("probeErofs() is not fooled by what a crash left of its files", async () => {
  await using folder = await makeFolder();
  await probeErofs(folder.path);
  for (const name of ["erofs", "tar"]) {
    await writeFile(join(folder.path, "probe", name), "");
    expect((await probeErofs(folder.path)) === undefined).toBe(ABLE);
  }
});

test("openSnapshotter() chooses erofs where it works, and overlay when it is told to", async () => {
  await using folder = await makeFolder();
  expect((await openSnapshotter("auto", optionsIn(folder.path))).name).toBe(ABLE ? "erofs" : "overlay");
  expect((await openSnapshotter("overlay", optionsIn(folder.path))).name).toBe("overlay");
});

test("a layer that one driver unpacked serves the other", async () => {
  await using folder = await makeFolder();
  const options = optionsIn(folder.path);
  const layer = layerOf(tarOf({ name: "f", data: "f" }));
  const blob = join(folder.path, "blob");
  await writeFile(blob, layer.blob);
  await (await openSnapshotter("overlay", options)).unpack(blob, layer.diffId);
  const other = await openSnapshotter("auto", options);
  expect(await other.has(layer.diffId)).toBe(true);
  await other.prepare("s", [layer.diffId]);
  const [mount] = await other.mounts("s", "/target");
  expect(mount).toMatchObject({ type: "overlay", lower: [join(options.root, "layers", layer.diffId.slice(7), "fs")] });
});
