/** What every Snapshotter does: both ports, and what holds of them together. Run by snapshotter-*.test.ts, one for each implementation. */

import { describe, expect, test } from "bun:test";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestLayer } from "../../bench/fixture/tar.ts";
import type { SnapshotterOptions } from "../../src/store/layer-files.ts";
import type { Snapshotter } from "../../src/store/snapshot.ts";
import { Workers } from "../../src/wasm/workers.ts";
import { makeFolder } from "../support/folder.ts";
import { mounted } from "../support/mounts.ts";
import { BASE, type WithSnapshotter } from "../support/snapshotter.ts";
import { layersSuite } from "./layers.ts";
import { snapshotsSuite } from "./snapshots.ts";

const workers = new Workers({ size: 2 });

export interface SuiteOptions {
  /** Tops are whole trees rather than upper directories of overlays. */
  readonly whole?: boolean;
  /** Where everything lies; a folder of its own each time. */
  readonly place?: () => Promise<AsyncDisposable & { readonly path: string }>;
}

/** @param open  makes a snapshotter in an empty place; opening it again sees what is there */
export function snapshotterSuite(
  name: string,
  open: (options: SnapshotterOptions) => Snapshotter,
  { whole = false, place: makePlace = makeFolder }: SuiteOptions = {},
): void {
  const withSnapshotter: WithSnapshotter = (body) => async () => {
    await using place = await makePlace();
    const root = join(place.path, "root");
    const options = { root, runRoot: join(place.path, "run"), workers };
    const snapshotter = open(options);
    let mounts = 0;
    const add = async (layer: TestLayer): Promise<void> => {
      const blob = join(place.path, `blob-${layer.diffId.slice(7, 19)}`);
      await writeFile(blob, layer.blob);
      await snapshotter.unpack(blob, layer.diffId);
    };
    const mount = async (key: string) => {
      const path = join(place.path, `mnt${mounts++}`);
      return { path, ...(await mounted(snapshotter, key, path)) };
    };
    await body({ snapshotter, root, whole, reopen: () => open(options), add, mount });
  };

  describe(name, () => {
    layersSuite(withSnapshotter);
    snapshotsSuite(withSnapshotter);

    test(
      "sweep() removes what a crash left, and nothing else",
      withSnapshotter(async ({ snapshotter, reopen, add, root }) => {
        await add(BASE);
        await snapshotter.prepare("c", [BASE.diffId]);
        for (const left of ["layers/new-x", "layers/rm-y", "snapshots/new-z/diff", "snapshots/rm-c/work"])
          await mkdir(join(root, left), { recursive: true });
        await reopen().sweep();
        expect(await readdir(join(root, "layers"))).toEqual([BASE.diffId.slice(7)]);
        expect(await readdir(join(root, "snapshots"))).toEqual(["c"]);
      }),
    );

    test(
      "sweep() removes snapshots that nobody knows of",
      withSnapshotter(async ({ reopen, snapshotter, add, root }) => {
        await add(BASE);
        for (const key of ["a", "b", "c"]) await snapshotter.prepare(key, [BASE.diffId]);
        await reopen().sweep(new Set(["b", "other"]));
        expect(await readdir(join(root, "snapshots"))).toEqual(["b"]);
      }),
    );
  });
}
