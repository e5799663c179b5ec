/** Starts, pulls and loads that fail at each of their stages: one sentence that says what and why, and nothing is left of them. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { imageOf, json, piece, type TestImage, tarOf } from "../../bench/fixture/image.ts";
import { ociConfig, ociManifest } from "../../src/base/media-types.ts";
import { FakeRegistry, refuse } from "../fake/registry.ts";
import { type Api, withDaemon } from "../support/api.ts";
import { dockerArchive } from "../support/archive.ts";
import { lastingContradictions } from "../support/audit.ts";
import { type Folder, makeFolder } from "../support/folder.ts";

async function expectNothing(api: Api): Promise<void> {
  await api.remove("it");
  expect(await lastingContradictions(api.daemon)).toEqual([]);
}

withDaemon("a start that fails", (api) => {
  let folder: Folder | undefined;
  const path = (name: string) => join(folder?.path ?? "", name);
  beforeAll(async () => {
    folder = await makeFolder();
    writeFileSync(path("file"), "");
  });
  afterAll(() => folder?.[Symbol.asyncDispose]());
  afterEach(() => expectNothing(api));

  const bridged = { NetworkMode: "bridge" };

  test.each([
    ["a quota that the kernel refuses", { CpuQuota: 2 ** 45 }, 400, `Cannot set cpu.cfs_quota_us to "${2 ** 45}"`],
    ["a device that is gone", device("/dev/nope"), 400, 'custom device "/dev/nope": no such file or directory'],
    [
      "a sysctl that is not there",
      { Sysctls: { "net.ipv4.nope": "1" } },
      400,
      "Cannot sysctl net.ipv4.nope to 1: no such file",
    ],
    ["a value that a sysctl refuses", { Sysctls: { "net.ipv4.ip_forward": "no" } }, 400, "invalid argument"],
    [
      "a limit above the hard one",
      { Ulimits: [{ Name: "nofile", Soft: 2 ** 31, Hard: 2 ** 31 }] },
      400,
      "Cannot rlimit 7",
    ],
    ["a tmpfs on a file", { Tmpfs: { "/etc/passwd": "" } }, 400, "Cannot mount tmpfs at /etc/passwd: not a directory"],
    ["a tmpfs of no size", { Tmpfs: { "/t": "size=zzz" } }, 400, "Bad value for 'size'"],
  ])("because of %s", async (_, host, status, words) => {
    await api.create("it", ["true"], { host: { ...bridged, ...host } });
    expect(await api.refusalOf(api.start("it"))).toEqual({ status, message: expect.stringContaining(words) });
    const { State } = await api.inspect("it");
    expect([State.Status, State.Pid, State.Error]).toEqual(["created", 0, expect.stringContaining(words)]);
  });

  test.each([
    ["a program that is missing", ["nope"], {}, 'exec: "nope": executable file not found in $PATH'],
    ["arguments that are too long", ["echo", "x".repeat(200_000)], {}, "argument list too long"],
    ["a user that is missing", ["true"], { User: "ghost" }, "unable to find user ghost"],
    ["a working directory that is a file", ["true"], { WorkingDir: "/etc/passwd" }, "not a directory"],
  ])("because of %s, with a terminal and without", async (_, command, config, words) => {
    for (const Tty of [false, true]) {
      await api.create("it", command, { host: { ...bridged, ConsoleSize: [999999, -3] }, config: { ...config, Tty } });
      expect(await api.refusalOf(api.start("it"))).toEqual({ status: 400, message: expect.stringContaining(words) });
      await expectNothing(api);
    }
  });

  test("because the source of a bind is gone at the start", async () => {
    mkdirSync(path("source"));
    const host = { ...bridged, Mounts: [{ Type: "bind", Source: path("source"), Target: "/mnt" }] };
    await api.create("it", ["true"], { host });
    rmSync(path("source"), { recursive: true });
    expect((await api.refusalOf(api.start("it")))?.message).toContain(
      `Cannot bind ${path("source")} to /mnt: no such file`,
    );
  });

  test("because the source of a bind cannot be made", async () => {
    await api.create("it", ["true"], { host: { ...bridged, Binds: [`${path("file")}/below:/mnt`] } });
    expect(await api.refusalOf(api.start("it"))).toEqual({
      status: 400,
      message: expect.stringContaining(`error while creating mount source path '${path("file")}/below': ENOTDIR`),
    });
  });

  test("with --rm removes the container, and those who wait are told", async () => {
    const id = await api.create("it", ["nope"], { host: { ...bridged, AutoRemove: true } });
    const removed = api.wait(id, "removed");
    expect(await api.refusalOf(api.start("it"))).toMatchObject({ status: 400 });
    expect(await removed).toBe(127);
    expect(await api.refusalOf(api.inspect(id))).toMatchObject({ status: 404 });
  });

  test("because all addresses are taken; one that is given back is taken again", async () => {
    const { bridge } = api.daemon;
    await api.daemon.stop();
    for (const words of [
      ["delete", bridge],
      ["add", bridge, "type", "bridge"],
    ])
      Bun.spawnSync(["ip", "link", ...words]);
    Bun.spawnSync(["ip", "address", "add", "10.231.7.1/30", "dev", bridge]);
    await api.daemon.launch();
    await api.run("first", ["sleep", "1000"], { host: bridged });
    await api.daemon.restart("SIGKILL");
    await api.create("it", ["true"], { host: bridged });
    const message = "no available IPv4 addresses on this network's address pools: 10.231.7.0/30 is full";
    expect(await api.refusalOf(api.start("it"))).toEqual({ status: 503, message });
    await api.remove("first");
    await api.start("it");
    expect(await api.wait("it")).toBe(0);
    await api.daemon.stop();
    Bun.spawnSync(["ip", "link", "delete", bridge]);
    await api.daemon.launch();
  });

  test("an exec that comes too late is a conflict, and leaves nothing in the way of the next start", async () => {
    for (let round = 0; round < 20; round++) {
      const id = await api.run("it", ["sleep", "1000"], { host: bridged });
      const ending = api.send("POST", "/containers/it/kill");
      const execs = [1, 2, 3].map(() => api.refusalOf(api.exec("it", ["true"])));
      for (const refusal of await Promise.all(execs)) if (refusal) expect(refusal.status).toBe(409);
      await ending;
      await api.start(id);
      await api.remove("it");
    }
  });

  test("an attach that cannot show the log says so, and the daemon goes on", async () => {
    await api.create("it", ["true"], { host: { ...bridged, LogConfig: { Type: "none" } } });
    expect(await api.send("POST", "/containers/it/attach?logs=1&stdout=1")).toContain("does not support reading");
    await api.start("it");
  });

  test("an image that was removed by force leaves nothing when the container that used it goes, too", async () => {
    const image = imageOf({ layers: [[{ name: "only", content: "here" }]] });
    await api.load(dockerArchive([{ image, tags: ["used:1"] }]));
    await api.create("it", ["/only"], { config: { Image: "used:1" } });
    await api.removeImage("used:1");
    const layer = join(api.daemon.dataRoot, "layers", image.diffIds[0]?.slice(7) ?? "");
    expect(existsSync(layer)).toBe(true);
    await api.remove("it");
    expect(existsSync(layer)).toBe(false);
  });

  test("a container that the kernel kills for want of memory says so", async () => {
    const script = "x=x; while :; do x=$x$x; done";
    await api.run("it", ["sh", "-c", script], { host: { ...bridged, Memory: 6 << 20, MemorySwap: 6 << 20 } });
    expect(await api.wait("it")).toBe(137);
    expect((await api.inspect("it")).State).toMatchObject({ Status: "exited", OOMKilled: true });
  });

  function device(PathOnHost: string): object {
    return { Devices: [{ PathOnHost, PathInContainer: "/dev/x", CgroupPermissions: "rwm" }] };
  }
});

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const DIFF_ID = `sha256:${"1".repeat(64)}`;
const good = imageOf({ layers: [[{ name: "a", content: randomBytes(1 << 20) }], [{ name: "b", content: "b" }]] });
const climbing = imageOf({ layers: [[{ name: "../../../../tmp/bosun-escaped", content: "x" }]] });
const misnamed = imageOf({ config: { rootfs: { type: "layers", diff_ids: [DIFF_ID] } } });
const [bytes = new Uint8Array()] = good.layers.map((layer) => layer.bytes);
const [layerDigest = ""] = good.layers.map(({ descriptor }) => descriptor.digest);

function withBrokenConfig({ layers }: TestImage) {
  const config = piece(ociConfig, text("nope"));
  const descriptors = layers.map(({ descriptor }) => descriptor);
  const document = { schemaVersion: 2, mediaType: ociManifest, config: config.descriptor, layers: descriptors };
  return { config, manifest: piece(ociManifest, json(document)) };
}

withDaemon(
  "a pull or load that fails",
  (api) => {
    let registry: FakeRegistry | undefined;
    beforeAll(async () => {
      registry = await FakeRegistry.start();
      registry.push("x/good", "1", good);
      registry.push("x/climbing", "1", climbing);
      registry.push("x/misnamed", "1", misnamed);
      registry.push("x/uneven", "1", imageOf({ config: { rootfs: { type: "layers", diff_ids: [] } } }));
      registry.push("x/windows", "1", imageOf({ platform: { os: "windows" } }));
      registry.pushDocument("x/half", "1", piece(ociManifest, text("{")));
      registry.pushDocument("x/list", "1", piece(ociManifest, json([1])));
      const { config, manifest } = withBrokenConfig(good);
      registry.pushDocument("x/config", "1", manifest);
      registry.pushBlob(config.bytes);
    });
    afterAll(() => registry?.[Symbol.asyncDispose]());
    afterEach(async () => {
      if (registry) registry.misbehave = () => false;
      expect(await lastingContradictions(api.daemon)).toEqual([]);
      expect(existsSync("/tmp/bosun-escaped")).toBe(false);
    });

    const pull = (name: string) => api.refusalOf(api.pull(`${registry?.host}/${name}`));

    test.each([
      ["a manifest that is missing", "x/nothing:1", 404, "not found: manifest unknown"],
      ["half a manifest", "x/half:1", 500, "Cannot read the manifest: JSON Parse error"],
      ["a manifest that is none", "x/list:1", 500, "manifest is not an object"],
      ["a configuration that is none", "x/config:1", 200, "Cannot read the image configuration: JSON Parse error"],
      ["as many layers as there are not", "x/uneven:1", 200, "layers from manifest don't match image configuration"],
      ["another system's image", "x/windows:1", 200, 'operating system "windows" cannot be used'],
      ["a tar that climbs out", "x/climbing:1", 200, 'Cannot read tar at "../../../../tmp/bosun-escaped"'],
      ["a layer of another diffId", "x/misnamed:1", 200, `want ${DIFF_ID}`],
    ])("because of %s", async (_, name, status, words) => {
      expect(await pull(name)).toEqual({ status, message: expect.stringContaining(words) });
    });

    const flipped = Buffer.from(bytes);
    flipped.writeUInt8(flipped.readUInt8(1000) ^ 1, 1000);

    test.each([
      ["is not there", "blob unknown", (answer: ServerResponse) => refuse(answer, 404, "BLOB_UNKNOWN", "blob unknown")],
      [
        "has one wrong bit",
        `Cannot store ${layerDigest}: got sha256:`,
        (answer: ServerResponse) => answer.end(flipped),
      ],
      [
        "is longer than promised",
        `Cannot store ${layerDigest}`,
        (answer: ServerResponse) => answer.end(Buffer.concat([bytes, bytes])),
      ],
    ])("because a layer %s", async (_, words, answerWith) => {
      if (registry) registry.misbehave = toLayer(answerWith);
      expect(await pull("x/good:1")).toEqual({ status: 200, message: expect.stringContaining(words) });
    });

    test("because the connection breaks: what came is kept for the next pull, which asks only for the rest", async () => {
      if (!registry) throw new Error("no registry");
      registry.misbehave = toLayer((answer) => {
        answer.writeHead(200, { "content-length": bytes.length });
        answer.write(bytes.subarray(0, 400_000), () => answer.destroy());
      });
      expect((await pull("x/good:1"))?.message).toContain("unexpected EOF");
      registry.misbehave = () => false;
      registry.seen.length = 0;
      expect(await pull("x/good:1")).toBeUndefined();
      expect(registry.asked(layerDigest).map(({ range }) => range)).toEqual([
        expect.stringMatching(/^bytes=[1-9]\d*-$/),
      ]);
      await api.removeImage(`${registry.host}/x/good:1`);
    });

    test("because the registry is down, or nowhere", async () => {
      const gone = await FakeRegistry.start();
      await gone[Symbol.asyncDispose]();
      expect(await api.refusalOf(api.pull(`${gone.host}/x:1`))).toEqual({
        status: 503,
        message: expect.stringContaining("connection refused"),
      });
    });

    describe("of an archive", () => {
      test.each([
        ["that is no tar", () => randomBytes(5000), "Cannot read the archive"],
        ["that is empty", () => new Uint8Array(), "neither manifest.json nor index.json"],
        ["without a manifest", () => tarOf({ name: "x", content: "x" }), "neither manifest.json nor index.json"],
        ["with half a manifest", () => tarOf({ name: "manifest.json", content: "{" }), "Cannot read the manifest.json"],
        ["whose name climbs out", () => tarOf({ name: "../x", content: "x" }), '"../x" leads out of it'],
        ["whose layer climbs out", () => archive(climbing), "the path leads out of the layer"],
        ["whose layer has another diffId", () => archive(misnamed), `want ${DIFF_ID}`],
        ["that ends in the middle", () => archive(good).subarray(0, 1 << 19), "it ends too early"],
      ])("%s", async (_, made, words) => {
        expect((await api.refusalOf(api.load(made())))?.message).toContain(words);
      });
    });

    const archive = (image: TestImage) => dockerArchive([{ image, tags: ["loaded:1"] }]);

    function toLayer(answerWith: (answer: ServerResponse) => unknown) {
      return (request: IncomingMessage, answer: ServerResponse): boolean => {
        if (!request.url?.includes(layerDigest)) return false;
        answerWith(answer);
        return true;
      };
    }
  },
  { flags: ["--max-download-attempts", "1"], expected: /path=\/images\/(create|load)/ },
);
