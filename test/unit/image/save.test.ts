/** Archives that are written: read back by this engine; the real CLI, GNU tar and skopeo judge them in e2e/save.test.ts. */

import { describe, expect, test } from "bun:test";
import { rm, truncate, writeFile } from "node:fs/promises";
import { imageOf, indexOf } from "../../../bench/fixture/image.ts";
import { type Digest, hexOf } from "../../../src/base/digest.ts";
import type { Descriptor } from "../../../src/base/oci.ts";
import { parseReference } from "../../../src/base/reference.ts";
import { collect } from "../../../src/base/streams.ts";
import { readTar } from "../../../src/image/tar.ts";
import { dockerArchive, streamOf } from "../../support/archive.ts";
import { failureOf } from "../../support/errors.ts";
import { ImageRoom } from "../../support/images.ts";

const image = imageOf({ layers: [[{ name: "base", content: "base" }], [{ name: "top", content: "x".repeat(2000) }]] });
const other = imageOf({ layers: [[{ name: "base", content: "base" }], [{ name: "other", content: "y" }]] });
const id = image.config.descriptor.digest;

const save = async (room: ImageRoom, ...names: readonly string[]): Promise<Uint8Array> =>
  collect(await room.images.save(names), 1 << 24);

/** @returns name → content of an archive's files */
async function filesIn(archive: Uint8Array): Promise<ReadonlyMap<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for await (const { name, body } of readTar(streamOf(archive)))
    files.set(name, Buffer.concat(await Array.fromAsync(body)));
  return files;
}

const documentIn = async (archive: Uint8Array, name: string) =>
  JSON.parse((await filesIn(archive)).get(name)?.toString() ?? "");

/** A room into which the image was pulled, as `app:v1`. */
async function pulled(): Promise<{ room: ImageRoom; name: string }> {
  const room = await ImageRoom.open();
  const name = `${room.registry.host}/app:v1`;
  room.registry.push("app", "v1", image);
  await room.images.pull(parseReference(name));
  return { room, name };
}

const blobPath = (digest: Digest): string => `blobs/sha256/${hexOf(digest)}`;

describe("save()", () => {
  test("keeps an image as it came: the manifest, the compressed layers, and all their digests", async () => {
    const { room, name } = await pulled();
    await using _ = room;
    const files = await filesIn(await save(room, name));
    for (const { descriptor, bytes } of [image.manifest, image.config, ...image.layers])
      expect(files.get(blobPath(descriptor.digest))).toEqual(Buffer.from(bytes));
    expect(JSON.parse(files.get("index.json")?.toString() ?? "").manifests).toEqual([
      {
        ...image.manifest.descriptor,
        annotations: { "io.containerd.image.name": name, "org.opencontainers.image.ref.name": "v1" },
        platform: { architecture: "amd64", os: "linux" },
      },
    ]);
    expect(JSON.parse(files.get("manifest.json")?.toString() ?? "")).toEqual([
      {
        Config: blobPath(id),
        RepoTags: [name],
        Layers: image.layers.map(({ descriptor }) => blobPath(descriptor.digest)),
      },
    ]);
  });

  test.each(["missing", "damaged", "cut"])("takes the raw tar of a layer whose compressed form is %s", async (what) => {
    const { room, name } = await pulled();
    await using _ = room;
    const [layer] = image.layers;
    if (!layer) throw new Error("no layer");
    const { path } = await room.content.get(layer.descriptor.digest);
    if (what === "missing") await rm(path);
    else if (what === "cut") await truncate(path, 10);
    else await writeFile(path, Buffer.alloc(layer.bytes.byteLength));
    const files = await filesIn(await save(room, name));
    expect(files.get(blobPath(image.diffIds[0] ?? "sha256:"))).toEqual(Buffer.from(image.tars[0] ?? []));
    for (const { descriptor, bytes } of image.layers.slice(1))
      expect(files.get(blobPath(descriptor.digest))).toEqual(Buffer.from(bytes));
    expect([...files.keys()]).not.toContain(blobPath(layer.descriptor.digest));
    await using fresh = await ImageRoom.open();
    await fresh.images.load(streamOf(await save(room, name)));
    expect((await fresh.images.get(name)).id).toBe(id);
  });

  test("an image that is loaded again has its id, its names, and its manifest", async () => {
    const { room, name } = await pulled();
    await using _ = room;
    await room.images.tag(name, parseReference("second:2"));
    const archive = await save(room, name, "second:2");
    await room.images.remove(id, { force: true });
    expect(room.content.digests()).toEqual([]);
    await room.images.load(streamOf(archive));
    const [listed] = await room.images.list();
    expect([listed?.id, listed?.repoTags]).toEqual([id, [name, "second:2"].toSorted()]);
    expect(await save(room, name, "second:2")).toEqual(archive);
  });

  test("writes the same bytes for the same images, each blob once", async () => {
    await using room = await ImageRoom.open();
    await room.images.load(
      streamOf(
        dockerArchive([
          { image, tags: ["one:1"] },
          { image: other, tags: ["two:1"] },
        ]),
      ),
    );
    const archive = await save(room, "one:1", "two:1");
    expect(await save(room, "one:1", "two:1")).toEqual(archive);
    const names: string[] = [];
    for await (const { name } of readTar(streamOf(archive))) names.push(name);
    expect(names).toEqual([...new Set(names)]);
    expect(names.filter((name) => name === blobPath(image.diffIds[0] ?? "sha256:"))).toHaveLength(1);
    expect(names.slice(-3)).toEqual(["index.json", "manifest.json", "oci-layout"]);
  });

  test("of a repository saves all of its tags, of an id an image without a name", async () => {
    await using room = await ImageRoom.open();
    await room.images.load(streamOf(dockerArchive([{ image, tags: ["one:1", "one:2", "two:1"] }])));
    const tags = async (name: string) => (await documentIn(await save(room, name), "manifest.json"))[0].RepoTags;
    expect(await tags("one")).toEqual(["one:1", "one:2"]);
    expect(await tags("one:2")).toEqual(["one:2"]);
    expect(await tags(id)).toBeNull();
    expect(await tags(hexOf(id).slice(0, 10))).toBeNull();
    expect(await failureOf(() => save(room, "none:1"))).toBe("notFound: No such image: none:1");
    expect(room.events.filter(({ action }) => action === "save")).toHaveLength(4);
  });

  test("of a name with several platforms saves all of them, or the one that is asked for", async () => {
    const arm = imageOf({ platform: { architecture: "arm64" }, layers: [[{ name: "arm", content: "arm" }]] });
    await using room = await ImageRoom.open();
    const index = indexOf([
      { image, platform: { os: "linux", architecture: "amd64" } },
      { image: arm, platform: { os: "linux", architecture: "arm64" } },
    ]);
    room.registry.push("app", "amd64", image);
    room.registry.push("app", "arm64", arm);
    room.registry.pushDocument("app", "v1", index);
    const name = `${room.registry.host}/app:v1`;
    const armPlatform = { os: "linux", architecture: "arm64" };
    await room.images.pull(parseReference(name));
    await room.images.pull(parseReference(name), { platform: armPlatform });
    const listed = async (archive: Uint8Array) =>
      (await documentIn(archive, "index.json")).manifests.map(({ digest }: Descriptor) => digest);
    const archive = await save(room, name);
    expect(await listed(archive)).toEqual([index.descriptor.digest]);
    expect((await filesIn(archive)).get(blobPath(index.descriptor.digest))).toEqual(Buffer.from(index.bytes));
    const [docker, ...others] = await documentIn(archive, "manifest.json");
    expect([docker.Config, docker.RepoTags, others]).toEqual([blobPath(id), [name], []]);
    const one = await collect(await room.images.save([name], [armPlatform]), 1 << 24);
    expect(await listed(one)).toEqual([arm.manifest.descriptor.digest]);
    await using fresh = await ImageRoom.open();
    await fresh.images.load(streamOf(archive));
    const { id: own, repoDigests } = await fresh.images.inspect(name);
    expect([own, repoDigests]).toEqual([id, [`${room.registry.host}/app@${index.descriptor.digest}`]]);
    expect((await fresh.images.get(name, armPlatform)).id).toBe(arm.config.descriptor.digest);
    expect(await save(fresh, name)).toEqual(archive);
  });

  test("lists the index that a single platform came in, and another one once the name has moved", async () => {
    const arm = imageOf({ platform: { architecture: "arm64" }, layers: [[{ name: "arm", content: "arm" }]] });
    await using room = await ImageRoom.open();
    const absent = { os: "linux", architecture: "s390x" };
    const [ofImage, ofArm] = [image, arm].map((one, at) =>
      indexOf([
        { image: one, platform: { os: "linux", architecture: at === 0 ? "amd64" : "arm64" } },
        { image: other, platform: absent },
      ]),
    );
    if (!ofImage || !ofArm) throw new Error("no index");
    const name = `${room.registry.host}/app:v1`;
    const listed = async () =>
      (await documentIn(await save(room, name), "index.json")).manifests.map(({ digest }: Descriptor) => digest);
    for (const one of [image, arm]) room.registry.push("app", "any", one);
    room.registry.pushDocument("app", "v1", ofImage);
    await room.images.pull(parseReference(name));
    expect(await listed()).toEqual([ofImage.descriptor.digest]);
    room.registry.pushDocument("app", "v1", ofArm); // the name moves on, and one platform stays behind
    await room.images.pull(parseReference(name), { platform: { os: "linux", architecture: "arm64" } });
    expect(await listed()).toEqual([ofArm.descriptor.digest]);
  });

  test("fails at its end when a raw tar is damaged, and before its beginning when the configuration is", async () => {
    await using room = await ImageRoom.open();
    await room.images.load(streamOf(dockerArchive([{ image, tags: ["one:1"] }])));
    const [diffId] = image.diffIds;
    if (diffId === undefined) throw new Error("no layer");
    room.snapshotter.layers.set(diffId, new Uint8Array(2048));
    expect(await failureOf(() => save(room, "one:1"))).toStartWith(`corrupt: Cannot save ${diffId}`);
    await writeFile((await room.content.get(id)).path, "{}");
    expect(await failureOf(() => save(room, "one:1"))).toStartWith(`corrupt: Cannot save ${id}`);
  });

  test("an image that is being saved is removed only afterwards", async () => {
    await using room = await ImageRoom.open();
    await room.images.load(streamOf(dockerArchive([{ image, tags: ["one:1"] }])));
    const archive = await room.images.save(["one:1"]);
    await room.images.remove("one:1");
    expect(room.snapshotter.layers.size).toBe(2);
    expect((await collect(archive, 1 << 24)).byteLength).toBeGreaterThan(2000);
    await room.images.sweep();
    expect(room.snapshotter.layers.size).toBe(0);
  });
});
