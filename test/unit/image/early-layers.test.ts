import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { imageOf } from "../../../bench/fixture/image.ts";
import { hexOf } from "../../../src/base/digest.ts";
import { shortId } from "../../../src/base/ids.ts";
import { dockerArchive, layoutArchive, piecesOf, streamOf } from "../../support/archive.ts";
import { EarlyRoom } from "../../support/early.ts";
import { failureOf } from "../../support/errors.ts";

/** Large enough to be begun early, however it is packed. */
const content = randomBytes(5 << 20);
const files = [[{ name: "large", content }], [{ name: "small", content: "small" }]];

for (const compression of ["none", "gzip", "zstd"] as const)
  test(`load() has made a large layer (${compression}) before its archive is whole`, async () => {
    await using early = await EarlyRoom.open();
    const { room, snapshotter } = early;
    const image = imageOf({ layers: files, compression });
    const tag = { "org.opencontainers.image.ref.name": "app:1" };
    const archive = layoutArchive(
      [{ ...image.manifest.descriptor, annotations: tag }],
      [...piecesOf(image).toReversed()],
    );
    // The large layer is the archive's last blob but two; the documents come behind it.
    const end = archive.byteLength - 4096;
    await room.images.load(early.stream(archive.subarray(0, end), 1, archive.subarray(end)), {
      onProgress: room.onProgress,
    });
    expect(snapshotter.outcomes).toEqual(["staged"]);
    expect((await early.left()).toSorted()).toEqual(image.diffIds.map(hexOf).toSorted());
    expect((await room.images.get("app:1")).id).toBe(image.config.descriptor.digest);
    const counts = room.progress.filter(({ id }) => id === shortId(image.diffIds[0] ?? ""));
    expect(counts.at(-1)?.detail?.current).toBe(counts.at(-1)?.detail?.total);
  });

test("load() begins nothing early that is there already", async () => {
  await using early = await EarlyRoom.open();
  const image = imageOf({ layers: files });
  const archive = dockerArchive([{ image, tags: ["app:1"] }]);
  for (let round = 0; round < 2; round++) await early.room.images.load(streamOf(archive));
  expect(early.snapshotter.outcomes).toEqual(["staged"]);
});

test("load() leaves nothing when an archive breaks off within a large layer", async () => {
  await using early = await EarlyRoom.open();
  const archive = dockerArchive([{ image: imageOf({ layers: files }), tags: ["app:1"] }]);
  const failure = await failureOf(() => early.room.images.load(streamOf(archive.subarray(0, 3 << 20), 1 << 16)));
  expect(failure).toBe("corrupt: Cannot read the archive: it ends too early");
  expect(early.snapshotter.outcomes).not.toContain("staged");
  expect(await early.left()).toEqual([]);
});

test("load() leaves nothing when its client goes", async () => {
  await using early = await EarlyRoom.open();
  const stop = new AbortController();
  const archive = dockerArchive([{ image: imageOf({ layers: files }), tags: ["app:1"] }]);
  const end = archive.byteLength - 1024;
  const stream = early.stream(archive.subarray(0, end), 1, archive.subarray(end));
  const onOutcome = early.snapshotter.onOutcome;
  early.snapshotter.onOutcome = () => {
    stop.abort(new Error("gone"));
    onOutcome();
  };
  expect(await failureOf(() => early.room.images.load(stream, { signal: stop.signal }))).toContain("gone");
  expect(await early.left()).toEqual([]);
});
