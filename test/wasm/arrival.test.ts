/** A layer that is unpacked while its blob arrives. The reader blocks its thread, so it is an unpacking Worker here. */

import { expect, test } from "bun:test";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { mkdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { tarOf } from "../../bench/fixture/tar.ts";
import { buildShim } from "../../shim/shim.build.ts";
import { digestOf } from "../../src/base/digest.ts";
import { kindOf } from "../../src/base/errors.ts";
import { Arrival } from "../../src/wasm/arrival.ts";
import { Workers } from "../../src/wasm/workers.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { randomBytes } from "../suite/content.ts";
import { makeFolder } from "../support/folder.ts";

await buildWasm();
await buildShim();

const TAR = tarOf({ name: "one", data: randomBytes(700_001) }, { name: "two", data: Buffer.alloc(900_000, "text ") });

interface Bench {
  readonly folder: string;
  readonly arrival: Arrival;
  /** Appends, and says so. */
  grow(bytes: Uint8Array): void;
  /** Begins with what is there. @returns the job's end */
  unpack(): Promise<unknown>;
}

async function withArrival(blob: Uint8Array, body: (bench: Bench) => Promise<void>): Promise<void> {
  await using folder = await makeFolder();
  using pool = new Workers({ size: 1 });
  using arrival = new Arrival();
  const path = join(folder.path, "part");
  const fd = openSync(path, "w");
  let size = 0;
  const unpack = async () => {
    const arriving = await arrival.begun;
    if (!arriving) throw new Error("nothing arrives");
    const directory = join(folder.path, "layer");
    await mkdir(directory);
    return pool.unpack({
      ...{ blob: arriving.path, arrival: arriving.memory, blobBytes: blob.length, directory },
      ...{ diffId: digestOf(TAR), format: "erofs" as const, maxTarBytes: 2 ** 30 },
    });
  };
  const grow = (bytes: Uint8Array) => {
    writeSync(fd, bytes);
    size += bytes.length;
    arrival.advance(path, size);
  };
  try {
    await body({ folder: folder.path, arrival, grow, unpack });
  } finally {
    closeSync(fd);
  }
}

const BLOBS = { plain: TAR, gzip: gzipSync(TAR), zstd: zstdCompressSync(TAR) };

for (const [what, blob] of Object.entries(BLOBS))
  for (const cuts of [[1], [3], [4], [0.5], [0.1, 0.2, 0.9], [1 - 1e-6]])
    test(`a ${what} blob that comes in pieces cut at ${cuts} becomes the layer`, () =>
      withArrival(blob, async ({ folder, arrival, grow, unpack }) => {
        const places = [0, ...cuts.map((cut) => (cut < 1 ? Math.floor(cut * blob.length) : cut)), blob.length];
        grow(blob.subarray(places[0], places[1]));
        const done = unpack();
        for (let at = 1; at + 1 < places.length; at++) grow(blob.subarray(places[at], places[at + 1]));
        await rename(join(folder, "part"), join(folder, "whole")); // as a blob is that became complete
        arrival.complete();
        await done;
        expect(digestOf(await readFile(join(folder, "layer", "tar")))).toBe(digestOf(TAR));
      }));

const refused = (done: Promise<unknown>) => done.then(() => "done", kindOf);

test("what was read is void when the file begins anew, and when nobody brings the rest", async () => {
  for (const spoil of [(one: Arrival) => one.advance("", 0), (one: Arrival) => one.abandon()])
    await withArrival(BLOBS.gzip, async ({ arrival, grow, unpack }) => {
      grow(BLOBS.gzip.subarray(0, 1000));
      const done = unpack();
      spoil(arrival);
      expect(await refused(done)).toBe("unavailable");
    });
});

test("a blob that ends too early is corrupt", () =>
  withArrival(BLOBS.gzip, async ({ arrival, grow, unpack }) => {
    grow(BLOBS.gzip.subarray(0, 5000));
    const done = unpack();
    arrival.complete();
    expect(await refused(done)).toBe("corrupt");
  }));

test("begun says when nothing will come, and what was begun outlives the file's name", async () => {
  const never = new Arrival();
  never.complete();
  expect(await never.begun).toBeUndefined();
  await withArrival(BLOBS.plain, async ({ folder, arrival, grow, unpack }) => {
    grow(BLOBS.plain);
    rmSync(join(folder, "part"));
    const done = unpack();
    arrival.complete();
    expect(await done).toMatchObject({ entries: 2 });
  });
});
