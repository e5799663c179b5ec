/** Archives and tars that are small until they are unpacked. */

import { expect, test } from "bun:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { imageOf, tarOf } from "../../bench/fixture/image.ts";
import { dockerArchive, streamOf } from "../support/archive.ts";
import { EarlyRoom } from "../support/early.ts";
import { failureOf } from "../support/errors.ts";
import { packedBy } from "../support/tools.ts";

const bombs = { anyBytes: 1 << 20, ratio: 20 };
const zeros = Buffer.alloc(5 << 20);

const packers: Readonly<Record<string, (tar: Uint8Array) => Uint8Array>> = {
  gzip: (tar) => gzipSync(tar),
  zstd: (tar) => zstdCompressSync(tar),
  ...Object.fromEntries(
    ["xz", "bzip2"].filter((tool) => Bun.which(tool)).map((tool) => [tool, (tar: Uint8Array) => packedBy(tool, tar)]),
  ),
};

async function failureOfLoad(archive: ReadableStream<Uint8Array>): Promise<string> {
  await using early = await EarlyRoom.open({ bombs });
  const failure = await failureOf(() => early.room.images.load(archive));
  expect(await early.left()).toEqual([]);
  expect(await early.room.images.list()).toEqual([]);
  return failure;
}

const TOO_MUCH = /^corrupt: Cannot read the archive: \d+ bytes of it become more than \d+$/;

for (const [name, pack] of Object.entries(packers)) {
  test(`load() stops when a small ${name} grows beyond the limit, and leaves nothing`, async () => {
    expect(await failureOfLoad(streamOf(pack(tarOf({ name: "layer.tar", content: zeros }))))).toMatch(TOO_MUCH);
  });

  test(`import() stops when the tar of a small ${name} grows beyond the limit, and leaves nothing`, async () => {
    await using early = await EarlyRoom.open({ bombs });
    const options = {
      ...{ reference: undefined, message: "", changes: [], signal: undefined },
      platform: { os: "linux", architecture: "amd64" },
    };
    const archive = streamOf(pack(tarOf({ name: "zeros", content: zeros })));
    expect(await failureOf(() => early.room.images.import(archive, options))).toMatch(
      /^corrupt: .* its tar has more than 1048576 bytes$/,
    );
    expect(await early.left()).toEqual([]);
  });
}

test("load() stops at an archive of nothing but extended headers", async () => {
  const header = tarOf({ name: "x", type: "x", content: Buffer.from("12 comment=\n".padEnd(12)) }).subarray(0, -1024);
  const headers = Buffer.concat(Array.from({ length: 3000 }, () => header));
  expect(await failureOfLoad(streamOf(gzipSync(headers)))).toMatch(TOO_MUCH);
});

test("load() stops at an archive that never ends", async () => {
  const [head, more] = [tarOf({ name: "endless", size: 2 ** 32 }).subarray(0, 512), Buffer.alloc(1 << 16)];
  let isFirst = true;
  const endless = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(out) {
      out.enqueue(new Uint8Array(isFirst ? head : more));
      isFirst = false;
    },
  });
  expect(await failureOfLoad(endless.pipeThrough(new CompressionStream("gzip")))).toMatch(TOO_MUCH);
});

test("load() takes an archive that is packed well, but within the limit", async () => {
  await using early = await EarlyRoom.open({ bombs });
  const image = imageOf({ layers: [[{ name: "zeros", content: Buffer.alloc(900_000) }]], compression: "none" });
  await early.room.images.load(streamOf(gzipSync(dockerArchive([{ image, tags: ["app:1"] }]))));
  expect((await early.room.images.get("app:1")).id).toBe(image.config.descriptor.digest);
});
