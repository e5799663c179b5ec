/** /auth, /images/{name}/push, /images/search and /distribution over the real image room and a registry that is made up. */

import { expect, test } from "bun:test";
import { imageOf, indexOf } from "../../bench/fixture/image.ts";
import { registryRouter } from "../../src/api/registry.ts";
import { createApi } from "../../src/api/server.ts";
import { silent } from "../../src/base/logger.ts";
import { parseReference } from "../../src/base/reference.ts";
import { DistributionRegistry } from "../../src/registry/distribution.ts";
import { type Ask, ask } from "../support/house.ts";
import { brisk, ImageRoom } from "../support/images.ts";

type Send = (line: string, options?: Ask) => Promise<{ status: number; text: string }>;

const image = imageOf({ platform: { architecture: "arm64", variant: "v8" } });
const index = indexOf([
  { image, platform: { os: "linux", architecture: "arm64", variant: "v8" } },
  { image, platform: { os: "linux", architecture: "amd64" } },
]);

async function withApi(act: (send: Send, room: ImageRoom) => Promise<void>): Promise<void> {
  await using room = await ImageRoom.open();
  room.registry.push("app", "v1", image);
  room.registry.pushDocument("app", "multi", index);
  const registry = new DistributionRegistry({ userAgent: "Bosun/test", limits: brisk });
  const api = createApi([registryRouter(room.images, registry)], { version: "1" }, silent);
  await act(async (line, options) => {
    const { status, response } = await ask(api, line, options);
    return { status, text: await response.text() };
  }, room);
}

test("GET /distribution says what a name stands for, and for which platforms", async () => {
  await withApi(async (send, { registry: { host } }) => {
    const [one, multi] = [
      await send(`GET /distribution/${host}/app:v1/json`),
      await send(`GET /distribution/${host}/app:multi/json`),
    ];
    expect(JSON.parse(one.text)).toEqual({
      Descriptor: image.manifest.descriptor,
      Platforms: [{ os: "linux", architecture: "arm64", variant: "v8" }],
    });
    expect(JSON.parse(multi.text)).toEqual({
      Descriptor: index.descriptor,
      Platforms: [
        { os: "linux", architecture: "arm64", variant: "v8" },
        { os: "linux", architecture: "amd64" },
      ],
    });
    expect((await send(`GET /distribution/${host}/app:none/json`)).status).toBe(404);
    const { Raw } = JSON.parse((await send(`GET /distribution/${host}/app:v1/json?raw=1`)).text);
    expect(Buffer.from(Raw, "base64")).toEqual(Buffer.from(image.manifest.bytes));
  });
});

test("POST push streams Docker's lines, and the digest beside them", async () => {
  await withApi(async (send, room) => {
    const { host } = room.registry;
    await room.images.pull(parseReference(`${host}/app:v1`), { platform: { os: "linux", architecture: "arm64" } });
    const { status, text } = await send(`POST /images/${host}/app/push?tag=v1`);
    expect(status).toBe(200);
    const lines = text
      .trim()
      .split("\r\n")
      .map((line) => JSON.parse(line));
    const id = image.diffIds[0]?.slice(7, 19);
    const { digest, size } = image.manifest.descriptor;
    expect(lines).toEqual([
      { status: `The push refers to repository [${host}/app]` },
      { status: "Preparing", progressDetail: {}, id },
      { status: "Layer already exists", progressDetail: {}, id },
      { status: `v1: digest: ${digest} size: ${size}` },
      { progressDetail: {}, aux: { Tag: "v1", Digest: digest, Size: size } },
    ]);
    const failed = (await send(`POST /images/${host}/none/push?tag=v1`)).text;
    expect(failed).toContain(`"error":"An image does not exist locally with the tag: ${host}/none"`);
  });
});

test.each([
  ["POST /images/app/push?compression=lzma", "invalid compression"],
  ["POST /images/UPPER/push", "must be lowercase"],
  ["POST /images/app/push?platform={", "failed to parse platform"],
  ["GET /images/search?term=", "invalid search term"],
  ["GET /images/search?term=x&limit=101", "limit 101 is outside the range of [1, 100]"],
  ["GET /images/search?term=x&limit=-1", "limit -1 is outside the range of [1, 100]"],
  [`GET /images/search?term=x&filters=${encodeURIComponent('{"colour":["red"]}')}`, "invalid filter"],
])("%s is refused", async (line, words) => {
  await withApi(async (send) => {
    const { status, text } = await send(line);
    expect([status, text]).toEqual([400, expect.stringContaining(words)]);
  });
});

test("POST /auth tells right credentials from wrong ones", async () => {
  await withApi(async (send, { registry }) => {
    registry.misbehave = (request, response) => {
      if (request.headers.authorization === `Basic ${btoa("ann:right")}`) return false;
      response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
      return true;
    };
    for (const serveraddress of [registry.host, `http://${registry.host}/v2/`]) {
      const login = (password: string) => send("POST /auth", { body: { username: "ann", password, serveraddress } });
      expect(await login("right")).toEqual({ status: 200, text: '{"Status":"Login Succeeded","IdentityToken":""}\n' });
      expect((await login("wrong")).status).toBe(401);
    }
  });
});
