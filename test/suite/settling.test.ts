/** Layers that were on their way to disk when the machine, or only the daemon, went down. */

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { file, layerOf, tarOf } from "../../bench/fixture/tar.ts";
import { buildShim } from "../../shim/shim.build.ts";
import { Settling } from "../../src/store/settling.ts";
import { ErofsSnapshotter } from "../../src/store/snapshot-erofs.ts";
import { Workers } from "../../src/wasm/workers.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { makeFolder } from "../support/folder.ts";

await buildWasm();
await buildShim();

const SOUND = layerOf(tarOf(file("sound", "text")));
const HURT = layerOf(tarOf(file("hurt", "text")));

/** A place with two layers that are not settled. @param reopen  gives the snapshotter of the next start */
async function withLayers(
  body: (place: { root: string; reopen: () => ErofsSnapshotter; warnings: string[] }) => Promise<void>,
): Promise<void> {
  await using folder = await makeFolder();
  using workers = new Workers({ size: 1 });
  const root = folder.path;
  const warnings: string[] = [];
  const reopen = () =>
    new ErofsSnapshotter({ root, runRoot: join(root, "run"), workers, warn: (message) => warnings.push(message) });
  const first = reopen();
  await first.sweep();
  for (const layer of [SOUND, HURT]) {
    const blob = join(root, "blob");
    await writeFile(blob, layer.blob);
    await first.unpack(blob, layer.diffId);
  }
  await body({ root, reopen, warnings });
}

const pathOf = (root: string, { diffId }: { readonly diffId: string }, name: string) =>
  join(root, "layers", diffId.replace("sha256:", ""), name);

test("after a crash of the machine, sweep() makes a layer again from its tar, and removes one whose tar is damaged", () =>
  withLayers(async ({ root, reopen, warnings }) => {
    const index = await readFile(pathOf(root, SOUND, "erofs"));
    await truncate(pathOf(root, SOUND, "erofs"), 0);
    await truncate(pathOf(root, HURT, "tar"), 512);
    await writeFile(join(root, "boot"), "another run of the kernel\n");
    const next = reopen();
    await next.sweep();
    expect([await next.has(SOUND.diffId), await next.has(HURT.diffId)]).toEqual([true, false]);
    expect(await readFile(pathOf(root, SOUND, "erofs"))).toEqual(index);
    expect(await readdir(join(root, "layers"))).toHaveLength(1);
    expect(warnings).toEqual([expect.stringContaining(`Removed layer ${HURT.diffId}`)]);
  }));

test("after a crash of the daemon alone, sweep() trusts what the kernel has", () =>
  withLayers(async ({ root, reopen, warnings }) => {
    await truncate(pathOf(root, HURT, "tar"), 512); // nobody looks
    const next = reopen();
    await next.sweep();
    expect(await next.has(HURT.diffId)).toBe(true);
    expect(warnings).toEqual([]);
  }));

test("settle() notes what is on disk, once; a layer that has gone meanwhile is no failure", () =>
  withLayers(async ({ root, reopen }) => {
    const failures: string[] = [];
    const settling = new Settling({
      ...{ directory: join(root, "layers"), bootFile: join(root, "boot") },
      onFailure: (reason) => failures.push(reason),
    });
    const names = [SOUND, HURT].map(({ diffId }) => diffId.replace("sha256:", ""));
    for (const name of [...names, "ab".repeat(32)]) settling.add(name);
    await settling.settle();
    expect([failures, existsSync(pathOf(root, SOUND, "settled"))]).toEqual([[], true]);
    await truncate(pathOf(root, SOUND, "tar"), 0);
    await writeFile(join(root, "boot"), "another run of the kernel\n");
    const next = reopen();
    await next.sweep();
    expect(await next.has(SOUND.diffId)).toBe(true); // damage after that is not for the start to find
  }));

test("resume() asks again at the next start when one of the layers could not be looked at", () =>
  withLayers(async ({ root }) => {
    const settling = new Settling({
      directory: join(root, "layers"),
      bootFile: join(root, "boot"),
      onFailure: () => {},
    });
    await writeFile(join(root, "boot"), "another run of the kernel\n");
    const asked: string[] = [];
    const look = async (name: string) => void asked.push(name);
    const fail = async (name: string) => {
      asked.push(name);
      throw new Error("full");
    };
    await expect(settling.resume(["a", "b"], fail)).rejects.toThrow("full");
    await settling.resume(["a", "b"], look);
    await settling.resume(["c"], look);
    expect(asked).toEqual(["a", "a", "b"]);
  }));
