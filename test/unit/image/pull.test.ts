import { describe, expect, test } from "bun:test";
import { type Compression, imageOf, indexOf } from "../../../bench/fixture/image.ts";
import type { Digest } from "../../../src/base/digest.ts";
import { shortId } from "../../../src/base/ids.ts";
import type { Platform } from "../../../src/base/oci.ts";
import { parseReference } from "../../../src/base/reference.ts";
import { failureOf } from "../../support/errors.ts";
import { ImageRoom } from "../../support/images.ts";

const twoLayers = (top: string) => [[{ name: "base", content: "base" }], [{ name: "top", content: top }]];
const linux = (architecture: string, variant?: string): Platform => ({
  os: "linux",
  architecture,
  ...(variant !== undefined && { variant }),
});

/** Consecutive equal statuses of one line count once. */
const statusesOf = (lines: readonly string[], digest: Digest): readonly string[] =>
  lines
    .filter((line) => line.startsWith(`${shortId(digest)}: `))
    .map((line) => line.slice(14))
    .filter((status, index, all) => status !== all[index - 1]);

test("pull() tells the progress of each layer in Docker's words", async () => {
  await using room = await ImageRoom.open();
  const image = imageOf({ layers: twoLayers("v1") });
  room.registry.push("app", "v1", image);
  const name = `${room.registry.host}/app:v1`;
  const pulled = await room.images.pull(parseReference(name), { onProgress: room.onProgress });
  const { digest } = image.manifest.descriptor;
  expect(pulled).toMatchObject({ id: image.config.descriptor.digest, digest, changed: true });
  const lines = room.lines();
  expect(lines[0]).toBe("v1: Pulling from app");
  expect(lines.slice(-2)).toEqual([`Digest: ${digest}`, `Status: Downloaded newer image for ${name}`]);
  for (const { descriptor } of image.layers)
    expect(statusesOf(lines, descriptor.digest)).toEqual([
      "Pulling fs layer",
      "Downloading",
      "Verifying Checksum",
      "Download complete",
      "Extracting",
      "Pull complete",
    ]);
});

test("pull() leaves the image with its documents, its layers and their blobs", async () => {
  await using room = await ImageRoom.open();
  const image = imageOf({ layers: twoLayers("v1") });
  room.registry.push("app", "v1", image);
  await room.images.pull(parseReference(`${room.registry.host}/app:v1`));
  const blobs = image.layers.map(({ descriptor }) => descriptor.digest);
  const kept = [image.config.descriptor.digest, image.manifest.descriptor.digest, ...blobs];
  expect<readonly Digest[]>(room.content.digests()).toEqual(kept.sort());
  expect([...room.snapshotter.layers.keys()].sort()).toEqual([...image.diffIds].sort());
  expect(room.events).toEqual([
    {
      action: "pull",
      id: `${room.registry.host}/app:v1`,
      name: `${room.registry.host}/app`,
      labels: { kind: "test" },
    },
  ]);
});

test("pull() of what is here asks one question and says so", async () => {
  await using room = await ImageRoom.open();
  room.registry.push("app", "v1", imageOf());
  const reference = parseReference(`${room.registry.host}/app:v1`);
  await room.images.pull(reference);
  room.registry.seen.length = 0;
  const again = await room.images.pull(reference, { onProgress: room.onProgress });
  expect(again.changed).toBeFalse();
  expect(room.registry.seen.map(({ method }) => method)).toEqual(["HEAD"]);
  expect(room.lines().at(-1)).toBe(`Status: Image is up to date for ${room.registry.host}/app:v1`);
});

test("pull() of a new version brings only what is new, and leaves the old one dangling", async () => {
  await using room = await ImageRoom.open();
  const [old, young] = [imageOf({ layers: twoLayers("old") }), imageOf({ layers: twoLayers("new") })];
  const reference = parseReference(`${room.registry.host}/app:v1`);
  room.registry.push("app", "v1", old);
  await room.images.pull(reference);
  room.registry.push("app", "v1", young);
  await room.images.pull(reference, { onProgress: room.onProgress });
  expect(room.lines()).toContain(`${shortId(young.layers[0]?.descriptor.digest ?? "")}: Already exists`);
  expect(room.snapshotter.unpacked).toBe(3);
  const dangling = await room.images.list({ dangling: true });
  expect(dangling.map(({ id }) => id)).toEqual([old.config.descriptor.digest]);
  expect(dangling[0]?.repoDigests).toEqual([`${room.registry.host}/app@${old.manifest.descriptor.digest}`]);
});

test("pull() by digest makes a reference by digest", async () => {
  await using room = await ImageRoom.open();
  const image = imageOf();
  room.registry.push("app", "v1", image);
  const name = `${room.registry.host}/app@${image.manifest.descriptor.digest}`;
  await room.images.pull(parseReference(name), { onProgress: room.onProgress });
  expect(room.lines()[0]).toBe(`${name}: Pulling from app`);
  const details = await room.images.inspect(name);
  expect([details.repoTags, details.repoDigests]).toEqual([[], [name]]);
});

test("pull() takes the machine's image of an index, or the one asked for", async () => {
  await using room = await ImageRoom.open();
  const here = imageOf();
  const there = imageOf({ platform: { architecture: "arm64" }, layers: [[{ name: "arm", content: "arm" }]] });
  room.registry.push("app", "amd64", here);
  room.registry.push("app", "arm64", there);
  const index = indexOf([
    { image: imageOf({ config: { x: 1 } }), platform: { os: "unknown", architecture: "unknown" } },
    { image: there, platform: linux("arm64", "v8") },
    { image: here, platform: linux("amd64") },
  ]);
  room.registry.pushDocument("app", "multi", index);
  const reference = parseReference(`${room.registry.host}/app:multi`);
  const first = await room.images.pull(reference);
  expect(first).toMatchObject({ id: here.config.descriptor.digest, digest: index.descriptor.digest });
  const second = await room.images.pull(reference, { platform: linux("arm64") });
  expect(second.id).toBe(there.config.descriptor.digest);
  expect(await failureOf(() => room.images.pull(reference, { platform: linux("ppc64le") }))).toBe(
    "notFound: no matching manifest for linux/ppc64le in the manifest list entries",
  );
});

describe("pull() takes", () => {
  test.each<[Compression, boolean]>([
    ["gzip", false],
    ["zstd", false],
    ["none", false],
    ["gzip", true],
    ["none", true],
  ])("%s layers, of Docker's types: %p", async (compression, docker) => {
    await using room = await ImageRoom.open();
    const image = imageOf({ compression, docker });
    room.registry.push("app", "v1", image);
    await room.images.pull(parseReference(`${room.registry.host}/app:v1`));
    expect(room.snapshotter.layers.size).toBe(1);
  });

  test("an image without layers", async () => {
    await using room = await ImageRoom.open();
    room.registry.push("scratch", "latest", imageOf({ layers: [] }));
    const { id } = await room.images.pull(parseReference(`${room.registry.host}/scratch`));
    expect((await room.images.get(id)).layers).toEqual([]);
  });

  test("an image that lists one layer twice", async () => {
    await using room = await ImageRoom.open();
    const same = [{ name: "same", content: "same" }];
    room.registry.push("app", "v1", imageOf({ layers: [same, same] }));
    const { id } = await room.images.pull(parseReference(`${room.registry.host}/app:v1`));
    expect((await room.images.get(id)).layers).toHaveLength(2);
    expect(room.snapshotter.unpacked).toBe(1);
  });
});

test("pullAll() brings every tag", async () => {
  await using room = await ImageRoom.open();
  room.registry.push("app", "v1", imageOf());
  room.registry.push("app", "v2", imageOf({ layers: twoLayers("v2") }));
  await room.images.pullAll(parseReference(`${room.registry.host}/app`));
  const { host } = room.registry;
  const tags = (await room.images.list()).flatMap(({ repoTags }) => repoTags);
  expect(tags.sort()).toEqual([`${host}/app:v1`, `${host}/app:v2`]);
});

test("two pulls of one layer share its way", async () => {
  await using room = await ImageRoom.open();
  const shared = [{ name: "shared", content: "x".repeat(10_000) }];
  const [one, two] = ["one", "two"].map((name) => imageOf({ layers: [shared, [{ name }]] }));
  if (!one || !two) throw new Error("no images");
  room.registry.push("one", "latest", one);
  room.registry.push("two", "latest", two);
  const [diffId] = one.diffIds;
  // Neither gets past the shared layer until both have come to it.
  const both = Promise.withResolvers<void>();
  room.snapshotter.beforeUnpack = async (layer) => {
    if (layer === diffId) await both.promise;
  };
  let arrived = 0;
  const onProgress = ({ status }: { status: string }) => {
    if (status === "Pulling fs layer" && ++arrived === 4) both.resolve();
  };
  const { host } = room.registry;
  await Promise.all(["one", "two"].map((name) => room.images.pull(parseReference(`${host}/${name}`), { onProgress })));
  expect(room.registry.asked(one.layers[0]?.descriptor.digest ?? "")).toHaveLength(1);
  expect(room.snapshotter.unpacked).toBe(3);
});

test("a pull that leaves does not disturb one that shares a layer with it", async () => {
  await using room = await ImageRoom.open();
  const image = imageOf();
  room.registry.push("app", "v1", image);
  const reference = parseReference(`${room.registry.host}/app:v1`);
  const unpacking = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  room.snapshotter.beforeUnpack = () => {
    unpacking.resolve();
    return goOn.promise;
  };
  const stop = new AbortController();
  const leaving = failureOf(() => room.images.pull(reference, { signal: stop.signal }));
  await unpacking.promise;
  const joined = Promise.withResolvers<void>();
  const staying = room.images.pull(reference, {
    onProgress: ({ status }) => {
      // What is told to one who joins is where the layer has got to.
      if (status === "Extracting") joined.resolve();
    },
  });
  await joined.promise;
  stop.abort(new Error("left"));
  expect(await leaving).toBe("internal: left");
  goOn.resolve();
  expect((await staying).id).toBe(image.config.descriptor.digest);
  expect(room.snapshotter.layers.size).toBe(1);
});

test("at most as many layers as allowed are downloaded at once, the others wait", async () => {
  await using room = await ImageRoom.open({ limits: { maxConcurrentDownloads: 2 } });
  const image = imageOf({ layers: ["a", "b", "c", "d"].map((name) => [{ name, content: name }]) });
  room.registry.push("app", "v1", image);
  const digests = new Set<string>(image.layers.map(({ descriptor }) => descriptor.digest));
  let open = 0;
  let most = 0;
  room.registry.misbehave = (request, response) => {
    if (!digests.has(request.url?.split("/").at(-1) ?? "")) return false;
    most = Math.max(most, ++open);
    response.on("close", () => open--);
    return false;
  };
  await room.images.pull(parseReference(`${room.registry.host}/app:v1`), { onProgress: room.onProgress });
  expect(most).toBeLessThanOrEqual(2);
  expect(room.lines().filter((line) => line.endsWith(": Waiting"))).toHaveLength(2);
});
