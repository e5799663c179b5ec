/** The thread that hashes and writes a layer's tar. TarThread blocks its own thread, so that it is driven by an unpacking Worker here. */

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tarOf } from "../../bench/fixture/tar.ts";
import { buildShim } from "../../shim/shim.build.ts";
import { digestOf } from "../../src/base/digest.ts";
import { kindOf } from "../../src/base/errors.ts";
import { Ring, ringMemory } from "../../src/wasm/ring.ts";
import type { UnpackJob } from "../../src/wasm/unpack.ts";
import { Workers } from "../../src/wasm/workers.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { randomBytes } from "../suite/content.ts";
import { makeFolder } from "../support/folder.ts";
import { until } from "../support/patience.ts";

await buildWasm();
await buildShim();

/** Large enough for a thread, and no multiple of anything. */
const TAR = tarOf({ name: "large", data: randomBytes((11 << 20) + 12_345) }, { name: "small", data: randomBytes(7) });

async function withJob(body: (job: UnpackJob, folder: string) => Promise<void>): Promise<void> {
  await using folder = await makeFolder();
  const blob = join(folder.path, "blob");
  const directory = join(folder.path, "layer");
  await mkdir(directory);
  await writeFile(blob, TAR);
  await body({ blob, directory, diffId: digestOf(TAR), format: "erofs", maxTarBytes: 2 ** 30 }, folder.path);
}

test("Ring hands pieces over in order, as they were, and ends", () => {
  const memory = ringMemory();
  const [giver, taker] = [new Ring(memory), new Ring(memory)];
  const got: number[] = [];
  for (let round = 0; round < 20; round++) {
    for (const length of [1, 1 << 20, 513]) giver.put(randomBytes(length, round + 1));
    for (const length of [1, 1 << 20, 513])
      expect(taker.take((piece) => got.push(Buffer.compare(piece, randomBytes(length, round + 1))))).toBe(true);
  }
  expect(got).toEqual(Array(60).fill(0));
  giver.put(new Uint8Array());
  expect(taker.take(() => got.push(1))).toBe(false);
  expect(got).toHaveLength(60);
});

test("Ring lets nobody wait once a side has stopped", () => {
  const memory = ringMemory();
  const [giver, taker] = [new Ring(memory), new Ring(memory)];
  taker.stop();
  for (let more = 0; more < 20; more++) giver.put(new Uint8Array(10));
  expect(taker.take(() => undefined)).toBe(false);
  expect(giver.isStopped).toBe(true);
});

test("unpack() writes a large tar as it is", () =>
  withJob(async (job) => {
    using pool = new Workers({ size: 1 });
    for (const round of [1, 2, 3]) {
      const directory = join(job.directory, String(round));
      await mkdir(directory);
      expect(await pool.unpack({ ...job, directory })).toEqual({
        diffId: digestOf(TAR),
        format: "erofs",
        tarBytes: TAR.length,
        entries: 2,
      });
      expect(Buffer.compare(await readFile(join(directory, "tar")), TAR)).toBe(0);
    }
  }));

test("unpack() refuses a large tar with another diffId, and goes on", () =>
  withJob(async (job) => {
    using pool = new Workers({ size: 1 });
    const wrong = await pool.unpack({ ...job, diffId: digestOf("other") }).catch((error: unknown) => error);
    expect(String(wrong)).toContain(`its tar is ${job.diffId}, want ${digestOf("other")}`);
    expect(kindOf(wrong)).toBe("corrupt");
    const directory = join(job.directory, "again");
    await mkdir(directory);
    expect(await pool.unpack({ ...job, directory })).toMatchObject({ format: "erofs" });
  }));

test("unpack() stops its second thread when the tar is damaged half-way, and goes on", () =>
  withJob(async (job, folder) => {
    using pool = new Workers({ size: 1 });
    const damaged = join(folder, "damaged");
    await writeFile(damaged, Buffer.concat([TAR.subarray(0, 11 << 20), Buffer.alloc(2 << 20, 1)]));
    for (const round of [1, 2, 3]) {
      const directory = join(folder, `damaged-${round}`);
      await mkdir(directory);
      const error = await pool.unpack({ ...job, blob: damaged, directory }).catch((thrown: unknown) => thrown);
      expect(kindOf(error)).toBe("corrupt");
    }
    expect(await pool.unpack(job)).toMatchObject({ format: "erofs" });
  }));

test("unpack() tells what the second thread failed with", () =>
  withJob(async (job) => {
    using pool = new Workers({ size: 1 });
    await writeFile(join(job.directory, "tar"), "in the way");
    await expect(pool.unpack(job)).rejects.toThrow("EEXIST");
    expect(existsSync(join(job.directory, "erofs"))).toBe(false);
  }));

test("Workers end when they had no work for a while, and others begin", async () => {
  await using folder = await makeFolder();
  const blob = join(folder.path, "blob");
  const tar = tarOf({ name: "one", data: randomBytes(10) });
  await writeFile(blob, tar);
  const threads = () =>
    readFile("/proc/self/status", "utf8").then((text) => Number(/^Threads:\s+(\d+)/m.exec(text)?.[1]));
  using pool = new Workers({ size: 1, idleMs: 10 });
  for (const round of [1, 2]) {
    const directory = join(folder.path, String(round));
    await mkdir(directory);
    const state = { isOver: false, busy: 0 };
    const unpacking = pool
      .unpack({ blob, directory, diffId: digestOf(tar), format: "erofs", maxTarBytes: 1 << 20 })
      .finally(() => {
        state.isOver = true;
      });
    while (!state.isOver) state.busy = Math.max(state.busy, await threads());
    await unpacking;
    await until("a thread has ended", async () => (await threads()) < state.busy);
  }
});
