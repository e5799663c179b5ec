/** Clients that lie to the registry that this engine is, fill it up, or want out of it. */

import { expect, test } from "bun:test";
import { readdir, watch } from "node:fs/promises";
import { join } from "node:path";
import { imageOf, json, piece } from "../../bench/fixture/image.ts";
import { digestOf } from "../../src/base/digest.ts";
import { V2 } from "../support/v2.ts";

const image = imageOf();
const bytes = new Uint8Array(Buffer.from("0123456789"));
const blob = digestOf(bytes);

const unfinished = async (v2: V2) => (await readdir(v2.room.scratch)).filter((name) => name.startsWith("new-upload-"));

test("bytes that are not their digest are refused, and not kept", async () => {
  await using v2 = await V2.open();
  const other = digestOf("other");
  const whole = await v2.send(`POST /v2/app/blobs/uploads/?digest=${other}`, bytes);
  const at = await v2.begin("app");
  await v2.send(`PATCH ${at}`, bytes);
  const pieces = await v2.send(`PUT ${at}?digest=${other}`);
  for (const { status, codes } of [whole, pieces]) expect([status, ...codes]).toEqual([400, "DIGEST_INVALID"]);
  expect(v2.room.content.digests()).toEqual([]);
  expect(await unfinished(v2)).toEqual([]);
  expect((await v2.send(`PUT ${at}?digest=${blob}`)).codes).toEqual(["BLOB_UPLOAD_UNKNOWN"]);
});

test.each(["", "sha256:../../etc/passwd", "md5:0123", `sha512:${"0".repeat(128)}`])(
  "the digest %p is refused",
  async (digest) => {
    await using v2 = await V2.open();
    const at = await v2.begin("app");
    expect((await v2.send(`PUT ${at}?digest=${encodeURIComponent(digest)}`, bytes)).codes).toEqual(["DIGEST_INVALID"]);
  },
);

test.each([
  "..",
  "%2e%2e/%2e%2e/etc",
  "app//other",
  "app%00",
  "-app",
  "a".repeat(256),
  "localhost:5000/app",
  "index.docker.io/UPPER",
  "0".repeat(64),
])("the name %p is refused", async (name) => {
  await using v2 = await V2.open();
  for (const line of [`POST /v2/${name}/blobs/uploads/`, `PUT /v2/${name}/manifests/v1`]) {
    const { status } = await v2.send(line, "{}");
    expect([400, 404]).toContain(status);
  }
  expect(v2.room.database.all("SELECT * FROM images")).toEqual([]);
  expect(await readdir(v2.room.scratch)).toEqual([]);
});

test("an upload of one repository is none of another", async () => {
  await using v2 = await V2.open();
  const at = (await v2.begin("app")).replace("/app/", "/other/");
  for (const line of [`GET ${at}`, `PATCH ${at}`, `PUT ${at}?digest=${blob}`, `DELETE ${at}`])
    expect((await v2.send(line)).codes).toEqual(["BLOB_UPLOAD_UNKNOWN"]);
});

test("a blob without end is cut off", async () => {
  await using v2 = await V2.open({ uploadLimits: { blobBytes: 1_000_000 } });
  let sent = 0;
  const endless = new ReadableStream<Uint8Array>(
    {
      pull(out) {
        sent += 100_000;
        out.enqueue(new Uint8Array(100_000));
      },
    },
    { highWaterMark: 0 },
  );
  const at = await v2.begin("app");
  const { status, codes } = await v2.send(`PATCH ${at}`, endless);
  expect([status, ...codes]).toEqual([400, "SIZE_INVALID"]);
  expect(sent).toBeLessThanOrEqual(1_200_000);
  await v2.send(`DELETE ${at}`);
  expect(await unfinished(v2)).toEqual([]);
});

test("a piece that is longer or shorter than it says is refused", async () => {
  await using v2 = await V2.open();
  const at = await v2.begin("app");
  const long = await v2.send(`PATCH ${at}`, bytes, { "content-range": "0-4" });
  expect(long.codes).toEqual(["SIZE_INVALID"]);
  expect((await v2.send(`GET ${at}`)).headers.get("range")).toBe("0-0"); // nothing of it was taken
  expect((await v2.send(`PATCH ${at}`, bytes, { "content-range": "0-99" })).codes).toEqual(["SIZE_INVALID"]);
  expect((await v2.send(`GET ${at}`)).headers.get("range")).toBe("0-9"); // what came stays, to be continued
});

test("a piece that breaks off keeps what came, and is continued", async () => {
  await using v2 = await V2.open();
  const at = await v2.begin("app");
  let step = 0;
  const broken = new ReadableStream<Uint8Array>({
    pull(out) {
      if (step++ === 0) out.enqueue(bytes.subarray(0, 6));
      else out.error(new Error("connection reset"));
    },
  });
  expect((await v2.send(`PATCH ${at}`, broken)).status).toBe(500);
  expect((await v2.send(`GET ${at}`)).headers.get("range")).toBe("0-5");
  await v2.send(`PATCH ${at}`, bytes.subarray(6), { "content-range": "6-9" });
  expect((await v2.send(`PUT ${at}?digest=${blob}`)).status).toBe(201);
});

test("uploads without end are not begun without end", async () => {
  await using v2 = await V2.open({ uploadLimits: { sessions: 2 } });
  const at = await v2.begin("app");
  await v2.begin("app");
  const { status, codes } = await v2.send("POST /v2/app/blobs/uploads/");
  expect([status, ...codes]).toEqual([429, "TOOMANYREQUESTS"]);
  await v2.send(`DELETE ${at}`);
  expect(await v2.begin("app")).not.toBe("");
});

test("an upload that nobody finishes is swept, at the latest when the engine starts again", async () => {
  await using v2 = await V2.open({ uploadLimits: { idleMs: 30 } });
  const changes = watch(v2.room.scratch);
  const removed = (async () => {
    let seen = 0;
    for await (const { eventType, filename } of changes)
      if (eventType === "rename" && filename?.startsWith("new-upload-") && ++seen === 2) return;
  })();
  const at = await v2.begin("app");
  await removed;
  expect((await v2.send(`PATCH ${at}`, bytes)).codes).toEqual(["BLOB_UPLOAD_UNKNOWN"]);
  await Bun.write(join(v2.room.scratch, "new-upload-left"), "by a crash");
  await v2.room.images.sweep();
  expect(await unfinished(v2)).toEqual([]);
});

test("a blob that no manifest names is swept once its time is over", async () => {
  await using v2 = await V2.open({ uploadLimits: { leaseMs: -1 } });
  await v2.putBlob("app", bytes);
  expect(v2.room.content.digests()).toEqual([blob]);
  await v2.room.images.sweep();
  expect(v2.room.content.digests()).toEqual([]);
});

test("a manifest that names blobs that are not here is refused", async () => {
  await using v2 = await V2.open();
  const { status, codes } = await v2.putManifest("app", "v1", image.manifest);
  expect([status, ...codes]).toEqual([404, "MANIFEST_BLOB_UNKNOWN"]);
  await v2.putBlob("app", image.config.bytes);
  expect((await v2.putManifest("app", "v1", image.manifest)).codes).toEqual(["MANIFEST_BLOB_UNKNOWN"]);
});

test("a manifest that lies about the size of a blob is refused", async () => {
  await using v2 = await V2.open();
  for (const { bytes: piece } of [image.config, ...image.layers]) await v2.putBlob("app", piece);
  const document = JSON.parse(Buffer.from(image.manifest.bytes).toString());
  document.layers[0].size++;
  const lying = piece(document.mediaType, json(document));
  expect((await v2.putManifest("app", "v1", lying)).codes).toEqual(["MANIFEST_BLOB_UNKNOWN"]);
});

test("a layer that is not what the configuration says is refused, and leaves no image", async () => {
  await using v2 = await V2.open();
  const liar = imageOf({ config: { rootfs: { type: "layers", diff_ids: [digestOf("something else")] } } });
  expect((await v2.push("app", "v1", liar)).codes).toEqual(["MANIFEST_INVALID"]);
  expect(v2.room.database.all("SELECT * FROM images")).toEqual([]);
  expect((await v2.send("GET /v2/app/manifests/v1")).status).toBe(404);
});

test.each<[name: string, document: unknown, sent: string | undefined]>([
  ["no JSON", "{", undefined],
  ["an array", [], undefined],
  ["both kinds", { schemaVersion: 2, manifests: [], layers: [], config: image.config.descriptor }, undefined],
  ["schema 1", { schemaVersion: 1, name: "app", tag: "v1" }, "application/vnd.docker.distribution.manifest.v1+json"],
  [
    "another type than it was sent as",
    { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [] },
    undefined,
  ],
  ["a type that nobody knows", { schemaVersion: 2 }, "text/html"],
  [
    "a digest that leads elsewhere",
    { schemaVersion: 2, config: { ...image.config.descriptor, digest: "sha256:../../x" }, layers: [] },
    undefined,
  ],
])("a manifest of %s is refused", async (_name, document, sent) => {
  await using v2 = await V2.open();
  const text = typeof document === "string" ? document : JSON.stringify(document);
  const headers = { "content-type": sent ?? "application/vnd.oci.image.manifest.v1+json" };
  const { status, codes } = await v2.send("PUT /v2/app/manifests/v1", text, headers);
  expect([status, ...codes]).toEqual([400, "MANIFEST_INVALID"]);
});

test("a manifest without end, or under another digest than its own, is refused", async () => {
  await using v2 = await V2.open();
  const large = Buffer.alloc(5 << 20, " ");
  expect((await v2.send("PUT /v2/app/manifests/v1", large)).codes).toEqual(["SIZE_INVALID"]);
  expect((await v2.putManifest("app", digestOf("other"), image.manifest)).codes).toEqual(["DIGEST_INVALID"]);
});
