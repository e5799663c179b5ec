/** Archives for `docker load` whose documents lie, disagree, or are made to keep a reader busy. */

import { describe, expect, test } from "bun:test";
import { imageOf, indexOf, json, type Piece, piece, type TestImage, tarOf } from "../../bench/fixture/image.ts";
import { hexOf } from "../../src/base/digest.ts";
import { ociIndex, ociManifest } from "../../src/base/media-types.ts";
import { dockerArchive, layoutArchive, piecesOf, streamOf } from "../support/archive.ts";
import { failureOfLoad, ImageRoom } from "../support/images.ts";

const image = imageOf();
const { manifest, config } = image;

/** A layout with one document in place of a manifest, and the pieces of the image. */
const layoutOf = (document: Piece, more: readonly Piece[] = []): Uint8Array =>
  layoutArchive([document.descriptor], [document, ...more, ...piecesOf(image)]);

const document = (value: object, type = ociManifest): Piece => piece(type, json(value));
const layers = image.layers.map(({ descriptor }) => descriptor);
const sound = { schemaVersion: 2, mediaType: ociManifest, config: config.descriptor, layers };

describe("load() refuses", () => {
  test.each<[string, Uint8Array, string]>([
    [
      "a manifest with `manifests` and `layers`",
      layoutOf(document({ ...sound, manifests: [] })),
      "corrupt: Cannot read the manifest: it has both",
    ],
    [
      "a manifest that is sent as something else",
      layoutOf(document(sound, ociIndex)),
      "corrupt: Cannot read the manifest: it says",
    ],
    ["schema 1", layoutOf(document({ schemaVersion: 1, name: "x" })), "invalid: image manifest version 2, schema 1"],
    [
      "an index of nothing",
      layoutOf(indexOf([]), []),
      "corrupt: Cannot read the archive: it has no image of the index",
    ],
    [
      "a layer of a foreign kind",
      layoutOf(document({ ...sound, layers: [{ ...layers[0], mediaType: "text/html" }] })),
      "invalid: unsupported layer media type",
    ],
    [
      "a configuration of a foreign kind",
      layoutOf(document({ ...sound, config: { ...config.descriptor, mediaType: "text/html" } })),
      "invalid: Encountered remote",
    ],
    [
      "a layer of another size",
      layoutOf(document({ ...sound, layers: [{ ...layers[0], size: 7 }] })),
      "corrupt: Cannot read sha256:",
    ],
    [
      "a configuration of another size",
      layoutOf(document({ ...sound, config: { ...config.descriptor, size: 7 } })),
      "corrupt: Cannot read sha256:",
    ],
    [
      "a manifest larger than any",
      layoutArchive([{ ...manifest.descriptor, size: 2 ** 40 }], piecesOf(image)),
      "corrupt: Cannot read sha256:",
    ],
    [
      "a layer twice where there is one",
      layoutOf(document({ ...sound, layers: [layers[0], layers[0]] })),
      "corrupt: invalid manifest, layers length mismatch",
    ],
    [
      "a blob that is missing",
      layoutArchive([manifest.descriptor], [manifest, config]),
      "corrupt: Cannot read the archive: no file",
    ],
    [
      "an index.json that is a manifest",
      tarOf({ name: "index.json", content: manifest.bytes }),
      "corrupt: Cannot read the archive: its index.json is no index",
    ],
    [
      "JSON nested without end",
      tarOf({ name: "index.json", content: `${"[".repeat(1e6)}` }),
      "corrupt: Cannot read the manifest: nested deeper",
    ],
    [
      "JSON larger than any document",
      tarOf({ name: "manifest.json", content: " ".repeat(5 << 20) }),
      'corrupt: Cannot read "manifest.json"',
    ],
    [
      "more images than anybody saves",
      layoutArchive(
        Array.from({ length: 10_001 }, () => ({
          ...manifest.descriptor,
          annotations: { "vnd.docker.reference.type": "attestation-manifest" },
        })),
        [],
      ),
      "corrupt: Cannot read the archive: more than 10000 images",
    ],
    [
      "another system's image",
      layoutOfImage(imageOf({ platform: { os: "windows" } })),
      'invalid: cannot load "windows" image on "linux"',
    ],
  ])("%s", async (_name, bytes, words) => {
    expect(await failureOfLoad(bytes)).toStartWith(words);
  });

  test("an index that lists itself", async () => {
    // No digest can be known before its document: it says another, which then is not its own.
    const loop = piece(ociIndex, json({ schemaVersion: 2, mediaType: ociIndex, manifests: [manifest.descriptor] }));
    const inner = indexOf([{ image: { ...image, manifest: loop } }]);
    expect(await failureOfLoad(layoutArchive([inner.descriptor], [inner, loop, ...piecesOf(image)]))).toBe(
      "invalid: the image index names another index for this platform",
    );
  });

  test("compressed layers that are not what the manifest says, though they unpack to the layer", async () => {
    const plain = imageOf({ compression: "none" });
    const [tar] = plain.layers;
    const [zipped] = image.layers;
    if (!tar || !zipped) throw new Error("no layer");
    const swapped = tarOf(
      { name: "index.json", content: json({ schemaVersion: 2, manifests: [manifest.descriptor] }) },
      ...[manifest, config].map(({ descriptor, bytes }) => ({
        name: `blobs/sha256/${hexOf(descriptor.digest)}`,
        content: bytes,
      })),
      { name: `blobs/sha256/${hexOf(zipped.descriptor.digest)}`, content: tar.bytes },
    );
    expect(await failureOfLoad(swapped)).toStartWith("corrupt: Cannot read sha256:");
  });
});

function layoutOfImage(other: TestImage): Uint8Array {
  return layoutArchive([other.manifest.descriptor], piecesOf(other));
}

test("load() of an archive in which two documents name one tag leaves it with the last, and both images", async () => {
  await using room = await ImageRoom.open();
  const other = imageOf({ layers: [[{ name: "other", content: "other" }]] });
  const named = { ...manifest.descriptor, annotations: { "io.containerd.image.name": "docker.io/library/x:1" } };
  const docker = dockerArchive([{ image: other, tags: ["x:1"] }]);
  const both = Buffer.concat([layoutArchive([named], piecesOf(image)).subarray(0, -1024), docker]);
  await room.images.load(streamOf(both));
  expect((await room.images.get("x:1")).id).toBe(other.config.descriptor.digest);
  expect(await room.images.list()).toHaveLength(2);
});
