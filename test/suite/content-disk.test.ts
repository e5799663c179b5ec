import { expect, test } from "bun:test";
import { closeSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { buildShim } from "../../shim/shim.build.ts";
import { digestOf } from "../../src/base/digest.ts";
import { kindOf } from "../../src/base/errors.ts";
import { attachMount, openMount } from "../../src/base/mounts.ts";
import { bytesOf } from "../../src/base/streams.ts";
import { DiskContentStore } from "../../src/store/content-disk.ts";
import { makeFolder } from "../support/folder.ts";
import { contentSuite, randomBytes } from "./content.ts";

await buildShim();
contentSuite("DiskContentStore", (root) => new DiskContentStore(root));

test("put() says unavailable and gives the space back when the disk is full", async () => {
  await using folder = await makeFolder();
  const small = join(folder.path, "small");
  await mkdir(small);
  const mount = openMount("tmpfs", ["size=64k"]);
  attachMount(mount, small);
  closeSync(mount);
  const store = new DiskContentStore(small);
  const large = randomBytes(200_000);
  const wanted = { digest: digestOf(large), size: large.length };
  const error = await store
    .put(wanted, async () => ({ start: 0, body: bytesOf(large) }))
    .catch((thrown: unknown) => thrown);
  expect(kindOf(error)).toBe("unavailable");
  const fits = randomBytes(30_000, 5);
  const blob = await store.put({ digest: digestOf(fits), size: 30_000 }, async () => ({
    start: 0,
    body: bytesOf(fits),
  }));
  expect(blob.size).toBe(30_000);
});

test("remove() of what is still being given up leaves no part of it", async () => {
  await using folder = await makeFolder();
  const store = new DiskContentStore(folder.path);
  const large = randomBytes(200_000);
  const wanted = { digest: digestOf(large), size: large.length };
  const [stop, read] = [new AbortController(), Promise.withResolvers<void>()];
  const body = new ReadableStream<Uint8Array>(
    {
      start: (out) => out.enqueue(large.subarray(0, 1000)),
      pull() {
        read.resolve();
        return new Promise(() => {}); // nothing more comes
      },
      cancel: () => Bun.sleep(20), // a connection takes its time to close
    },
    { highWaterMark: 0 },
  );
  const putting = store.put(wanted, async () => ({ start: 0, body }), { signal: stop.signal });
  await read.promise;
  stop.abort(new Error("another layer failed"));
  await expect(putting).rejects.toThrow("another layer failed");
  await store.remove(wanted.digest);
  expect(await readdir(join(folder.path, "blobs", "sha256"))).toEqual([]);
});
