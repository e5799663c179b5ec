import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tarOf } from "../../bench/fixture/tar.ts";
import { buildShim } from "../../shim/shim.build.ts";
import { digestOf } from "../../src/base/digest.ts";
import type { UnpackJob } from "../../src/wasm/unpack.ts";
import { Workers } from "../../src/wasm/workers.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { randomBytes } from "../suite/content.ts";
import { makeFolder } from "../support/folder.ts";

await buildWasm();
await buildShim();

const DYING = new URL("../fake/dying-worker.ts", import.meta.url);
const jobFor = (blob: string): UnpackJob => ({
  blob,
  directory: "/nowhere",
  diffId: digestOf(blob),
  format: "erofs",
  maxTarBytes: 1,
});

for (const way of ["throw", "exit"])
  test(`unpack() rejects when its Worker dies (${way}), and the pool goes on`, async () => {
    using pool = new Workers({ size: 1, script: DYING });
    await expect(pool.unpack(jobFor(way))).rejects.toThrow("a worker died");
    expect(await pool.unpack(jobFor("fine"))).toMatchObject({ format: "erofs" });
  });

test("unpack() starts another Worker when an idle one has died", async () => {
  using pool = new Workers({ size: 1, script: DYING });
  for (let round = 0; round < 5; round++)
    expect(await pool.unpack(jobFor("exit later")).catch((error: Error) => error.message)).toBeDefined();
  expect(await pool.unpack(jobFor("fine")).catch(() => pool.unpack(jobFor("fine")))).toMatchObject({
    format: "erofs",
  });
});

test("unpack() runs more jobs than there are Workers", async () => {
  using pool = new Workers({ size: 2, script: DYING });
  const jobs = Array.from({ length: 20 }, () => pool.unpack(jobFor("fine")));
  expect((await Promise.all(jobs)).length).toBe(20);
});

test("unpack() tells its progress, and stops at the next chunk when its signal does", async () => {
  await using folder = await makeFolder();
  const tar = tarOf({ name: "large", data: randomBytes(40 << 20) });
  const blob = join(folder.path, "blob");
  await writeFile(blob, tar);
  using pool = new Workers({ size: 1 });
  const stop = new AbortController();
  const told: number[] = [];
  const job: UnpackJob = { blob, directory: folder.path, diffId: digestOf(tar), format: "erofs", maxTarBytes: 2 ** 30 };
  const onProgress = (bytes: number): void => {
    told.push(bytes);
    stop.abort(new Error("enough"));
  };
  await expect(pool.unpack(job, { signal: stop.signal, onProgress })).rejects.toThrow("enough");
  expect(told[0]).toBeLessThan(tar.length);
});

test("the process ends although Workers are idle", async () => {
  const script = `
    const { Workers } = await import(${JSON.stringify(new URL("../../src/wasm/workers.ts", import.meta.url).pathname)});
    const pool = new Workers({ size: 1, script: new URL(${JSON.stringify(DYING.href)}) });
    await pool.unpack({ blob: "fine" });
    console.log("done");`;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
  expect(await child.stdout.text()).toBe("done\n");
  expect(await child.exited).toBe(0);
});
