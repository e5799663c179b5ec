import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { zstdDecompressSync } from "node:zlib";
import { imageOf, type TestImage } from "../../../bench/fixture/image.ts";
import type { Digest } from "../../../src/base/digest.ts";
import { dockerManifest, ociManifest } from "../../../src/base/media-types.ts";
import { parseReference } from "../../../src/base/reference.ts";
import { bytesOf } from "../../../src/base/streams.ts";
import type { Pushed, PushOptions } from "../../../src/image/push.ts";
import { FakeRegistry } from "../../fake/registry.ts";
import { dockerArchive } from "../../support/archive.ts";
import { failureOf } from "../../support/errors.ts";
import { ImageRoom } from "../../support/images.ts";

const two = (options: Parameters<typeof imageOf>[0] = {}): TestImage =>
  imageOf({ layers: [[{ name: "a", content: "a".repeat(5000) }], [{ name: "b", content: "b" }]], ...options });

const short = (digest: string | undefined): string => digest?.slice(7, 19) ?? "";

/** A room that has pulled an image, and another registry to push it to. */
async function pulled(image: TestImage): Promise<{
  room: ImageRoom;
  target: FakeRegistry;
  push: (name: string, options?: PushOptions) => Promise<Pushed[]>;
}> {
  const room = await ImageRoom.open();
  room.registry.push("app", "v1", image);
  await room.images.pull(parseReference(`${room.registry.host}/app:v1`));
  const target = await FakeRegistry.start();
  const push = async (name: string, options: PushOptions = {}) => {
    const done: Pushed[] = [];
    room.progress.length = 0;
    const { onProgress } = room;
    await room.images.push(parseReference(name), { onProgress, onPushed: (one) => done.push(one), ...options });
    return done;
  };
  return { room, target, push };
}

const uploads = (registry: FakeRegistry) => registry.seen.filter(({ method }) => method === "PATCH").length;

describe.each([
  ["Docker, gzip", { docker: true }],
  ["OCI, gzip", {}],
  ["OCI, zstd", { compression: "zstd" }],
  ["OCI, plain", { compression: "none" }],
] as const)("a pulled image (%s)", (_name, options) => {
  const image = two(options);

  test("push() keeps its digest at another registry, and sends nothing twice", async () => {
    const { room, target, push } = await pulled(image);
    await using _room = room;
    await using _target = target;
    const { digest, size } = image.manifest.descriptor;
    await room.images.tag(`${room.registry.host}/app:v1`, parseReference(`${target.host}/copy:v2`));
    expect(await push(`${target.host}/copy:v2`)).toEqual([{ tag: "v2", digest, size }]);
    const [bottom, top] = image.diffIds.map(short);
    const lines = room.lines();
    expect(lines.slice(0, 3)).toEqual([
      `The push refers to repository [${target.host}/copy]`,
      `${top}: Preparing`,
      `${bottom}: Preparing`,
    ]);
    for (const id of [top, bottom]) expect(lines).toContain(`${id}: Pushed`);
    expect(lines.at(-1)).toBe(`v2: digest: ${digest} size: ${size}`);
    expect(Buffer.from(target.document("copy", "v2")?.bytes ?? []).equals(image.manifest.bytes)).toBeTrue();
    expect(uploads(target)).toBe(3);
    await push(`${target.host}/copy:v2`);
    expect(room.lines().filter((line) => line.endsWith("Layer already exists"))).toHaveLength(2);
    expect(uploads(target)).toBe(3);
    const { repoDigests } = await room.images.inspect(`${target.host}/copy:v2`);
    expect(repoDigests).toContain(`${target.host}/copy@${digest}`);
    expect(room.events.filter(({ action }) => action === "push").map(({ id, name }) => [id, name])).toEqual([
      [`${target.host}/copy:v2`, `${target.host}/copy`],
      [`${target.host}/copy:v2`, `${target.host}/copy`],
    ]);
  });
});

test("push() mounts what another repository of the registry has", async () => {
  const image = two();
  const { room, target, push } = await pulled(image);
  await using _room = room;
  await using _target = target;
  const { host } = room.registry;
  await room.images.tag(`${host}/app:v1`, parseReference(`${host}/other:v1`));
  await push(`${host}/other:v1`);
  expect(room.lines().filter((line) => line.endsWith("Mounted from app"))).toHaveLength(2);
  expect(uploads(room.registry)).toBe(1); // the configuration
});

test("push() compresses a layer whose blob is lost or damaged, and the image gets a new manifest of its family", async () => {
  for (const docker of [true, false]) {
    const image = two({ docker });
    const { room, target, push } = await pulled(image);
    await using _room = room;
    await using _target = target;
    const [lost, damaged] = image.layers.map(({ descriptor }) => descriptor.digest);
    await room.content.remove(lost as Digest);
    const { path, size } = await room.content.get(damaged as Digest);
    await writeFile(path, Buffer.alloc(size));
    await room.images.tag(`${room.registry.host}/app:v1`, parseReference(`${target.host}/app:v1`));
    const [done] = await push(`${target.host}/app:v1`);
    expect(done?.digest).not.toBe(image.manifest.descriptor.digest);
    const document = target.document("app", "v1");
    expect(document?.descriptor.mediaType).toBe(docker ? dockerManifest : ociManifest);
    const again = await ImageRoom.open();
    await using _again = again;
    const { id } = await again.images.pull(parseReference(`${target.host}/app:v1`));
    expect(id).toBe(image.config.descriptor.digest);
    // Not made anew: the same digest the next time, and nothing is sent.
    const before = uploads(target);
    expect((await push(`${target.host}/app:v1`))[0]?.digest).toBe(done?.digest);
    expect(uploads(target)).toBe(before);
  }
});

test("push() takes a blob that is lost here from the registry that still has it", async () => {
  const image = two();
  const { room, target, push } = await pulled(image);
  await using _room = room;
  await using _target = target;
  for (const { descriptor } of image.layers) await room.content.remove(descriptor.digest);
  const [done] = await push(`${room.registry.host}/app:v1`);
  expect(done?.digest).toBe(image.manifest.descriptor.digest);
  expect(uploads(room.registry)).toBe(0);
});

test("push() makes a Docker manifest of an image without one, in gzip", async () => {
  const image = two();
  await using room = await ImageRoom.open();
  await room.images.load(bytesOf(new Uint8Array(dockerArchive([{ image, tags: [`${room.registry.host}/app:v1`] }]))));
  await room.images.push(parseReference(`${room.registry.host}/app:v1`), { onProgress: room.onProgress });
  const document = room.registry.document("app", "v1");
  expect(document?.descriptor.mediaType).toBe(dockerManifest);
  const { layers } = JSON.parse(Buffer.from(document?.bytes ?? []).toString());
  for (const { mediaType } of layers) expect(mediaType).toBe("application/vnd.docker.image.rootfs.diff.tar.gzip");
  await using again = await ImageRoom.open();
  const { id } = await again.images.pull(parseReference(`${room.registry.host}/app:v1`));
  expect(id).toBe(image.config.descriptor.digest);
});

test("push() with a compression of its own makes an OCI manifest in zstd, also of what came in gzip", async () => {
  const image = two({ docker: true });
  const { room, target, push } = await pulled(image);
  await using _room = room;
  await using _target = target;
  await room.images.tag(`${room.registry.host}/app:v1`, parseReference(`${target.host}/app:v1`));
  await push(`${target.host}/app:v1`, { compression: "zstd" });
  const document = target.document("app", "v1");
  expect(document?.descriptor.mediaType).toBe(ociManifest);
  const { layers } = JSON.parse(Buffer.from(document?.bytes ?? []).toString());
  for (const [at, { mediaType, digest }] of layers.entries()) {
    expect(mediaType).toBe("application/vnd.oci.image.layer.v1.tar+zstd");
    const tar = zstdDecompressSync(target.blob("app", digest) ?? new Uint8Array());
    expect(tar.equals(image.tars[at] ?? new Uint8Array())).toBeTrue();
  }
});

test("push() of a repository sends every tag of it", async () => {
  const image = two();
  const { room, target, push } = await pulled(image);
  await using _room = room;
  await using _target = target;
  for (const tag of ["one", "two"])
    await room.images.tag(`${room.registry.host}/app:v1`, parseReference(`${target.host}/app:${tag}`));
  expect((await push(`${target.host}/app`)).map(({ tag }) => tag)).toEqual(["one", "two"]);
  expect(uploads(target)).toBe(3);
});

test("push() says in Docker's words what is not there", async () => {
  const { room, target, push } = await pulled(two());
  await using _room = room;
  await using _target = target;
  const { host } = room.registry;
  expect(await failureOf(() => push(`${host}/none:v1`))).toBe(
    `notFound: An image does not exist locally with the tag: ${host}/none`,
  );
  expect(await failureOf(() => push(`${host}/app:none`))).toBe(`notFound: tag does not exist: ${host}/app:none`);
});

test("push() stops when its signal does, and nothing is left behind", async () => {
  const { room, target, push } = await pulled(two());
  await using _room = room;
  await using _target = target;
  await room.images.tag(`${room.registry.host}/app:v1`, parseReference(`${target.host}/app:v1`));
  const stop = new AbortController();
  target.misbehave = (request) => {
    if (request.method !== "PATCH") return false;
    stop.abort(new Error("enough"));
    return true;
  };
  expect(await failureOf(() => push(`${target.host}/app:v1`, { signal: stop.signal }))).toBe("internal: enough");
  target.misbehave = () => false;
  expect(await push(`${target.host}/app:v1`)).toHaveLength(1);
});
