/** Documents that lie about themselves or about what they name. */

import { describe, expect, test } from "bun:test";
import { imageOf, indexOf, json, piece } from "../../bench/fixture/image.ts";
import { digestOf } from "../../src/base/digest.ts";
import { dockerManifest, ociIndex, ociManifest } from "../../src/base/media-types.ts";
import { parseReference } from "../../src/base/reference.ts";
import { parseConfig, parseDocument } from "../../src/image/manifest.ts";
import { failureOf } from "../support/errors.ts";
import { ImageRoom } from "../support/images.ts";

const image = imageOf();
const { config, layers } = JSON.parse(new TextDecoder().decode(image.manifest.bytes));
const [layer] = layers;
const manifest = { schemaVersion: 2, mediaType: ociManifest, config, layers };
const index = { schemaVersion: 2, mediaType: ociIndex, manifests: [image.manifest.descriptor] };

describe("parseDocument() refuses", () => {
  test.each<[string, unknown, string, string]>([
    ["both lists", { ...manifest, manifests: [] }, "", "corrupt: Cannot read the manifest: it has both"],
    ["an index with layers", { ...index, layers }, "", "corrupt: Cannot read the manifest: it has both"],
    ["another type than was sent", manifest, dockerManifest, "corrupt: Cannot read the manifest: it says"],
    [
      "schema 1",
      { schemaVersion: 1, fsLayers: [] },
      "",
      "invalid: image manifest version 2, schema 1 is not supported",
    ],
    [
      "schema 1 by its type",
      { schemaVersion: 2 },
      "application/vnd.docker.distribution.manifest.v1+prettyjws",
      "invalid: image manifest version 2, schema 1",
    ],
    ["schema 3", { ...manifest, schemaVersion: 3 }, "", "corrupt: Cannot read the manifest: schemaVersion 3, want 2"],
    ["no version", {}, "", "corrupt: manifest.schemaVersion is not there"],
    ["nothing", { schemaVersion: 2 }, "", "corrupt: Cannot read the manifest: it has no `config`"],
    ["an index of nothing", { schemaVersion: 2, mediaType: ociIndex }, "", "corrupt: Cannot read the index"],
    ["a list", [], "", "corrupt: manifest is not an object"],
    [
      "a negative size",
      { ...manifest, config: { ...config, size: -1 } },
      "",
      "corrupt: manifest.config.size is not a size",
    ],
    [
      "a huge size",
      { ...manifest, config: { ...config, size: 1e300 } },
      "",
      "corrupt: manifest.config.size is not an integer",
    ],
    [
      "a path for a digest",
      { ...manifest, layers: [{ ...layer, digest: "sha256:../../../etc/passwd" }] },
      "",
      "corrupt: manifest.layers[0].digest is not a digest",
    ],
    [
      "an artifact",
      { ...manifest, config: { ...config, mediaType: "application/vnd.cncf.helm.config.v1+json" } },
      "",
      "invalid: Encountered remote",
    ],
    [
      "a layer of another kind",
      { ...manifest, layers: [{ ...layer, mediaType: "text/html" }] },
      "",
      "invalid: unsupported layer media type",
    ],
    [
      "501 layers",
      { ...manifest, layers: Array.from({ length: 501 }, () => layer) },
      "",
      "invalid: the image has 501 layers",
    ],
  ])("%s", async (_name, document, sent, words) => {
    expect(await failureOf(() => parseDocument(json(document), sent))).toStartWith(words);
  });

  test.each([
    ["no JSON", "{"],
    ["no UTF-8", "\xff\xfe"],
    ["deep nesting", `{"schemaVersion":2,"x":${"[".repeat(100_000)}`],
    ["more than 4 MiB", `{"schemaVersion":2,"x":"${"x".repeat(4 << 20)}"}`],
  ])("%s", async (_name, text) => {
    expect(await failureOf(() => parseDocument(Buffer.from(text, "latin1"), ""))).toStartWith(
      "corrupt: Cannot read the manifest",
    );
  });
});

describe("parseConfig() refuses", () => {
  const rootfs = { type: "layers", diff_ids: [digestOf("x")] };
  const good = { os: "linux", architecture: "amd64", rootfs };
  test.each<[string, unknown, string]>([
    ["no rootfs", { os: "linux", architecture: "amd64" }, "corrupt: image configuration.rootfs is not there"],
    [
      "another rootfs",
      { ...good, rootfs: { ...rootfs, type: "tar" } },
      "corrupt: Cannot read the image configuration: rootfs.type",
    ],
    [
      "a diffId that is a path",
      { ...good, rootfs: { ...rootfs, diff_ids: ["../x"] } },
      "corrupt: image configuration.rootfs.diff_ids[0]",
    ],
    [
      "Env that is no list of strings",
      { ...good, config: { Env: ["A=1", 2] } },
      "corrupt: image configuration.config.Env[1]",
    ],
    [
      "Labels that are no strings",
      { ...good, config: { Labels: { a: {} } } },
      "corrupt: image configuration.config.Labels.a",
    ],
    ["no system", { architecture: "amd64", rootfs }, "corrupt: image configuration.os is not there"],
  ])("%s", async (_name, config, words) => {
    expect(await failureOf(() => parseConfig(json(config)))).toStartWith(words);
  });

  test("nothing that old images have: null, and single words", () => {
    const config = parseConfig(json({ ...good, config: { Cmd: "sh", Entrypoint: null, Volumes: null, Extra: [1] } }));
    expect(config.config).toEqual({ Cmd: ["sh"] });
  });

  test("a label that would reach the prototype", () => {
    const bytes = Buffer.from(
      `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers"},"config":{"Labels":{"__proto__":"x"}}}`,
    );
    const labels = parseConfig(bytes).config?.Labels ?? {};
    expect(Object.getOwnPropertyNames(labels)).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  });
});

describe("pull() refuses", () => {
  async function failureOfPull(prepare: (room: ImageRoom) => void): Promise<string> {
    await using room = await ImageRoom.open();
    prepare(room);
    const failure = await failureOf(() => room.images.pull(parseReference(`${room.registry.host}/app:v1`)));
    expect(room.content.digests()).toEqual([]);
    expect(room.snapshotter.layers.size).toBe(0);
    expect(await room.images.list()).toEqual([]);
    return failure;
  }

  test("a manifest that is not what its digest says", async () => {
    const failure = await failureOfPull((room) => {
      room.registry.push("app", "v1", image);
      room.registry.misbehave = (request, response) => {
        if (request.method !== "GET" || !request.url?.includes("/manifests/sha256:")) return false;
        response
          .writeHead(200, { "content-type": ociManifest })
          .end(json({ ...manifest, annotations: { evil: "yes" } }));
        return true;
      };
    });
    expect(failure).toStartWith("corrupt: manifest verification failed for digest");
  });

  test("a manifest longer than its descriptor in the index says", async () => {
    const failure = await failureOfPull((room) => {
      room.registry.push("app", "other", image);
      const entry = { ...image.manifest.descriptor, size: 10, platform: { os: "linux", architecture: "amd64" } };
      room.registry.pushDocument("app", "v1", piece(ociIndex, json({ ...index, manifests: [entry] })));
    });
    expect(failure).toEndWith(`got ${image.manifest.descriptor.size} bytes, want 10`);
  });

  test("an endless manifest", async () => {
    const failure = await failureOfPull((room) => {
      room.registry.misbehave = (request, response) => {
        if (!request.url?.includes("/manifests/")) return false;
        response.writeHead(200, { "content-type": ociManifest });
        const more = () => void (response.destroyed || response.write(Buffer.alloc(1 << 20, " "), more));
        if (request.method === "HEAD") response.end();
        else more();
        return true;
      };
    });
    expect(failure).toBe("corrupt: Cannot read a document of more than 4194304 bytes");
  });

  test("an index that leads to an index", async () => {
    const inner = indexOf([{ image, platform: { os: "linux", architecture: "amd64" } }]);
    const failure = await failureOfPull((room) => {
      room.registry.pushDocument("app", "inner", inner);
      const entry = { ...inner.descriptor, platform: { os: "linux", architecture: "amd64" } };
      room.registry.pushDocument("app", "v1", piece(ociIndex, json({ ...index, manifests: [entry] })));
    });
    expect(failure).toStartWith("invalid: the manifest list names another manifest list");
  });

  test("layers that are not the configuration's", async () => {
    const failure = await failureOfPull((room) =>
      room.registry.push("app", "v1", imageOf({ config: { rootfs: { type: "layers", diff_ids: [] } } })),
    );
    expect(failure).toBe("corrupt: layers from manifest don't match image configuration");
  });

  test("an image of another system", async () => {
    const failure = await failureOfPull((room) =>
      room.registry.push("app", "v1", imageOf({ platform: { os: "windows" } })),
    );
    expect(failure).toBe('invalid: image operating system "windows" cannot be used on this platform');
  });

  test("an index without this platform, in Docker's words", async () => {
    const failure = await failureOfPull((room) =>
      room.registry.pushDocument("app", "v1", indexOf([{ image, platform: { os: "linux", architecture: "s390x" } }])),
    );
    expect(failure).toBe("notFound: no matching manifest for linux/amd64 in the manifest list entries");
  });

  test("a configuration of 1 TB, unread", async () => {
    const failure = await failureOfPull((room) =>
      room.registry.push("app", "v1", imageOf({ manifest: { config: { ...config, size: 1e12 } } })),
    );
    expect(failure).toStartWith("corrupt: Cannot read the image configuration: 1000000000000 bytes");
  });
});
