/** /v2/ by the rules of the OCI distribution specification, section by section. */

import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { imageOf, indexOf, json, piece } from "../../bench/fixture/image.ts";
import { digestOf } from "../../src/base/digest.ts";
import { ociIndex, ociManifest } from "../../src/base/media-types.ts";
import { parseReference } from "../../src/base/reference.ts";
import { bytesOf } from "../../src/base/streams.ts";
import { dockerArchive } from "../support/archive.ts";
import { V2 } from "../support/v2.ts";

const image = imageOf({ layers: [[{ name: "a", content: "a" }], [{ name: "b", content: "b" }]] });
const { digest } = image.manifest.descriptor;
const bytes = new Uint8Array(Buffer.from("0123456789"));
const blob = digestOf(bytes);

test("GET /v2/ says that this is a registry", async () => {
  await using v2 = await V2.open();
  for (const path of ["/v2/", "/v2"]) {
    const { status, headers } = await v2.send(`GET ${path}`);
    expect([status, headers.get("docker-distribution-api-version")]).toEqual([200, "registry/2.0"]);
  }
});

describe("pull", () => {
  test("a manifest is there by tag and by digest, for GET and HEAD", async () => {
    await using v2 = await V2.open();
    expect((await v2.push("team/app", "v1", image)).status).toBe(201);
    for (const reference of ["v1", digest]) {
      const got = await v2.send(`GET /v2/team/app/manifests/${reference}`);
      expect(Buffer.from(got.bytes).equals(image.manifest.bytes)).toBeTrue();
      const head = await v2.send(`HEAD /v2/team/app/manifests/${reference}`);
      expect([head.status, head.text]).toEqual([200, ""]);
      for (const { headers } of [got, head]) {
        expect(headers.get("content-type")).toBe(ociManifest);
        expect(headers.get("docker-content-digest")).toBe(digest);
        expect(headers.get("content-length")).toBe(String(image.manifest.descriptor.size));
      }
    }
  });

  test("a manifest belongs to its repository", async () => {
    await using v2 = await V2.open();
    await v2.push("team/app", "v1", image);
    for (const path of ["other/app/manifests/v1", `other/app/manifests/${digest}`, "team/app/manifests/v2"])
      expect([path, ...(await v2.send(`GET /v2/${path}`)).codes]).toEqual([path, "MANIFEST_UNKNOWN"]);
  });

  test.each([
    ["bytes=2-5", 206, "2345", "bytes 2-5/10"],
    ["bytes=7-", 206, "789", "bytes 7-9/10"],
    ["bytes=-2", 206, "89", "bytes 8-9/10"],
    ["bytes=0-99", 206, "0123456789", "bytes 0-9/10"],
    ["bytes=10-", 416, "", "bytes */10"],
    ["bytes=5-2", 200, "0123456789", null],
    ["bytes=0-1,4-5", 200, "0123456789", null],
    ["lines=1-2", 200, "0123456789", null],
  ])("a blob by the range %s", async (range, status, text, contentRange) => {
    await using v2 = await V2.open();
    await v2.putBlob("app", bytes);
    const got = await v2.send(`GET /v2/app/blobs/${blob}`, undefined, { range });
    expect([got.status, got.text, got.headers.get("content-range")]).toEqual([status, text, contentRange]);
  });

  test("HEAD of a blob says its size; an unknown one is unknown", async () => {
    await using v2 = await V2.open();
    await v2.putBlob("app", bytes);
    const { status, headers, text } = await v2.send(`HEAD /v2/app/blobs/${blob}`);
    expect([status, headers.get("content-length"), text]).toEqual([200, "10", ""]);
    expect((await v2.send(`GET /v2/app/blobs/${digestOf("none")}`)).codes).toEqual(["BLOB_UNKNOWN"]);
  });

  test("an image that was never pushed has a manifest, the same each time, and its blobs", async () => {
    await using v2 = await V2.open();
    await v2.room.images.load(bytesOf(new Uint8Array(dockerArchive([{ image, tags: ["box:1"] }]))));
    const first = await v2.send("GET /v2/box/manifests/1");
    expect(first.status).toBe(200);
    const { config, layers } = JSON.parse(first.text);
    expect(config.digest).toBe(image.config.descriptor.digest);
    for (const { digest: one, size } of [config, ...layers]) {
      const got = await v2.send(`GET /v2/box/blobs/${one}`);
      expect([digestOf(got.bytes), got.bytes.length]).toEqual([one, size]);
    }
    expect((await v2.send("GET /v2/library/box/manifests/1")).text).toBe(first.text); // the same repository
    expect((await v2.send(`GET /v2/box/manifests/${digestOf(first.bytes)}`)).text).toBe(first.text);
    // A blob that was lost is made anew.
    await v2.room.content.remove(layers[0].digest);
    expect((await v2.send("GET /v2/box/manifests/1")).text).toBe(first.text);
    expect((await v2.send(`GET /v2/box/blobs/${layers[0].digest}`)).status).toBe(200);
  });

  test("a damaged blob breaks off, and is made anew for who asks again", async () => {
    await using v2 = await V2.open();
    await v2.room.images.load(bytesOf(new Uint8Array(dockerArchive([{ image, tags: ["box:1"] }]))));
    const [layer] = JSON.parse((await v2.send("GET /v2/box/manifests/1")).text).layers;
    const { path } = await v2.room.content.get(layer.digest);
    await writeFile(path, Buffer.alloc(layer.size));
    await expect(v2.send(`GET /v2/box/blobs/${layer.digest}`)).rejects.toThrow("is damaged");
    await v2.send("GET /v2/box/manifests/1");
    expect(digestOf((await v2.send(`GET /v2/box/blobs/${layer.digest}`)).bytes)).toBe(layer.digest);
  });
});

describe("push", () => {
  test("a blob in pieces, with what is there asked for in between", async () => {
    await using v2 = await V2.open();
    const at = await v2.begin("app");
    expect(at).toMatch(/^\/v2\/app\/blobs\/uploads\/[0-9a-f]{64}$/);
    const first = await v2.send(`PATCH ${at}`, "0123", { "content-range": "0-3", "content-length": "4" });
    expect([first.status, first.headers.get("range"), first.headers.get("location")]).toEqual([202, "0-3", at]);
    const asked = await v2.send(`GET ${at}`);
    expect([asked.status, asked.headers.get("range")]).toEqual([204, "0-3"]);
    const again = await v2.send(`PATCH ${at}`, "0123", { "content-range": "0-3" });
    expect([again.status, ...again.codes]).toEqual([416, "BLOB_UPLOAD_INVALID"]);
    expect((await v2.send(`PATCH ${at}`, "78", { "content-range": "7-8" })).status).toBe(416);
    const done = await v2.send(`PUT ${at}?digest=${blob}`, "456789", { "content-range": "4-9" });
    expect([done.status, done.headers.get("location")]).toEqual([201, `/v2/app/blobs/${blob}`]);
    expect((await v2.send(`GET /v2/app/blobs/${blob}`)).text).toBe("0123456789");
    expect((await v2.send(`GET ${at}`)).codes).toEqual(["BLOB_UPLOAD_UNKNOWN"]);
  });

  test("an upload that is given up is gone", async () => {
    await using v2 = await V2.open();
    const at = await v2.begin("app");
    expect((await v2.send(`DELETE ${at}`)).status).toBe(204);
    expect((await v2.send(`PATCH ${at}`, "x")).codes).toEqual(["BLOB_UPLOAD_UNKNOWN"]);
  });

  test("a blob that is here is mounted; one that is not begins an upload", async () => {
    await using v2 = await V2.open();
    await v2.putBlob("app", bytes);
    const mounted = await v2.send(`POST /v2/other/blobs/uploads/?mount=${blob}&from=app`);
    expect([mounted.status, mounted.headers.get("location")]).toEqual([201, `/v2/other/blobs/${blob}`]);
    const begun = await v2.send(`POST /v2/other/blobs/uploads/?mount=${digestOf("none")}&from=app`);
    expect([begun.status, begun.headers.get("range")]).toEqual([202, "0-0"]);
  });

  test("a manifest makes a local image, unpacked, under its tag and digest", async () => {
    await using v2 = await V2.open();
    const { status, headers } = await v2.push("app", "v1", image);
    expect([status, headers.get("docker-content-digest"), headers.get("location")]).toEqual([
      201,
      digest,
      `/v2/app/manifests/${digest}`,
    ]);
    const details = await v2.room.images.inspect("app:v1");
    expect(details).toMatchObject({ id: image.config.descriptor.digest, repoDigests: [`app@${digest}`] });
    expect([...v2.room.snapshotter.layers.keys()].sort()).toEqual([...image.diffIds].sort());
    expect(v2.room.events.map(({ action }) => action)).toContain("load");
  });

  test("an index is kept whole, with the platforms that do not run here", async () => {
    await using v2 = await V2.open();
    const windows = imageOf({ platform: { os: "windows" }, layers: [[{ name: "w", content: "w" }]] });
    const index = indexOf([
      { image, platform: { os: "linux", architecture: "amd64" } },
      { image: windows, platform: { os: "windows", architecture: "amd64" } },
    ]);
    const early = await v2.putManifest("app", "multi", index);
    expect([early.status, ...early.codes]).toEqual([404, "MANIFEST_BLOB_UNKNOWN"]);
    for (const one of [image, windows])
      expect((await v2.push("app", one.manifest.descriptor.digest, one)).status).toBe(201);
    expect((await v2.putManifest("app", "multi", index)).status).toBe(201);
    for (const reference of ["multi", index.descriptor.digest, windows.manifest.descriptor.digest])
      expect((await v2.send(`GET /v2/app/manifests/${reference}`)).status).toBe(200);
    const got = await v2.send("GET /v2/app/manifests/multi");
    expect([got.headers.get("content-type"), got.text]).toEqual([ociIndex, Buffer.from(index.bytes).toString()]);
    expect((await v2.room.images.inspect("app:multi")).id).toBe(image.config.descriptor.digest);
  });

  test("an artifact is kept, and told by what it says something of", async () => {
    await using v2 = await V2.open();
    await v2.push("app", "v1", image);
    const empty = new Uint8Array(Buffer.from("{}"));
    await v2.putBlob("app", empty);
    const config = { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf(empty), size: 2 };
    const signature = (artifactType: string) =>
      piece(
        ociManifest,
        json({
          ...{ schemaVersion: 2, mediaType: ociManifest, artifactType, config, layers: [config] },
          ...{ subject: image.manifest.descriptor, annotations: { by: "ann" } },
        }),
      );
    const [one, two] = [signature("application/one"), signature("application/two")];
    const pushed = await v2.putManifest("app", one.descriptor.digest, one);
    expect([pushed.status, pushed.headers.get("oci-subject")]).toEqual([201, digest]);
    await v2.putManifest("app", "sig", two);
    const { headers, text } = await v2.send(`GET /v2/app/referrers/${digest}`);
    expect(headers.get("content-type")).toBe(ociIndex);
    const listed = JSON.parse(text).manifests;
    expect(listed).toHaveLength(2);
    expect(listed).toContainEqual({ ...one.descriptor, artifactType: "application/one", annotations: { by: "ann" } });
    const filtered = await v2.send(`GET /v2/app/referrers/${digest}?artifactType=application/two`);
    expect(filtered.headers.get("oci-filters-applied")).toBe("artifactType");
    expect(JSON.parse(filtered.text).manifests).toHaveLength(1);
    expect(JSON.parse((await v2.send(`GET /v2/app/referrers/${digestOf("none")}`)).text).manifests).toEqual([]);
    expect((await v2.send("GET /v2/app/manifests/sig")).text).toBe(Buffer.from(two.bytes).toString());
    expect(JSON.parse((await v2.send("GET /v2/app/tags/list")).text).tags).toEqual(["sig", "v1"]);
    await v2.room.images.sweep();
    expect((await v2.send(`GET /v2/app/blobs/${config.digest}`)).status).toBe(200); // an artifact needs it
    for (const { descriptor } of [one, two])
      expect((await v2.send(`DELETE /v2/app/manifests/${descriptor.digest}`)).status).toBe(202);
    await v2.room.images.sweep();
    expect((await v2.send(`GET /v2/app/blobs/${config.digest}`)).status).toBe(404);
  });
});

describe("discovery", () => {
  test("tags and repositories come in pages, sorted", async () => {
    await using v2 = await V2.open();
    for (const tag of ["c", "a", "b"]) await v2.push("app", tag, image);
    await v2.push("team/other", "x", image);
    await v2.room.images.tag("app:a", parseReference("ghcr.io/far/away:1"));
    await v2.room.images.tag("app:a", parseReference("localhost:5000/no:1")); // has a port
    const list = async (path: string) => {
      const { text, headers } = await v2.send(`GET ${path}`);
      return [JSON.parse(text), headers.get("link")];
    };
    expect(await list("/v2/app/tags/list")).toEqual([{ name: "app", tags: ["a", "b", "c"] }, null]);
    expect(await list("/v2/app/tags/list?n=2")).toEqual([
      { name: "app", tags: ["a", "b"] },
      '</v2/app/tags/list?n=2&last=b>; rel="next"',
    ]);
    expect(await list("/v2/app/tags/list?n=2&last=b")).toEqual([{ name: "app", tags: ["c"] }, null]);
    expect(await list("/v2/app/tags/list?n=0")).toEqual([{ name: "app", tags: [] }, null]);
    expect(await list("/v2/_catalog")).toEqual([{ repositories: ["app", "ghcr.io/far/away", "team/other"] }, null]);
    expect((await list("/v2/_catalog?n=1"))[1]).toBe('</v2/_catalog?n=1&last=app>; rel="next"');
    expect((await v2.send("GET /v2/app/tags/list?n=x")).codes).toEqual(["PAGINATION_NUMBER_INVALID"]);
    expect((await v2.send("GET /v2/none/tags/list")).codes).toEqual(["NAME_UNKNOWN"]);
  });
});

describe("deletion", () => {
  test("a tag goes alone, a digest with all of its tags, and with the last name the image", async () => {
    await using v2 = await V2.open();
    for (const tag of ["one", "two", "three"]) await v2.push("app", tag, image);
    expect((await v2.send("DELETE /v2/app/manifests/one")).status).toBe(202);
    expect(JSON.parse((await v2.send("GET /v2/app/tags/list")).text).tags).toEqual(["three", "two"]);
    expect((await v2.send(`DELETE /v2/app/manifests/${digest}`)).status).toBe(202);
    expect((await v2.send(`GET /v2/app/manifests/${digest}`)).status).toBe(404);
    expect(v2.room.database.all("SELECT * FROM images")).toEqual([]);
    expect((await v2.send("DELETE /v2/app/manifests/two")).codes).toEqual(["MANIFEST_UNKNOWN"]);
  });

  test("a blob goes unless a manifest needs it", async () => {
    await using v2 = await V2.open();
    await v2.push("app", "v1", image);
    await v2.putBlob("app", bytes);
    expect((await v2.send(`DELETE /v2/app/blobs/${blob}`)).status).toBe(202);
    expect((await v2.send(`DELETE /v2/app/blobs/${blob}`)).codes).toEqual(["BLOB_UNKNOWN"]);
    const [layer] = image.layers;
    expect((await v2.send(`DELETE /v2/app/blobs/${layer?.descriptor.digest}`)).codes).toEqual(["DENIED"]);
  });
});

test.each([
  ["POST /v2/app/manifests/v1", 405, "UNSUPPORTED"],
  ["PUT /v2/app/tags/list", 405, "UNSUPPORTED"],
  ["GET /v2/app", 404, "UNSUPPORTED"],
  ["GET /v2/app/manifests/sha256:short", 400, "DIGEST_INVALID"],
  ["GET /v2/app/blobs/v1", 400, "DIGEST_INVALID"],
  ["GET /v2/UPPER/tags/list", 400, "NAME_INVALID"],
])("%s is refused with %p %s", async (line, status, code) => {
  await using v2 = await V2.open();
  const answer = await v2.send(line);
  expect([answer.status, ...answer.codes]).toEqual([status, code]);
});
