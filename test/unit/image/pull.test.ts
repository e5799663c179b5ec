import { expect, test } from "bun:test";
import { shortId } from "../../../src/base/ids.ts";
import { parseReference } from "../../../src/base/reference.ts";
import { imageOf } from "../../support/image.ts";
import { ImageRoom } from "../../support/images.ts";

const twoLayers = (tag: string) => [[{ name: "base", content: "base" }], [{ name: "top", content: tag }]];

test("pull() tells the progress of each layer in Docker's words", async () => {
  await using room = await ImageRoom.open();
  const image = imageOf({ layers: twoLayers("v1") });
  room.registry.push("app", "v1", image);
  const name = `${room.registry.host}/app:v1`;
  const pulled = await room.images.pull(parseReference(name), { onProgress: room.onProgress });
  expect(pulled).toMatchObject({
    id: image.config.descriptor.digest,
    digest: image.manifest.descriptor.digest,
    changed: true,
  });
  const lines = room.lines();
  expect(lines[0]).toBe("v1: Pulling from app");
  expect(lines.slice(-2)).toEqual([
    `Digest: ${image.manifest.descriptor.digest}`,
    `Status: Downloaded newer image for ${name}`,
  ]);
  for (const { descriptor } of image.layers) {
    const own = lines.filter((line) => line.startsWith(shortId(descriptor.digest)));
    const statuses = own.map((line) => line.split(": ")[1]);
    expect(statuses.filter((status, index) => status !== statuses[index - 1])).toEqual([
      "Pulling fs layer",
      "Downloading",
      "Verifying Checksum",
      "Download complete",
      "Extracting",
      "Pull complete",
    ]);
  }
});
