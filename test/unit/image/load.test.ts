import { describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { imageOf, indexOf, json, tarOf } from "../../../bench/fixture/image.ts";
import type { Digest } from "../../../src/base/digest.ts";
import { shortId } from "../../../src/base/ids.ts";
import { tarOfFile } from "../../../src/base/tar.ts";
import { dockerArchive, layoutArchive, piecesOf, streamOf } from "../../support/archive.ts";
import { failureOf } from "../../support/errors.ts";
import { ImageRoom } from "../../support/images.ts";
import { packedBy } from "../../support/tools.ts";

const image = imageOf({ layers: [[{ name: "base", content: "base" }], [{ name: "top", content: "x".repeat(2000) }]] });
const id = image.config.descriptor.digest;

/** Loads and returns the lines of output; nothing may stay in the scratch folder. */
async function load(room: ImageRoom, archive: Uint8Array, chunkBytes?: number): Promise<readonly string[]> {
  const lines: string[] = [];
  await room.images.load(streamOf(archive, chunkBytes), {
    onLine: (line) => lines.push(line),
    onProgress: room.onProgress,
  });
  expect(await readdir(room.scratch)).toEqual([]);
  return lines;
}

describe("load() takes", () => {
  const archive = dockerArchive([{ image, tags: ["app:v1", "reg.io/team/app:v1"] }]);

  test.each<[string, Uint8Array]>([
    ["plain", archive],
    ["gzip", gzipSync(archive)],
    ["zstd", zstdCompressSync(archive)],
    ...["xz", "bzip2"]
      .filter((tool) => Bun.which(tool))
      .map((tool): [string, Uint8Array] => [tool, packedBy(tool, archive)]),
  ])("a docker archive, %s", async (_name, bytes) => {
    await using room = await ImageRoom.open();
    expect(await load(room, bytes)).toEqual(["Loaded image: app:v1", "Loaded image: reg.io/team/app:v1"]);
    expect((await room.images.get("app:v1")).id).toBe(id);
    expect((await room.images.inspect("app:v1")).repoDigests).toEqual([]);
    expect<readonly Digest[]>(room.content.digests()).toEqual([id]);
    expect(room.events).toEqual([{ action: "load", id, name: id, labels: { kind: "test" } }]);
    const counts = room.progress.filter((one) => one.id === shortId(image.diffIds[1] ?? ""));
    expect(counts.at(0)).toMatchObject({ status: "Loading layer", detail: { current: 0 } });
    expect(counts.at(-1)?.detail?.current).toBe(counts.at(-1)?.detail?.total);
  });

  test("an archive in pieces of any size", async () => {
    for (const size of [1, 7, 511, 512, 513, 4096]) {
      await using room = await ImageRoom.open();
      expect(await load(room, archive, size)).toHaveLength(2);
    }
  });

  test("an archive with several images, one without a name", async () => {
    await using room = await ImageRoom.open();
    const other = imageOf();
    const bytes = dockerArchive([
      { image, tags: null },
      { image: other, tags: ["other"] },
    ]);
    expect(await load(room, bytes)).toEqual([`Loaded image ID: ${id}`, "Loaded image: other:latest"]);
  });

  test("an old archive whose layers are links to each other", async () => {
    await using room = await ImageRoom.open();
    const [base, top] = image.tars;
    if (!base || !top) throw new Error("no layers");
    const manifest = [{ Config: "config.json", RepoTags: ["old:1"], Layers: ["a/layer.tar", "b/layer.tar"] }];
    const bytes = tarOf(
      { name: "c", type: "5" },
      { name: "c/layer.tar", content: base },
      { name: "a/layer.tar", type: "2", link: "../c/layer.tar" },
      { name: "./d/layer.tar", content: top },
      { name: "b/layer.tar", type: "1", link: "d/layer.tar" },
      { name: "config.json", content: image.config.bytes },
      { name: "manifest.json", content: json(manifest) },
    );
    expect(await load(room, bytes)).toEqual(["Loaded image: old:1"]);
    expect((await room.images.get("old:1")).layers).toEqual(image.diffIds);
  });

  test("an OCI layout with names", async () => {
    await using room = await ImageRoom.open();
    const named = (name: string) => ({
      ...image.manifest.descriptor,
      annotations: { "org.opencontainers.image.ref.name": name },
    });
    const full = {
      ...image.manifest.descriptor,
      annotations: { "io.containerd.image.name": "docker.io/library/full:1", "org.opencontainers.image.ref.name": "1" },
    };
    const bytes = layoutArchive([named("app:v2"), named("v3"), full], piecesOf(image));
    expect(await load(room, bytes)).toEqual(["Loaded image: app:v2", `Loaded image ID: ${id}`, "Loaded image: full:1"]);
  });

  test("every image of an index in an OCI layout, and the machine's own is the one that the name means", async () => {
    await using room = await ImageRoom.open();
    const arm = imageOf({ platform: { architecture: "arm64" } });
    const index = indexOf([
      { image: arm, platform: { os: "linux", architecture: "arm64" } },
      { image, platform: { os: "linux", architecture: "amd64" } },
    ]);
    const named = { ...index.descriptor, annotations: { "io.containerd.image.name": "docker.io/library/both:1" } };
    const bytes = layoutArchive([named], [index, ...piecesOf(arm), ...piecesOf(image)]);
    expect(await load(room, bytes)).toEqual(["Loaded image: both:1"]);
    expect((await room.images.get("both:1")).id).toBe(id);
    const wanted = await room.images.get("both:1", { os: "linux", architecture: "arm64" });
    expect(wanted.id).toBe(arm.config.descriptor.digest);
    expect(room.content.digests()).toContain(index.descriptor.digest);
  });

  test("only the image for the platform that is asked for", async () => {
    await using room = await ImageRoom.open();
    const arm = imageOf({ platform: { architecture: "arm64" } });
    const bytes = dockerArchive([
      { image, tags: ["both:amd"] },
      { image: arm, tags: ["both:arm"] },
    ]);
    await room.images.load(streamOf(bytes), { platform: { os: "linux", architecture: "arm64" } });
    expect((await room.images.list()).map(({ repoTags }) => repoTags)).toEqual([["both:arm"]]);
    const s390x = { os: "linux", architecture: "s390x" };
    expect(await failureOf(() => room.images.load(streamOf(bytes), { platform: s390x }))).toStartWith("notFound: ");
  });
});

test("load() moves a name from one image to another, and says so", async () => {
  await using room = await ImageRoom.open();
  await load(room, dockerArchive([{ image, tags: ["app:v1"] }]));
  const lines = await load(room, dockerArchive([{ image: imageOf(), tags: ["app:v1"] }]));
  expect(lines).toEqual([
    `The image app:v1 already exists, renaming the old one with ID ${id} to empty string`,
    "Loaded image: app:v1",
  ]);
  expect((await room.images.list({ dangling: true })).map((one) => one.id)).toEqual([id]);
});

test("sweep() removes what an interrupted load left", async () => {
  await using room = await ImageRoom.open();
  await Bun.write(`${room.scratch}/new-load-abc/1`, "x");
  await room.images.sweep();
  expect(await readdir(room.scratch)).toEqual([]);
});

describe("addBuiltIn()", () => {
  const program = new TextEncoder().encode("#!ELF");

  test("makes bosun/hello once, the same every time", async () => {
    await using room = await ImageRoom.open();
    const first = await room.images.addBuiltIn(program);
    const second = await room.images.addBuiltIn(program);
    expect(second).toBe(first);
    expect(room.snapshotter.unpacked).toBe(1);
    expect(room.content.digests()).toEqual([first]);
    const image = await room.images.get("bosun/hello");
    expect(image.config.config?.Cmd).toEqual(["/hello"]);
    expect(image.config.architecture).toBe(process.arch === "x64" ? "amd64" : process.arch);
  });

  test("packs the program so that GNU tar finds it", async () => {
    const tar = Bun.spawn(["tar", "-tvf", "-", "--numeric-owner", "--utc"], {
      stdin: tarOfFile("hello", program, 0o755),
    });
    expect(await new Response(tar.stdout).text()).toBe("-rwxr-xr-x 0/0               5 1970-01-01 00:00 hello\n");
  });
});
