import { describe, expect, test } from "bun:test";
import { imageOf, type TestImage } from "../../../bench/fixture/image.ts";
import { chainIds, type Digest, digestOf, hexOf } from "../../../src/base/digest.ts";
import { shortId } from "../../../src/base/ids.ts";
import { parseReference } from "../../../src/base/reference.ts";
import { failureOf } from "../../support/errors.ts";
import { ImageRoom } from "../../support/images.ts";

const made = (name: string, created = "2023-01-01T00:00:00Z", labels: Record<string, string> = {}): TestImage =>
  imageOf({
    layers: [[{ name: "base", content: "base" }], [{ name, content: name }]],
    config: { created, config: { Labels: labels } },
  });

/** A room with images pulled as `host/name:v1`. */
async function roomWith(images: Readonly<Record<string, TestImage>>): Promise<ImageRoom> {
  const room = await ImageRoom.open();
  for (const [name, image] of Object.entries(images)) {
    room.registry.push(name, "v1", image);
    await room.images.pull(parseReference(`${room.registry.host}/${name}:v1`));
  }
  room.events.length = 0;
  return room;
}

const idOf = (image: TestImage): Digest => image.config.descriptor.digest;

describe("get()", () => {
  test("finds an image by id, by its beginning, by tag and by digest", async () => {
    const image = made("app");
    await using room = await roomWith({ app: image });
    const id = idOf(image);
    const { host } = room.registry;
    await room.images.tag(id, parseReference("plain"));
    const names = [
      id,
      hexOf(id),
      shortId(id),
      hexOf(id).slice(0, 1),
      `sha256:${shortId(id)}`,
      `${host}/app:v1`,
      `${host}/app@${image.manifest.descriptor.digest}`,
      "plain",
      "plain:latest",
      "docker.io/library/plain",
    ];
    for (const name of names) expect((await room.images.get(name)).id).toBe(id);
    expect((await room.images.get("plain")).layers).toEqual(image.diffIds);
  });

  test.each([
    ["none", "notFound: No such image: none:latest"],
    ["none:v1", "notFound: No such image: none:v1"],
    ["reg.io/a/b", "notFound: No such image: reg.io/a/b:latest"],
    [digestOf("x"), `notFound: No such image: ${digestOf("x")}`],
    [hexOf(digestOf("x")), `notFound: No such image: ${digestOf("x")}`],
    ["None", "invalid: invalid reference format: repository name (library/None) must be lowercase"],
    ["a b", "invalid: invalid reference format"],
  ])("does not find %s", async (name, words) => {
    await using room = await ImageRoom.open();
    expect(await failureOf(() => room.images.get(name))).toBe(words);
  });

  test("does not guess when several ids begin alike", async () => {
    const images = Array.from({ length: 17 }, (_, index) => made(`app${index}`));
    await using room = await roomWith(Object.fromEntries(images.map((image, index) => [`app${index}`, image])));
    const firsts = images.map((image) => hexOf(idOf(image)).charAt(0));
    const twice = firsts.find((first, index) => firsts.indexOf(first) !== index) ?? "";
    expect(await failureOf(() => room.images.get(twice))).toBe(`notFound: No such image: ${twice}:latest`);
  });
});

test("inspect() gives names, size and configuration", async () => {
  const image = made("app");
  await using room = await roomWith({ app: image });
  const { host } = room.registry;
  const details = await room.images.inspect(`${host}/app:v1`);
  expect(details).toMatchObject({
    id: idOf(image),
    repoTags: [`${host}/app:v1`],
    repoDigests: [`${host}/app@${image.manifest.descriptor.digest}`],
    layers: image.diffIds,
    size: [...image.tars, ...image.layers.map(({ bytes }) => bytes)].reduce(
      (sum, { byteLength }) => sum + byteLength,
      0,
    ),
    driver: "fake",
    config: { architecture: "amd64", os: "linux", created: "2023-01-01T00:00:00Z" },
  });
  expect(details.taggedAt).toBeUndefined();
  await room.images.tag(`${host}/app:v1`, parseReference("again"));
  expect((await room.images.inspect("again")).taggedAt).toBeInstanceOf(Date);
});

test("tag() refuses a name with a digest", async () => {
  const image = made("app");
  await using room = await roomWith({ app: image });
  const target = parseReference(`other@${image.manifest.descriptor.digest}`);
  expect(await failureOf(() => room.images.tag(idOf(image), target))).toBe(
    "invalid: refusing to create a tag with a digest reference",
  );
});

test("history() goes from the newest step to the oldest, with the sizes of layers", async () => {
  const image = made("app");
  await using room = await roomWith({ app: image });
  const created = Date.parse("2023-11-14T22:13:20Z") / 1000;
  const sizes = image.tars.map((tar) => tar.byteLength);
  const name = `${room.registry.host}/app:v1`;
  expect(await room.images.history(name)).toEqual([
    { id: idOf(image), created, createdBy: "CMD /hello", comment: "", size: 0, tags: [name] },
    { created, createdBy: "ADD layer 1", comment: "", size: sizes[1] ?? 0, tags: [] },
    { created, createdBy: "ADD layer 0", comment: "", size: sizes[0] ?? 0, tags: [] },
  ]);
});

describe("list()", () => {
  const images = {
    old: made("old", "2021-01-01T00:00:00Z", { stage: "prod", team: "a" }),
    mid: made("mid", "2022-01-01T00:00:00Z", { stage: "test" }),
    new: made("new", "2023-01-01T00:00:00Z"),
  };
  /** Names of the images, in the list's order. */
  const shown = async (room: ImageRoom, filters: Parameters<ImageRoom["images"]["list"]>[0]) => {
    const byId = new Map(Object.entries(images).map(([name, image]) => [idOf(image), name]));
    return (await room.images.list(filters)).map(({ id }) => byId.get(id));
  };

  test("shows newest first, and how many containers use each", async () => {
    await using room = await roomWith(images);
    room.users.set(idOf(images.mid), [{ id: "c".repeat(64), running: true }]);
    const list = await room.images.list();
    expect(list.map(({ created }) => new Date(created * 1000).getUTCFullYear())).toEqual([2023, 2022, 2021]);
    expect(list.map(({ containers }) => containers)).toEqual([0, 1, 0]);
    expect(list[2]?.labels).toEqual({ stage: "prod", team: "a" });
  });

  test("keeps what the filters say", async () => {
    await using room = await roomWith(images);
    const { host } = room.registry;
    await room.images.tag(`${host}/old:v1`, parseReference("stable:1"));
    await room.images.tag(`${host}/mid:v1`, parseReference("moved"));
    await room.images.remove(`${host}/mid:v1`);
    await room.images.tag(`${host}/new:v1`, parseReference("moved"));
    expect(await shown(room, { dangling: true })).toEqual(["mid"]);
    expect(await shown(room, { dangling: false })).toEqual(["new", "old"]);
    expect(await shown(room, { labels: ["stage"] })).toEqual(["mid", "old"]);
    expect(await shown(room, { labels: ["stage=prod", "team"] })).toEqual(["old"]);
    expect(await shown(room, { labels: ["stage="] })).toEqual([]);
    expect(await shown(room, { before: `${host}/new:v1` })).toEqual(["mid", "old"]);
    expect(await shown(room, { since: "stable:1" })).toEqual(["new", "mid"]);
    expect(await shown(room, { until: new Date("2022-01-01T00:00:00Z") })).toEqual(["old"]);
    expect(await shown(room, { references: ["stable"] })).toEqual(["old"]);
    expect(await shown(room, { references: ["stable:2", "moved:*"] })).toEqual(["new"]);
    const [only] = await room.images.list({ references: ["stable:*"] });
    expect([only?.repoTags, only?.repoDigests]).toEqual([["stable:1"], []]);
  });

  test("refuses what it cannot read", async () => {
    await using room = await roomWith(images);
    expect(await failureOf(() => room.images.list({ references: ["["] }))).toBe("invalid: syntax error in pattern");
    expect(await failureOf(() => room.images.list({ before: "none" }))).toBe("notFound: No such image: none:latest");
  });
});

describe("remove()", () => {
  const image = made("app");
  const id = idOf(image);
  const digest = image.manifest.descriptor.digest;
  const deleted = [{ deleted: id }, ...[...chainIds(image.diffIds)].reverse().map((one) => ({ deleted: one }))];
  const container = (running: boolean) => ({ id: "0123456789abcdef".repeat(4), running });

  test("by the last tag removes everything", async () => {
    await using room = await roomWith({ app: image });
    const name = `${room.registry.host}/app`;
    expect(await room.images.remove(`${name}:v1`)).toEqual([
      { untagged: `${name}:v1` },
      { untagged: `${name}@${digest}` },
      ...deleted,
    ]);
    expect(room.content.digests()).toEqual([]);
    expect(room.snapshotter.layers.size).toBe(0);
    expect(await room.images.list()).toEqual([]);
    expect(room.events.map(({ action }) => action)).toEqual(["untag", "untag", "delete"]);
  });

  test("by one tag of several untags it", async () => {
    await using room = await roomWith({ app: image });
    const name = `${room.registry.host}/app`;
    await room.images.tag(id, parseReference("other"));
    expect(await room.images.remove("other")).toEqual([{ untagged: "other:latest" }]);
    await room.images.tag(id, parseReference("other"));
    expect(await room.images.remove(`${name}:v1`)).toEqual([
      { untagged: `${name}:v1` },
      { untagged: `${name}@${digest}` },
    ]);
    expect((await room.images.get("other")).id).toBe(id);
  });

  test("by id removes all of one repository, and needs force for several", async () => {
    await using room = await roomWith({ app: image });
    await room.images.tag(id, parseReference("other"));
    const words = `unable to delete ${shortId(id)} (must be forced) - image is referenced in multiple repositories`;
    expect(await failureOf(() => room.images.remove(shortId(id)))).toBe(`conflict: conflict: ${words}`);
    const removed = await room.images.remove(shortId(id), { force: true });
    expect(removed.slice(-3)).toEqual(deleted);
    expect(removed).toHaveLength(6);
  });

  test("keeps layers and blobs that other images need", async () => {
    const other = made("other");
    await using room = await roomWith({ app: image, other });
    const removed = await room.images.remove(id);
    expect(removed.filter((one) => "deleted" in one)).toEqual(deleted.slice(0, 2));
    expect([...room.snapshotter.layers.keys()].sort()).toEqual([...other.diffIds].sort());
  });

  test.each<[string, boolean, boolean, boolean, string]>([
    ["by id, running", true, false, true, "(cannot be forced) - image is being used by running container 0123456789ab"],
    [
      "by id, running, by force",
      true,
      true,
      true,
      "(cannot be forced) - image is being used by running container 0123456789ab",
    ],
    ["by id, stopped", true, false, false, "(must be forced) - image is being used by stopped container 0123456789ab"],
    ["by name", false, false, false, "(must force) - container 0123456789ab is using its referenced image"],
  ])("refuses an image in use: %s", async (_name, byId, force, running, words) => {
    await using room = await roomWith({ app: image });
    room.users.set(id, [container(running)]);
    const name = `${room.registry.host}/app:v1`;
    const object = byId ? `unable to delete ${shortId(id)}` : `unable to remove repository reference "${name}"`;
    const tail = byId ? "" : ` ${shortId(id)}`;
    expect(await failureOf(() => room.images.remove(byId ? id : name, { force }))).toBe(
      `conflict: conflict: ${object} ${words}${tail}`,
    );
    expect((await room.images.get(name)).id).toBe(id);
  });

  test("by force takes the name of a running container's image, and the image of a stopped one's", async () => {
    await using room = await roomWith({ app: image });
    const name = `${room.registry.host}/app:v1`;
    room.users.set(id, [container(true)]);
    await room.snapshotter.prepare("container", image.diffIds);
    expect(await room.images.remove(name, { force: true })).toHaveLength(2);
    expect((await room.images.get(id)).id).toBe(id);
    room.users.set(id, [container(false)]);
    expect(await room.images.remove(id, { force: true })).toEqual([{ deleted: id }]);
    // The container stands on the layers: they go with a sweep when it is gone.
    expect(room.snapshotter.layers.size).toBe(2);
    await room.snapshotter.removeSnapshot("container");
    await room.images.sweep();
    expect(room.snapshotter.layers.size).toBe(0);
  });

  test("of what is not there is not found", async () => {
    await using room = await ImageRoom.open();
    expect(await failureOf(() => room.images.remove("none"))).toBe("notFound: No such image: none:latest");
  });
});

describe("sweep()", () => {
  test("removes what no image needs, and nothing else", async () => {
    const image = made("app");
    await using room = await roomWith({ app: image });
    const orphan = imageOf({ layers: [[{ name: "orphan", content: "orphan" }]], compression: "none" });
    const [layer] = orphan.layers;
    const [diffId] = orphan.diffIds;
    if (!layer || !diffId) throw new Error("no layer");
    const bytes = new Blob([new Uint8Array(layer.bytes)]).stream();
    const blob = await room.content.put(layer.descriptor, async () => ({ start: 0, body: bytes }));
    await room.snapshotter.unpack(blob.path, diffId);
    await room.images.sweep();
    expect(room.content.digests()).toHaveLength(2 + image.layers.length);
    expect(room.content.digests()).not.toContain(layer.descriptor.digest);
    expect([...room.snapshotter.layers.keys()].sort()).toEqual([...image.diffIds].sort());
  });

  test("leaves alone what a pull is bringing", async () => {
    await using room = await ImageRoom.open({ limits: { maxConcurrentUnpacks: 1 } });
    const image = made("app");
    room.registry.push("app", "v1", image);
    const second = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    room.snapshotter.beforeUnpack = async () => {
      if (room.snapshotter.unpacked < 1) return;
      second.resolve();
      await goOn.promise;
    };
    const pulling = room.images.pull(parseReference(`${room.registry.host}/app:v1`));
    await second.promise;
    await room.images.sweep();
    goOn.resolve();
    expect((await room.images.get((await pulling).id)).layers).toEqual(image.diffIds);
    expect(room.snapshotter.layers.size).toBe(2);
  });
});
