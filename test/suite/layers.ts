/** What every implementation of the port Layers does. Needs root: it mounts what it makes. */

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { file, layerOf, type TestLayer, tarOf } from "../../bench/fixture/tar.ts";
import { digestOf } from "../../src/base/digest.ts";
import { isMounted } from "../support/mounts.ts";
import { BASE, collect, kind, TOP, type WithSnapshotter } from "../support/snapshotter.ts";

export function layersSuite(withSnapshotter: WithSnapshotter): void {
  test(
    "unpack() is idempotent, and shares the work of two callers",
    withSnapshotter(async ({ snapshotter, add }) => {
      expect(await snapshotter.has(BASE.diffId)).toBe(false);
      await Promise.all([add(BASE), add(BASE)]);
      await add(BASE);
      expect(await snapshotter.has(BASE.diffId)).toBe(true);
      expect(await collect(snapshotter.listLayers())).toEqual([BASE.diffId]);
    }),
  );

  const bad: readonly (readonly [what: string, layer: TestLayer])[] = [
    ["its tar has another diffId", { ...BASE, diffId: TOP.diffId }],
    ["its tar is hostile", layerOf(tarOf(file("../../etc/cron.d/x", "* * * * *")))],
    ["its tar is cut short", layerOf(BASE.tar.subarray(0, 1000))],
    ["its gzip is cut short", { ...BASE, blob: BASE.blob.subarray(0, BASE.blob.length - 20) }],
    ["its gzip is damaged", { ...BASE, blob: Buffer.concat([BASE.blob.subarray(0, 100), BASE.blob.subarray(101)]) }],
    ["it is no tar at all", layerOf(Buffer.from("x".repeat(3000)))],
  ];
  for (const [what, layer] of bad)
    test(
      `unpack() says corrupt and leaves nothing when ${what}`,
      withSnapshotter(async ({ snapshotter, add, root }) => {
        expect(await kind(add(layer))).toBe("corrupt");
        expect(await snapshotter.has(layer.diffId)).toBe(false);
        expect(await readdir(join(root, "layers"))).toEqual([]);
      }),
    );

  test(
    "unpack() stops and leaves nothing when its signal does",
    withSnapshotter(async ({ snapshotter, root }) => {
      await mkdir(root, { recursive: true });
      const blob = join(root, "blob");
      await writeFile(blob, BASE.blob);
      const stop = AbortSignal.abort(new Error("enough"));
      await expect(snapshotter.unpack(blob, BASE.diffId, { signal: stop })).rejects.toThrow("enough");
      expect(await readdir(join(root, "layers"))).toEqual([]);
    }),
  );

  test(
    "stage() makes a layer that is there when it is kept, and leaves nothing when it is not",
    withSnapshotter(async ({ snapshotter, root }) => {
      await mkdir(root, { recursive: true });
      const blob = join(root, "blob");
      await writeFile(blob, BASE.blob);
      {
        await using dropped = await snapshotter.stage(blob);
        expect(dropped.diffId).toBe(BASE.diffId);
        expect(await snapshotter.has(BASE.diffId)).toBe(false);
      }
      expect(await readdir(join(root, "layers"))).toEqual([]);
      {
        await using one = await snapshotter.stage(blob);
        await using same = await snapshotter.stage(blob);
        await one.keep({ durable: true });
        await same.keep();
      }
      expect(await collect(snapshotter.listLayers())).toEqual([BASE.diffId]);
      expect(await kind(snapshotter.stage(blob, { maxTarBytes: 1024 }))).toBe("corrupt");
      await writeFile(blob, "x".repeat(3000));
      expect(await kind(snapshotter.stage(blob))).toBe("corrupt");
      expect(await readdir(join(root, "layers"))).toEqual([BASE.diffId.slice(7)]);
    }),
  );

  test(
    "directories() tells where layers can be seen while a container has them",
    withSnapshotter(async ({ snapshotter, add, mount }) => {
      await add(BASE);
      await add(TOP);
      const layers = [BASE.diffId, TOP.diffId];
      await snapshotter.prepare("c", layers);
      await using at = await mount("c");
      const [base = "", top = ""] = (await snapshotter.directories(layers)) ?? [];
      if (snapshotter.name === "erofs" || snapshotter.name === "overlay") {
        expect(await readFile(join(base, "etc/passwd"), "utf8")).toBe(
          await readFile(join(at.path, "etc/passwd"), "utf8"),
        );
        expect(existsSync(join(top, "new"))).toBe(true);
      } else expect([base, top].every((path) => path !== "")).toBe(true);
      expect(await snapshotter.directories([])).toEqual([]);
      expect(await snapshotter.directories([digestOf(Buffer.from("none"))])).toBeUndefined();
    }),
  );

  test(
    "removeLayer() says conflict while a snapshot uses it, then takes it and its mount away",
    withSnapshotter(async ({ snapshotter, add, mount, root }) => {
      await add(BASE);
      await snapshotter.prepare("c", [BASE.diffId]);
      const shared = (await snapshotter.mounts("c", "/mnt")).flatMap((each) =>
        each.type === "layer" ? [each.target] : [],
      );
      {
        await using _ = await mount("c");
      }
      expect(await kind(snapshotter.removeLayer(BASE.diffId))).toBe("conflict");
      for (const target of shared) expect(await isMounted(target)).toBe(true);
      await snapshotter.removeSnapshot("c");
      await snapshotter.removeLayer(BASE.diffId);
      await snapshotter.removeLayer(BASE.diffId);
      for (const target of shared) expect(await isMounted(target)).toBe(false);
      expect(await readdir(join(root, "layers"))).toEqual([]);
    }),
  );

  test(
    "listLayers() and layerBytes() tell what is there",
    withSnapshotter(async ({ snapshotter, add }) => {
      expect(await collect(snapshotter.listLayers())).toEqual([]);
      expect(await kind(snapshotter.layerBytes(BASE.diffId))).toBe("notFound");
      for (const layer of [BASE, TOP]) await add(layer);
      expect((await collect(snapshotter.listLayers())).sort()).toEqual([BASE.diffId, TOP.diffId].sort());
      expect(await snapshotter.layerBytes(BASE.diffId)).toBeGreaterThan(BASE.tar.length);
    }),
  );

  test(
    "rebuild() makes again what fault() misses, of the tar, and is corrupt when that is not the layer's",
    withSnapshotter(async ({ snapshotter, add, mount, root }) => {
      await add(BASE);
      const layer = join(root, "layers", BASE.diffId.slice(7));
      expect(await snapshotter.fault(BASE.diffId, true)).toBeUndefined();
      for (const part of ["erofs", "fs"]) await rm(join(layer, part), { recursive: true, force: true });
      expect(await snapshotter.fault(BASE.diffId, false)).toEqual({ part: "index", detail: "its index is missing" });
      await snapshotter.rebuild(BASE.diffId);
      expect(await snapshotter.fault(BASE.diffId, true)).toBeUndefined();
      await snapshotter.prepare("c", [BASE.diffId]);
      {
        await using at = await mount("c");
        expect(await readFile(join(at.path, "etc/passwd"), "utf8")).toBe("root\n");
      }
      await truncate(join(layer, "tar"), 1024);
      expect(await snapshotter.fault(BASE.diffId, true)).toMatchObject({ part: "tar" });
      expect(await kind(snapshotter.rebuild(BASE.diffId))).toBe("corrupt");
      for (const gone of [snapshotter.rebuild(TOP.diffId), snapshotter.fault(TOP.diffId, false)])
        expect(await kind(gone)).toBe("notFound");
      expect(await readdir(join(root, "layers"))).toEqual([BASE.diffId.slice(7)]);
    }),
  );
}
