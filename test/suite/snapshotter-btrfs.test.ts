import { afterAll } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { buildShim } from "../../shim/shim.build.ts";
import { BtrfsSnapshotter } from "../../src/store/snapshot-btrfs.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { BTRFS, makeSmallDisk } from "../support/small-disk.ts";
import { snapshotterSuite } from "./snapshotter.ts";

const hasBtrfs = Bun.which("mkfs.btrfs", { PATH: `${process.env.PATH}:/sbin:/usr/sbin` }) !== null;

if (!hasBtrfs) console.log("The snapshotter btrfs is not tested: mkfs.btrfs is missing (Debian: btrfs-progs)");
else {
  await buildWasm();
  await buildShim();
  const disk = await makeSmallDisk(512 << 20, BTRFS);
  afterAll(() => disk[Symbol.asyncDispose]());
  const place = async () => {
    const path = await mkdtemp(join(disk.path, "place-"));
    return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
  };
  snapshotterSuite("BtrfsSnapshotter", (options) => new BtrfsSnapshotter(options), { whole: true, place });
}
