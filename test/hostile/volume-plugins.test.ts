/** Plugins that misbehave: a failure of that call, soon, in words, and of nothing else. */

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { kindOf, messageOf } from "../../src/base/errors.ts";
import { Database } from "../../src/store/database.ts";
import { LocalDriver } from "../../src/volume/driver-local.ts";
import { VolumeDrivers } from "../../src/volume/drivers.ts";
import { volumeMigrations } from "../../src/volume/records.ts";
import { type NewVolume, Volumes } from "../../src/volume/volumes.ts";
import { type Folder, makeFolder } from "../support/folder.ts";
import { VolumePlugin } from "../support/volume-plugin.ts";

let folder: Folder;
let plugin: VolumePlugin;
let volumes: Volumes;

const path = (name: string): string => join(folder.path, name);
const asked = (name: string, driver = "bad", options: Record<string, string> = {}): NewVolume => ({
  name,
  driver,
  options,
  labels: {},
});

beforeEach(async () => {
  folder = await makeFolder();
  mkdirSync(path("sockets"));
  mkdirSync(path("specs"));
  plugin = new VolumePlugin(path("sockets/bad.sock"), path("plugin"));
  const folders = { sockets: path("sockets"), specs: [path("specs")] };
  const options = { folders, limits: { longMs: 1000, shortMs: 1000 }, engineId: "e" };
  const drivers = new VolumeDrivers([new LocalDriver(path("volumes"))], options);
  volumes = new Volumes({ database: new Database(path("db"), volumeMigrations), drivers, emit: () => {} });
});
afterEach(async () => {
  plugin[Symbol.dispose]();
  await folder[Symbol.asyncDispose]();
});

const failure = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "none",
    (error) => `${kindOf(error)}: ${messageOf(error)}`,
  );

/** Says something, without end. */
const endless = (): Response =>
  new Response(
    new ReadableStream({
      pull(out) {
        out.enqueue(new Uint8Array(1 << 20).fill(32));
      },
    }),
  );

describe.each<[what: string, answer: () => Response | Promise<Response>, words: string]>([
  ["hangs", () => new Promise(() => {}), 'unavailable: plugin "bad": VolumeDriver.Create: it does not answer'],
  ["talks without end", endless, "its answer has more than 8388608 bytes"],
  ["is no JSON", () => new Response("<html>"), "its answer is no JSON"],
  ["is a list", () => Response.json([1]), "its answer is no object"],
  ["is far too deep", () => new Response("[".repeat(1 << 20)), "its answer is no JSON"],
  [
    "leads elsewhere",
    () => Response.redirect("http://127.0.0.1:1/"),
    'unavailable: plugin "bad": VolumeDriver.Create: ',
  ],
  ["is a failure in words", () => Response.json({ Err: "no" }), "internal: VolumeDriver.Create: no"],
  ["is a status with words", () => new Response("gone\n", { status: 500 }), "internal: VolumeDriver.Create: gone"],
  ["is a long failure", () => Response.json({ Err: "x".repeat(1 << 20) }), "internal: VolumeDriver.Create: xxx"],
])("an answer that %s", (_, answer, words) => {
  test("fails the creation, leaves nothing, and keeps no other volume waiting", async () => {
    plugin.misbehave = (method) => (method === "Create" ? answer() : undefined);
    const bad = failure(volumes.create(asked("box")));
    await volumes.create(asked("other", "local"));
    const told = await bad;
    expect(told).toContain(words);
    expect(told.length).toBeLessThan(5000);
    expect(volumes.list().map(({ name }) => name)).toEqual(["other"]);
    plugin.misbehave = () => undefined;
    await volumes.create(asked("box"));
  });
});

test.each([["relative/path"], [""], [7], [{ deep: true }], [`/${"x".repeat(5000)}`], ["/a\0b"]])(
  "a mountpoint of %p is none",
  async (mountpoint) => {
    await volumes.create(asked("box"));
    plugin.misbehave = (method) => (method === "Mount" ? Response.json({ Mountpoint: mountpoint }) : undefined);
    expect(await failure(volumes.mount("box", "c1"))).toContain("mountpoint");
  },
);

test("a plugin that hangs keeps no list, no start and no local volume waiting for long", async () => {
  plugin.misbehave = () => new Promise(() => {});
  const { volumes: listed, warnings } = await volumes.listAll();
  expect([listed.length, warnings.length]).toEqual([0, 1]);
  await volumes.create(asked("mine", ""));
  await volumes.sweep();
  expect(volumes.find("mine")?.driver).toBe("local");
});

test("a list of nonsense is a list of what makes sense", async () => {
  plugin.misbehave = (method) =>
    method === "List"
      ? Response.json({ Volumes: [{ Name: "ok" }, { Name: 7 }, null, "x", { Mountpoint: "/" }] })
      : undefined;
  expect((await volumes.listAll()).volumes.map(({ name }) => name)).toEqual(["ok"]);
});

test.each(["../sockets/bad", "/etc/passwd", "a/b:latest", "..", "-x", ""])(
  "a driver called %p is no plugin",
  async (name) => {
    if (name === "") return expect((await volumes.create(asked("box", name))).driver).toBe("local");
    expect(await failure(volumes.create(asked("box", name)))).toBe(
      `notFound: plugin ${JSON.stringify(name)} not found`,
    );
  },
);

test("one who is no volume driver is refused", async () => {
  plugin.misbehave = (method) => (method === "Activate" ? Response.json({ Implements: ["authz"] }) : undefined);
  expect(await failure(volumes.create(asked("box")))).toContain('plugin "bad" does not implement "VolumeDriver"');
});

describe("files that say where plugins are", () => {
  test.each<[file: string, text: string]>([
    ["odd.spec", "carrier://pigeon"],
    ["odd.spec", ""],
    ["odd.json", "{"],
    ["odd.json", '{"Name": "odd"}'],
    ["odd.json", '{"Addr": "https://127.0.0.1:1", "TLSConfig": {"CAFile": "/nowhere"}}'],
    ["odd.spec", "x".repeat(100_000)],
  ])("%s with %.60p is a failure that names it", async (file, text) => {
    writeFileSync(path(`specs/${file}`), text);
    expect(await failure(volumes.create(asked("box", "odd")))).toContain(path(`specs/${file}`));
  });

  test.each([
    ["good.spec", (socket: string) => `unix://${socket}\n`],
    ["good.json", (socket: string) => JSON.stringify({ Name: "good", Addr: `unix://${socket}` })],
    ["good/good.json", (socket: string) => JSON.stringify({ Addr: `unix://${socket}` })],
  ])("%s leads to a plugin", async (file, text) => {
    mkdirSync(path("specs/good"));
    writeFileSync(path(`specs/${file}`), text(path("sockets/bad.sock")));
    await volumes.create(asked("box", "good"));
    expect(plugin.calls).toContain("Create box");
  });
});
