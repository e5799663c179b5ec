/** Tops that are held to a size, on file systems that can do that and on one that cannot. */

import { expect, test } from "bun:test";
import { closeSync, existsSync, openSync, writeSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buildShim } from "../../shim/shim.build.ts";
import { hasCode, kindOf, messageOf } from "../../src/base/errors.ts";
import { BtrfsSnapshotter } from "../../src/store/snapshot-btrfs.ts";
import { OverlaySnapshotter } from "../../src/store/snapshot-overlay.ts";
import { LocalDriver } from "../../src/volume/driver-local.ts";
import { Workers } from "../../src/wasm/workers.ts";
import { failureOf } from "../support/errors.ts";
import { makeFolder } from "../support/folder.ts";
import { mounted } from "../support/mounts.ts";
import { BTRFS, type DiskOptions, EXT4_WITH_QUOTAS, makeSmallDisk } from "../support/small-disk.ts";

await buildShim();

const MB = 1 << 20;

/** Writes until it is refused. @returns bytes that were written, and whether it was the quota or the disk that refused */
function fill(path: string): { readonly bytes: number; readonly error: unknown } {
  const fd = openSync(path, "w");
  let bytes = 0;
  try {
    for (;;) bytes += writeSync(fd, Buffer.alloc(1 << 16, "x"));
  } catch (error) {
    return { bytes, error };
  } finally {
    closeSync(fd);
  }
}

/** Some kernels have no quotas for ext4. */
async function canMount(options: DiskOptions): Promise<boolean> {
  try {
    await using _ = await makeSmallDisk(256 * MB, options);
    return true;
  } catch (error) {
    console.log(`Quotas are not tested: ${messageOf(error)}`);
    return false;
  }
}

const KINDS = [
  { name: "ext4", disk: EXT4_WITH_QUOTAS, Snapshotter: OverlaySnapshotter },
  { name: "btrfs", disk: BTRFS, Snapshotter: BtrfsSnapshotter },
];
const possible = await Promise.all(KINDS.map(({ disk }) => canMount(disk)));

test.skipIf(!possible[0]).each(KINDS.slice(0, 1))("prepare() holds a top to its size on $name", held);
test.skipIf(!possible[1]).each(KINDS.slice(1))("prepare() holds a top to its size on $name", held);

/** One beside the other, and one without a limit. */
async function held({ disk: options, Snapshotter }: (typeof KINDS)[number]): Promise<void> {
  await using disk = await makeSmallDisk(256 * MB, options);
  using workers = new Workers({ size: 1 });
  const root = join(disk.path, "root");
  await mkdir(root);
  const snapshotter = new Snapshotter({ root, runRoot: join(disk.path, "run"), workers });
  for (const [key, size] of [
    ["small", 4],
    ["large", 12],
  ] as const) {
    await snapshotter.prepare(key, [], { sizeBytes: size * MB });
    const target = join(disk.path, `mnt-${key}`);
    await using _ = await mounted(snapshotter, key, target);
    const { bytes, error } = fill(join(target, "file"));
    expect(hasCode(error, "EDQUOT", "ENOSPC")).toBe(true);
    expect(bytes).toBeLessThanOrEqual(size * MB);
    expect(bytes).toBeGreaterThan((size - 1) * MB);
  }
  await snapshotter.prepare("free", []);
  await using _ = await mounted(snapshotter, "free", join(disk.path, "mnt-free"));
  expect(fill(join(disk.path, "mnt-free", "file")).bytes).toBeGreaterThan(40 * MB);
}

test.skipIf(!possible[0]).each(KINDS.slice(0, 1))("create() holds a volume to its size on $name", heldVolume);
test.skipIf(!possible[1]).each(KINDS.slice(1))("create() holds a volume to its size on $name", heldVolume);

/** Made, filled at first, and removed. */
async function heldVolume({ disk: options }: (typeof KINDS)[number]): Promise<void> {
  await using disk = await makeSmallDisk(256 * MB, options);
  const driver = new LocalDriver(join(disk.path, "volumes"));
  const size = { size: "4m" };
  const expectHeld = (path: string) => {
    const { bytes, error } = fill(path);
    expect(hasCode(error, "EDQUOT", "ENOSPC")).toBe(true);
    expect(bytes).toBeLessThanOrEqual(4 * MB);
    expect(bytes).toBeGreaterThan(3 * MB);
  };
  await driver.create("empty", size);
  await driver.create("empty", size);
  expectHeld(join(driver.path("empty"), "file"));
  await driver.create("filled", size);
  await driver.fill("filled", size, false, (directory) => writeFile(join(directory, "first"), "x"));
  expect(await readFile(join(driver.path("filled"), "first"), "utf8")).toBe("x");
  expectHeld(join(driver.path("filled"), "file"));
  for (const name of ["empty", "filled"]) {
    await driver.remove(name);
    expect(existsSync(driver.path(name))).toBe(false);
  }
}

test("create() of a volume says what is missing where no quotas are", async () => {
  await using folder = await makeFolder();
  const driver = new LocalDriver(folder.path);
  const refusal = await driver.create("box", { size: "1m" }).catch((error: unknown) => error);
  expect([kindOf(refusal), messageOf(refusal)]).toEqual([
    "unavailable",
    expect.stringContaining("quota size requested but no quota support"),
  ]);
  expect(existsSync(driver.path("box"))).toBe(false);
  expect(() => driver.check({ size: "much" })).toThrow("invalid size: 'much'");
});

test("prepare() says what is missing where no quotas are", async () => {
  await using folder = await makeFolder();
  using workers = new Workers({ size: 1 });
  const snapshotter = new OverlaySnapshotter({ root: folder.path, runRoot: join(folder.path, "run"), workers });
  const refusal = await snapshotter.prepare("c", [], { sizeBytes: MB }).catch((error: unknown) => error);
  expect([kindOf(refusal), messageOf(refusal)]).toEqual(["unavailable", expect.stringContaining("project quotas")]);
  expect(await failureOf(() => snapshotter.mounts("c", "/x"))).toStartWith("notFound");
});
