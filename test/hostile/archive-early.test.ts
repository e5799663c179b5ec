/** Archives with large files that are not what they seem: they are unpacked before anybody can know. */

import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { imageOf, json, tarOf } from "../../bench/fixture/image.ts";
import { digestOf, hexOf } from "../../src/base/digest.ts";
import { dockerArchive, streamOf } from "../support/archive.ts";
import { EarlyRoom } from "../support/early.ts";
import { failureOf } from "../support/errors.ts";

const large = tarOf({ name: "large", content: randomBytes(5 << 20) });
const image = imageOf();
const archive = dockerArchive([{ image, tags: ["app:1"] }]);

/** Loads the image with one more file before it. */
async function loadBeside(name: string, content: Uint8Array): Promise<readonly string[]> {
  await using early = await EarlyRoom.open();
  const extra = tarOf({ name, content }).subarray(0, -1024);
  await early.room.images.load(early.stream(extra, 1, archive));
  expect(await early.left()).toEqual(image.diffIds.map(hexOf));
  expect(await Array.fromAsync(early.snapshotter.listLayers())).toEqual([...image.diffIds]);
  return early.snapshotter.outcomes;
}

test("a layer that no document names does not stay", async () => {
  expect(await loadBeside("layer.tar", large)).toEqual(["staged"]);
});

test("a file that says it is a layer by its name, and is another one, does not stay", async () => {
  expect(await loadBeside(`blobs/sha256/${hexOf(digestOf(large))}`, large)).toEqual(["staged"]);
});

test("a file that is no tar is no reason to fail", async () => {
  expect(await loadBeside("data", randomBytes(5 << 20))).toEqual(["corrupt"]);
});

test("a bomb that nobody asks for is stopped early", async () => {
  const noise = randomBytes((4 << 20) + 4096);
  const bomb = tarOf({ name: "noise", content: noise }, { name: "zeros", content: Buffer.alloc(140 << 20) });
  expect(await loadBeside("layer.tar", zstdCompressSync(bomb))).toEqual(["corrupt"]);
});

test("a layer with another content than its configuration says is refused, and does not stay", async () => {
  await using early = await EarlyRoom.open();
  const manifest = [{ Config: "config.json", RepoTags: ["app:1"], Layers: ["layer.tar"] }];
  const bytes = tarOf(
    { name: "layer.tar", content: large },
    { name: "config.json", content: image.config.bytes },
    { name: "manifest.json", content: json(manifest) },
  );
  const failure = await failureOf(() => early.room.images.load(streamOf(bytes)));
  expect(failure).toMatch(/^corrupt: Cannot make a layer: its tar is sha256:.*, want sha256:/);
  expect(await early.left()).toEqual([]);
});
