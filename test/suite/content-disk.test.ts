import { expect, test } from "bun:test";
import { closeSync } from "node:fs";
import { mkdir } from "node:fs/promises";
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
