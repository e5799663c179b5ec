/** What becomes of a hostile tar: refused in words, or shown harmlessly by both snapshotters. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { layerOf, type TestLayer } from "../../bench/fixture/tar.ts";
import { buildShim } from "../../shim/shim.build.ts";
import { BosunError, kindOf, messageOf } from "../../src/base/errors.ts";
import type { SnapshotterOptions } from "../../src/store/layer-files.ts";
import { ErofsSnapshotter } from "../../src/store/snapshot-erofs.ts";
import { OverlaySnapshotter } from "../../src/store/snapshot-overlay.ts";
import { Workers } from "../../src/wasm/workers.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { makeFolder } from "./folder.ts";
import { mounted } from "./mounts.ts";

await buildWasm();
await buildShim();
export const workers = new Workers({ size: 1 });

export const DRIVERS = ["erofs", "overlay"] as const;
export type Driver = (typeof DRIVERS)[number];

const open = (driver: Driver, options: SnapshotterOptions) =>
  driver === "erofs" ? new ErofsSnapshotter(options) : new OverlaySnapshotter(options);

interface Place {
  /** Where the layers are merged. */
  readonly path: string;
  /** Whether all of them are EROFS indexes. */
  readonly indexed: boolean;
  /** A folder next to the data root, which no layer may touch. */
  readonly outside: string;
}

/** Unpacks and mounts layers, from the bottom one to the top one, and looks at them. */
export async function withLayers(
  driver: Driver,
  layers: readonly TestLayer[],
  look: (place: Place) => Promise<void>,
): Promise<void> {
  await using folder = await makeFolder();
  const snapshotter = open(driver, { root: join(folder.path, "root"), runRoot: join(folder.path, "run"), workers });
  for (const [i, layer] of layers.entries()) {
    const blob = join(folder.path, `blob${i}`);
    await writeFile(blob, layer.blob);
    await snapshotter.unpack(blob, layer.diffId);
  }
  await snapshotter.prepare(
    "s",
    layers.map(({ diffId }) => diffId),
  );
  const path = join(folder.path, "mnt");
  await using _ = await mounted(snapshotter, "s", path);
  const shared = (await snapshotter.mounts("s", path)).filter(({ type }) => type === "layer");
  await look({ path, indexed: shared.length === layers.length, outside: folder.path });
}

/** @returns the message with which a tar is refused as corrupt. @throws Error when it is taken, or refused for another reason */
export async function refusal(driver: Driver, tar: Buffer, limits: { maxLayerBytes?: number } = {}): Promise<string> {
  await using folder = await makeFolder();
  const snapshotter = open(driver, {
    root: join(folder.path, "root"),
    runRoot: join(folder.path, "run"),
    workers,
    ...limits,
  });
  const { blob, diffId } = layerOf(tar);
  const path = join(folder.path, "blob");
  await writeFile(path, blob);
  const error: unknown = await snapshotter.unpack(path, diffId).then(
    () => new Error("it was taken"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof BosunError && kindOf(error) === "corrupt") return messageOf(error);
  throw new Error(`want a refusal as corrupt, got: ${messageOf(error)}`, { cause: error });
}
