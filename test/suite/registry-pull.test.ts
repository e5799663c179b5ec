/** Pulling as a whole: a registry that we did not write, images that skopeo pushed, and the store that keeps them on disk. */

import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { imageOf, indexOf } from "../../bench/fixture/image.ts";
import { DockerRegistry, hasDockerRegistry } from "../../bench/fixture/registry.ts";
import { hexOf } from "../../src/base/digest.ts";
import { parseReference } from "../../src/base/reference.ts";
import { DiskContentStore } from "../../src/store/content-disk.ts";
import { ErofsSnapshotter } from "../../src/store/snapshot-erofs.ts";
import { Workers } from "../../src/wasm/workers.ts";
import { dockerArchive, layoutArchive, piecesOf } from "../support/archive.ts";
import { failureOf } from "../support/errors.ts";
import { ImageRoom } from "../support/images.ts";
import { until } from "../support/patience.ts";
import { randomBytes } from "./content.ts";

const hasSkopeo = Bun.which("skopeo") !== null;

async function temporary(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "bosun-pull-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

async function skopeo(...words: string[]): Promise<void> {
  const child = Bun.spawn(["skopeo", "--insecure-policy", ...words], { stdout: "ignore", stderr: "pipe" });
  const errors = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`skopeo: ${errors}`);
}

const secret = { username: "ann", password: "secret" };

test.skipIf(!hasDockerRegistry || !hasSkopeo)("pull() brings what skopeo pushed, by name and password", async () => {
  await using folder = await temporary();
  await using registry = await DockerRegistry.start(secret);
  const image = imageOf({ layers: [[{ name: "base" }], [{ name: "top", content: "x".repeat(50_000) }]] });
  const archive = join(folder.path, "image.tar");
  await Bun.write(archive, dockerArchive([{ image, tags: ["app:v1"] }]));
  const target = `docker://${registry.host}/team/app:v1`;
  await skopeo("copy", "--dest-tls-verify=false", "--dest-creds", "ann:secret", `docker-archive:${archive}`, target);
  await using room = await ImageRoom.open({ content: new DiskContentStore(folder.path) });
  const name = `${registry.host}/team/app:v1`;
  await room.images.pull(parseReference(name), { credentials: secret });
  expect(await room.images.get(name)).toMatchObject({ id: image.config.descriptor.digest, layers: image.diffIds });
  expect(await readdir(join(folder.path, "blobs", "sha256"))).toHaveLength(4);
  await room.images.remove(name);
  expect(await readdir(join(folder.path, "blobs", "sha256"))).toEqual([]);
});

test.skipIf(!hasDockerRegistry || !hasSkopeo)(
  "pull() takes this machine's image of an index that skopeo pushed",
  async () => {
    await using folder = await temporary();
    await using registry = await DockerRegistry.start();
    const here = imageOf();
    const there = imageOf({ platform: { architecture: "arm64" } });
    const index = indexOf([
      { image: there, platform: { os: "linux", architecture: "arm64" } },
      { image: here, platform: { os: "linux", architecture: "amd64" } },
    ]);
    const archive = join(folder.path, "layout.tar");
    await Bun.write(archive, layoutArchive([index.descriptor], [index, ...piecesOf(here), ...piecesOf(there)]));
    const target = `docker://${registry.host}/multi:latest`;
    await skopeo("copy", "--all", "--preserve-digests", "--dest-tls-verify=false", `oci-archive:${archive}`, target);
    await using room = await ImageRoom.open();
    const pulled = await room.images.pull(parseReference(`${registry.host}/multi`));
    expect(pulled).toMatchObject({ id: here.config.descriptor.digest, digest: index.descriptor.digest });
  },
);

test("a pull that broke is gone on with from the part on disk, by the next daemon too", async () => {
  await using folder = await temporary();
  const content = new DiskContentStore(folder.path);
  await using room = await ImageRoom.open({ content, limits: { attempts: 1 } });
  const image = imageOf({ layers: [[{ name: "file", content: "0123456789".repeat(400_000) }]], compression: "none" });
  const [layer] = image.layers;
  if (!layer) throw new Error("no layer");
  room.registry.push("app", "v1", image);
  const reference = parseReference(`${room.registry.host}/app:v1`);
  const part = join(folder.path, "blobs", "sha256", `part-${hexOf(layer.descriptor.digest)}`);
  const isKept = () => (statSync(part, { throwIfNoEntry: false })?.size ?? 0) > 1_000_000;
  room.registry.misbehave = (request, response) => {
    if (!request.url?.includes(layer.descriptor.digest)) return false;
    response.writeHead(200, { "content-length": String(layer.bytes.byteLength) });
    response.write(layer.bytes.subarray(0, 3_000_000));
    void until("some of it is on disk", isKept).then(() => response.destroy());
    return true;
  };
  expect(await failureOf(() => room.images.pull(reference))).toStartWith("unavailable: ");
  const left = await readdir(join(folder.path, "blobs", "sha256"));
  expect(left).toContain(`part-${hexOf(layer.descriptor.digest)}`);
  // As a daemon that starts does.
  await content.sweep((digest) => room.images.wants(digest));
  await room.images.sweep();
  room.registry.misbehave = () => false;
  await room.images.pull(reference);
  const range = room.registry.asked(layer.descriptor.digest).at(-1)?.range;
  expect(Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1])).toBeGreaterThan(1_000_000);
  expect(await readdir(join(folder.path, "blobs", "sha256"))).toHaveLength(3);
  await room.images.remove(`${room.registry.host}/app:v1`);
  expect(await readdir(join(folder.path, "blobs", "sha256"))).toEqual([]);
});

test("what a broken pull left goes with a prune, an hour later", async () => {
  await using folder = await temporary();
  const content = new DiskContentStore(folder.path);
  await using room = await ImageRoom.open({ content, limits: { attempts: 1 } });
  const image = imageOf({ layers: [[{ name: "base" }], [{ name: "top" }]] });
  const lost = image.layers[1]?.descriptor.digest ?? "";
  room.registry.push("app", "v1", image);
  room.registry.misbehave = (request, response) => {
    if (!request.url?.includes(lost)) return false;
    response.destroy();
    return true;
  };
  expect(await failureOf(() => room.images.pull(parseReference(`${room.registry.host}/app:v1`)))).toStartWith("unav");
  const files = () => readdir(join(folder.path, "blobs", "sha256"));
  const everything = { dangling: true, labels: [], withoutLabels: [] };
  expect((await room.images.prune(everything)).bytes).toBe(0);
  expect((await files()).length).toBeGreaterThanOrEqual(2);
  room.database.run("UPDATE leases SET until = until - 3600001");
  expect((await room.images.prune(everything)).bytes).toBeGreaterThan(0);
  expect(await files()).toEqual([]);
  expect(room.snapshotter.layers.size).toBe(0);
});

test("a layer is unpacked while it is downloaded, also over a break", async () => {
  await using folder = await temporary();
  using workers = new Workers();
  const content = new DiskContentStore(folder.path);
  const snapshotter = new ErofsSnapshotter({ root: folder.path, runRoot: join(folder.path, "run"), workers });
  await using room = await ImageRoom.open({ content, snapshotter });
  const image = imageOf({ layers: [[{ name: "file", content: randomBytes(9 << 20) }]], compression: "gzip" });
  const [layer] = image.layers;
  const [diffId] = image.diffIds;
  if (!layer || !diffId) throw new Error("no layer");
  room.registry.push("app", "v1", image);
  let requests = 0;
  room.registry.misbehave = (request, response) => {
    if (!request.url?.includes(layer.descriptor.digest) || ++requests > 1) return false;
    response.writeHead(200, { "content-length": String(layer.bytes.byteLength) });
    response.write(layer.bytes.subarray(0, 6 << 20));
    // The rest comes when unpacking has begun, by another request.
    const isBegun = async () => (await readdir(join(folder.path, "layers")).catch(() => [])).length > 0;
    const cut = async () => {
      while (!(await isBegun())) await new Promise((resolve) => setImmediate(resolve));
      response.destroy();
    };
    void cut();
    return true;
  };
  await room.images.pull(parseReference(`${room.registry.host}/app:v1`));
  expect(requests).toBe(2);
  expect(await snapshotter.has(diffId)).toBeTrue();
  expect(await readdir(join(folder.path, "layers"))).toHaveLength(1);
});
