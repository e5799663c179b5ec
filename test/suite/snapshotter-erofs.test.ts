import { expect, test } from "bun:test";
import { closeSync } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tarOf } from "../../bench/fixture/tar.ts";
import { buildShim } from "../../shim/shim.build.ts";
import { digestOf } from "../../src/base/digest.ts";
import { kindOf, messageOf } from "../../src/base/errors.ts";
import { attachMount, openMount } from "../../src/base/mounts.ts";
import { ErofsSnapshotter } from "../../src/store/snapshot-erofs.ts";
import { Workers } from "../../src/wasm/workers.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { makeFolder } from "../support/folder.ts";
import { randomBytes } from "./content.ts";
import { snapshotterSuite } from "./snapshotter.ts";

await buildWasm();
await buildShim();
snapshotterSuite("ErofsSnapshotter", (options) => new ErofsSnapshotter(options));

test("unpack() says unavailable and leaves nothing when the disk is full", async () => {
  await using folder = await makeFolder();
  const blob = join(folder.path, "blob");
  const tar = tarOf({ name: "large", data: randomBytes(20 << 20) });
  await writeFile(blob, tar);
  const root = join(folder.path, "root");
  await mkdir(root);
  const mount = openMount("tmpfs", ["size=12m"]);
  attachMount(mount, root);
  closeSync(mount);
  using workers = new Workers();
  const snapshotter = new ErofsSnapshotter({ root, runRoot: folder.path, workers });
  const error = await snapshotter.unpack(blob, digestOf(tar)).catch((thrown: unknown) => thrown);
  expect([kindOf(error), messageOf(error)]).toEqual(["unavailable", expect.stringContaining("ENOSPC")]);
  expect(await readdir(join(root, "layers"))).toEqual([]);
});
