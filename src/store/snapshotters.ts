/** Which snapshotter this host can have. */

import { closeSync, readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { corrupt, messageOf, unavailable } from "../base/errors.ts";
import { openMount } from "../base/mounts.ts";
import { isOnBtrfs } from "../base/quota.ts";
import { tarOfFile } from "../base/tar.ts";
import { erofsOf } from "../wasm/erofs.ts";
import { TarReader } from "../wasm/tar.ts";
import type { SnapshotterOptions } from "./layer-files.ts";
import type { Snapshotter } from "./snapshot.ts";
import { BtrfsSnapshotter } from "./snapshot-btrfs.ts";
import { ErofsSnapshotter } from "./snapshot-erofs.ts";
import { OverlaySnapshotter } from "./snapshot-overlay.ts";
import { VfsSnapshotter } from "./snapshot-vfs.ts";

export type Driver = "auto" | "erofs" | "overlay" | "btrfs" | "vfs";

/** @throws unavailable when the driver that was asked for does not work here */
export async function openSnapshotter(driver: Driver, options: SnapshotterOptions): Promise<Snapshotter> {
  await mkdir(options.root, { recursive: true, mode: 0o711 });
  if (driver === "overlay") return new OverlaySnapshotter(options);
  if (driver === "vfs") return new VfsSnapshotter(options);
  if (driver === "btrfs") return openBtrfs(options);
  const reason = await probeErofs(options.root);
  if (reason === undefined) return new ErofsSnapshotter(options);
  if (driver === "auto") return new OverlaySnapshotter(options);
  throw unavailable(`Cannot use the storage driver erofs: ${reason}. It needs Linux 6.12 with EROFS_FS`);
}

function openBtrfs(options: SnapshotterOptions): Snapshotter {
  if (!isOnBtrfs(options.root))
    throw unavailable(`Cannot use the storage driver btrfs: ${options.root} is not on Btrfs`);
  return new BtrfsSnapshotter(options);
}

const NAME = "probe";
const CONTENT = "bosun\n";

/**
 * Tries what a layer needs: an EROFS index in a file, with a tar as its device, whose contents can be read. The mount is attached nowhere. The kernel
 * is asked at every start; what it is asked with is kept in `probe`, so that the layer engine need not be loaded for it.
 * @param directory  where layers would be
 * @returns          why it does not work; undefined when it does
 */
export async function probeErofs(directory: string): Promise<string | undefined> {
  const place = join(directory, "probe");
  const kept = await failureOf(() => tryMount(place));
  if (kept === undefined) return undefined;
  return failureOf(async () => {
    await makeProbe(place);
    return tryMount(place);
  });
}

/** @returns what an attempt says against it, or throws */
async function failureOf(attempt: () => string | undefined | Promise<string | undefined>): Promise<string | undefined> {
  try {
    return await attempt();
  } catch (error) {
    return messageOf(error);
  }
}

/** @throws corrupt when the layer engine has no index for a plain file */
async function makeProbe(place: string): Promise<void> {
  await rm(place, { recursive: true, force: true });
  await mkdir(place, { mode: 0o700 });
  const tar = tarOfFile(NAME, Buffer.from(CONTENT), 0o644);
  const reader = await TarReader.open();
  reader.write(tar);
  reader.finish();
  const index = erofsOf(reader);
  if (index === undefined) throw corrupt("the index of a plain file cannot be made");
  await writeFile(join(place, "tar"), tar);
  await writeFile(join(place, "erofs"), index);
}

function tryMount(place: string): string | undefined {
  const mount = openMount("erofs", ["ro", `source=${join(place, "erofs")}`, `device=${join(place, "tar")}`]);
  try {
    const content = readFileSync(`/proc/self/fd/${mount}/${NAME}`, "utf8");
    return content === CONTENT ? undefined : `a file reads ${JSON.stringify(content)}, want ${JSON.stringify(CONTENT)}`;
  } finally {
    closeSync(mount);
  }
}
