/** Registries that break, stall or lie about a transfer. */

import { expect, test } from "bun:test";
import { imageOf, type TestImage } from "../../bench/fixture/image.ts";
import { digestOf } from "../../src/base/digest.ts";
import { parseReference } from "../../src/base/reference.ts";
import type { Progress } from "../../src/image/progress.ts";
import { failureOf } from "../support/errors.ts";
import { brisk, ImageRoom, impatient, registryWith } from "../support/images.ts";

const big = (): TestImage =>
  imageOf({ layers: [[{ name: "file", content: "0123456789".repeat(40_000) }]], compression: "none" });

async function roomWith(
  image: TestImage,
  limits = brisk,
): Promise<{ room: ImageRoom; pull: () => Promise<unknown>; layer: string }> {
  const room = await ImageRoom.open({ registry: registryWith(limits) });
  room.registry.push("app", "v1", image);
  const reference = parseReference(`${room.registry.host}/app:v1`);
  const layer = image.layers[0]?.descriptor.digest ?? "";
  return { room, layer, pull: () => room.images.pull(reference, { onProgress: room.onProgress }) };
}

/** The documents of an image are kept for a pull that goes on. */
const documentsOf = ({ config, manifest }: TestImage): readonly string[] => [
  config.descriptor.digest,
  manifest.descriptor.digest,
];

/** Nothing of the image may be left; of the blobs only what `kept` allows. */
function expectNothing(room: ImageRoom, kept: readonly string[] = []): void {
  expect(room.snapshotter.layers.size).toBe(0);
  expect<readonly string[]>(room.content.digests()).toEqual([...kept].sort());
  expect(room.database.all("SELECT * FROM images")).toEqual([]);
}

test("pull() goes on where a cut connection stopped", async () => {
  const image = big();
  const { room, layer } = await roomWith(image);
  await using _ = room;
  const bytes = image.layers[0]?.bytes ?? new Uint8Array();
  let cut = () => {};
  room.registry.misbehave = (request, response) => {
    if (!request.url?.includes(layer) || request.headers.range !== undefined) return false;
    response.writeHead(200, { "content-length": String(bytes.byteLength) });
    response.write(bytes.subarray(0, 150_000));
    cut = () => response.destroy();
    return true;
  };
  const onProgress = (progress: Progress) => {
    room.onProgress(progress);
    if (progress.detail?.current) cut();
  };
  await room.images.pull(parseReference(`${room.registry.host}/app:v1`), { onProgress });
  const ranges = room.registry.asked(layer).map(({ range }) => range);
  expect(ranges).toHaveLength(2);
  const resumed = Number(/^bytes=(\d+)-$/.exec(ranges[1] ?? "")?.[1]);
  expect(resumed).toBeGreaterThan(0);
  expect(resumed).toBeLessThanOrEqual(150_000);
  expect(room.lines().some((line) => line.includes("Retrying in 1 second"))).toBeTrue();
  expect(room.snapshotter.layers.size).toBe(1);
});

test("pull() starts anew when the registry ignores the range", async () => {
  const image = big();
  const { room, layer, pull } = await roomWith(image);
  await using _ = room;
  const bytes = image.layers[0]?.bytes ?? new Uint8Array();
  let count = 0;
  room.registry.misbehave = (request, response) => {
    if (!request.url?.includes(layer)) return false;
    response.writeHead(200, { "content-length": String(bytes.byteLength) });
    if (count++ === 0) response.write(bytes.subarray(0, 150_000), () => response.destroy());
    else response.end(bytes);
    return true;
  };
  await pull();
  expect(room.snapshotter.layers.size).toBe(1);
});

test("pull() takes a Content-Length that is too short for a broken connection, gives up after its attempts and leaves a part only", async () => {
  const image = big();
  const { room, layer, pull } = await roomWith(image);
  await using _ = room;
  room.registry.misbehave = (request, response) => {
    if (!request.url?.includes(layer)) return false;
    response.writeHead(200, { "content-length": "1000" }).end(Buffer.alloc(1000));
    return true;
  };
  expect(await failureOf(pull)).toEndWith("unexpected EOF: got 1000 of 401920 bytes");
  // The first got somewhere, the four after it no further.
  expect(room.registry.asked(layer)).toHaveLength(5);
  expectNothing(room, documentsOf(image));
  expect(room.content.partBytes(image.layers[0]?.descriptor.digest ?? digestOf(""))).toBe(1000);
});

test.each([
  ["has another digest", () => Buffer.alloc(401_920, "z")],
  ["is too long", () => Buffer.alloc(500_000, "z")],
])("pull() refuses a layer that %s, and keeps none of it", async (_name, bytes) => {
  const image = big();
  const { room, layer, pull } = await roomWith(image);
  await using _ = room;
  room.registry.misbehave = (request, response) => {
    if (!request.url?.includes(layer)) return false;
    response.writeHead(200).end(bytes());
    return true;
  };
  expect(await failureOf(pull)).toStartWith("corrupt: Cannot store");
  expect(room.registry.asked(layer)).toHaveLength(1);
  expectNothing(room);
});

test("pull() stops an endless body at the promised size", async () => {
  const image = big();
  const { room, layer, pull } = await roomWith(image);
  await using _ = room;
  let sent = 0;
  const closed = Promise.withResolvers<void>();
  room.registry.misbehave = (request, response) => {
    if (!request.url?.includes(layer)) return false;
    response.writeHead(200);
    const more = () => {
      if (response.destroyed) return;
      sent += 65_536;
      response.write(Buffer.alloc(65_536), more);
    };
    response.on("close", closed.resolve);
    more();
    return true;
  };
  expect(await failureOf(pull)).toStartWith("corrupt: Cannot store");
  await closed.promise;
  expect(sent).toBeLessThan(64 << 20);
  expectNothing(room);
});

test("pull() refuses a layer whose diffId is not the configuration's, and keeps none of it", async () => {
  const image = imageOf({ config: { rootfs: { type: "layers", diff_ids: [digestOf("another")] } } });
  const { room, pull } = await roomWith(image);
  await using _ = room;
  expect(await failureOf(pull)).toStartWith("corrupt: Cannot unpack");
  expectNothing(room);
});

test("pull() fails in time when a body stalls", async () => {
  const image = big();
  const { room, layer, pull } = await roomWith(image, impatient);
  await using _ = room;
  room.registry.misbehave = (request, response) => {
    if (!request.url?.includes(layer)) return false;
    response.writeHead(200, { "content-length": "401920" });
    response.write("x");
    return true;
  };
  expect(await failureOf(pull)).toContain("no data for 0.4 s");
  expectNothing(room, documentsOf(image));
});

test("pull() fails in time when the registry never answers", async () => {
  const { room, pull } = await roomWith(big(), impatient);
  await using _ = room;
  room.registry.misbehave = () => true;
  const words = "net/http: request canceled (Client.Timeout exceeded while awaiting headers)";
  expect(await failureOf(pull)).toBe(`unavailable: Get "http://${room.registry.host}/v2/": ${words}`);
  expectNothing(room);
});

test("pull() tries again when the server is overloaded, and says so in the end", async () => {
  const { room, pull } = await roomWith(big());
  await using _ = room;
  let left = 1;
  room.registry.misbehave = (request, response) => {
    if (!request.url?.includes("manifests") || left-- <= 0) return false;
    response.writeHead(503, { "retry-after": "0" }).end();
    return true;
  };
  await pull();
  left = 100;
  const other = parseReference(`${room.registry.host}/app:v2`);
  expect(await failureOf(() => room.images.pull(other))).toBe(
    "unavailable: received unexpected HTTP status: 503 Service Unavailable",
  );
});

test("pull() does not wait for a rate limit that lasts hours", async () => {
  const { room, pull } = await roomWith(big());
  await using _ = room;
  room.registry.misbehave = (request, response) => {
    if (!request.url?.includes("manifests")) return false;
    response.writeHead(429, { "retry-after": "21600", "content-type": "application/json" });
    response.end(JSON.stringify({ errors: [{ code: "TOOMANYREQUESTS", message: "You have reached your limit" }] }));
    return true;
  };
  expect(await failureOf(pull)).toBe("unavailable: toomanyrequests: You have reached your limit");
});

test("pull() stops when its signal aborts, and leaves a part only", async () => {
  const image = big();
  const { room, layer } = await roomWith(image);
  await using _ = room;
  const stop = new AbortController();
  room.registry.misbehave = (request, response) => {
    if (!request.url?.includes(layer)) return false;
    response.writeHead(200, { "content-length": "401920" });
    response.write(Buffer.alloc(1000), () => stop.abort(new Error("user left")));
    return true;
  };
  const reference = parseReference(`${room.registry.host}/app:v1`);
  expect(await failureOf(() => room.images.pull(reference, { signal: stop.signal }))).toBe("internal: user left");
  expectNothing(room, documentsOf(image));
});
