/** Archives for `docker load` that want out of their folder, or to be more than they are. */

import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { imageOf, json, type TarEntry, tarOf } from "../../bench/fixture/image.ts";
import { dockerArchive, layoutArchive, piecesOf, streamOf } from "../support/archive.ts";
import { failureOfLoad, ImageRoom } from "../support/images.ts";

const image = imageOf();
const archive = dockerArchive([{ image, tags: ["app:v1"] }]);
const config = { name: "config.json", content: image.config.bytes };
const manifest = (Layers: string[], more: object = {}): TarEntry => ({
  name: "manifest.json",
  content: json([{ Config: "config.json", RepoTags: null, Layers, ...more }]),
});

describe("load() refuses", () => {
  test.each<[string, TarEntry[], string]>([
    [
      "a name with ..",
      [{ name: "../evil", content: "x" }],
      'corrupt: Cannot read the archive: "../evil" leads out of it',
    ],
    ["a name that hides ..", [{ name: "a/../../evil", content: "x" }], "corrupt: Cannot read the archive"],
    ["an absolute name", [{ name: "/etc/cron.d/evil", content: "x" }], "corrupt: Cannot read the archive"],
    [
      "a layer that is a link out",
      [config, { name: "l", type: "2", link: "../../etc/passwd" }, manifest(["l"])],
      "corrupt: Cannot read the archive",
    ],
    [
      "a layer that is an absolute link",
      [config, { name: "l", type: "2", link: "/etc/passwd" }, manifest(["l"])],
      "corrupt: Cannot read the archive",
    ],
    [
      "a layer that is a hard link out",
      [config, { name: "l", type: "1", link: "../passwd" }, manifest(["l"])],
      "corrupt: Cannot read the archive",
    ],
    [
      "a layer that links to itself",
      [config, { name: "l", type: "2", link: "l" }, manifest(["l"])],
      "corrupt: Cannot read the archive: too many links",
    ],
    ["a layer by a path out", [config, manifest(["../../etc/passwd"])], "corrupt: Cannot read the archive"],
    ["a layer that is not there", [config, manifest(["none"])], 'corrupt: Cannot read the archive: no file "none"'],
    [
      "a configuration out of the archive",
      [manifest([], { Config: "/etc/passwd" })],
      "corrupt: Cannot read the archive",
    ],
    [
      "fewer layers than the configuration has",
      [config, manifest([])],
      "corrupt: invalid manifest, layers length mismatch",
    ],
    [
      "a layer with other content",
      [config, { name: "l", content: tarOf() }, manifest(["l"])],
      "corrupt: Cannot unpack",
    ],
    [
      "a manifest that is no list",
      [{ name: "manifest.json", content: "{}" }],
      "corrupt: manifest.json is not an array",
    ],
    [
      "a name that is no reference",
      [config, manifest([], { RepoTags: ["../x"] })],
      "invalid: invalid reference format",
    ],
    [
      "what is no image",
      [{ name: "file", content: "x" }],
      "invalid: the archive has neither manifest.json nor index.json",
    ],
  ])("%s", async (_name, entries, words) => {
    expect(await failureOfLoad(tarOf(...entries))).toStartWith(words);
  });

  test("an archive cut at any block", async () => {
    const end = archive.byteLength - 1024;
    for (let at = 100; at < end; at += 500)
      expect(await failureOfLoad(archive.subarray(0, at))).toMatch(/^(corrupt|invalid): /);
  });

  test("a compressed archive that is cut or damaged", async () => {
    const packed = gzipSync(archive);
    expect(await failureOfLoad(packed.subarray(0, packed.byteLength - 50))).toStartWith("corrupt: ");
    const damaged = Buffer.from(packed);
    damaged.fill(0xff, 100, 140);
    expect(await failureOfLoad(damaged)).toStartWith("corrupt: ");
  });

  test("a header whose checksum is wrong", async () => {
    const damaged = Buffer.from(archive);
    damaged[0] = 0x7a;
    expect(await failureOfLoad(damaged)).toBe("corrupt: Cannot read the archive: a header's checksum is wrong");
  });

  test("an extended header of 8 GiB", async () => {
    const bytes = tarOf({ name: "x", type: "x", size: 2 ** 33 - 1 });
    expect(await failureOfLoad(bytes)).toBe("corrupt: Cannot read the archive: an extended header is too large");
  });

  test.each(["5 path", "999999 path=x\n", "-1 path=x\n", " path=x\n", "3 \n"])(
    "the extended header %j",
    async (content) => {
      expect(await failureOfLoad(tarOf({ name: "x", type: "x", content }))).toStartWith(
        "corrupt: Cannot read the archive: an extended header is malformed",
      );
    },
  );

  test("a blob that is not its digest", async () => {
    const pieces = piecesOf(image).map((piece) =>
      piece === image.layers[0] ? { ...piece, bytes: Buffer.concat([piece.bytes, Buffer.from("x")]) } : piece,
    );
    expect(await failureOfLoad(layoutArchive([image.manifest.descriptor], pieces))).toStartWith(
      "corrupt: Cannot read sha256:",
    );
  });

  test("xz and bzip2 that are nothing but their first bytes", async () => {
    for (const head of ["fd377a585a00", "425a6839"])
      expect(await failureOfLoad(Buffer.from(head, "hex"))).toMatch(
        /^corrupt: Cannot decompress (xz|bzip2): it ends too early/,
      );
  });

  test("nothing at all", async () => {
    expect(await failureOfLoad(new Uint8Array())).toStartWith("invalid: the archive has neither");
  });
});

test("load() of a long name in an extended header finds the file", async () => {
  await using room = await ImageRoom.open();
  const name = `${"deep/".repeat(60)}layer.tar`;
  const record = ` path=${name}\n`;
  const length = record.length + 3;
  const bytes = tarOf(
    config,
    { name: "x", type: "x", content: `${length}${record}` },
    { name: "short", content: image.tars[0] ?? "" },
    manifest([name], { RepoTags: ["long:1"] }),
  );
  await room.images.load(streamOf(bytes));
  expect((await room.images.get("long:1")).layers).toEqual(image.diffIds);
});
