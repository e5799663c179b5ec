/** /images over the real image room and a registry that is made up: names in paths, fields by version, progress on the wire. */

import { describe, expect, test } from "bun:test";
import { imageOf } from "../../bench/fixture/image.ts";
import { imagesRouter } from "../../src/api/images.ts";
import { Pruning } from "../../src/api/pruning.ts";
import { createApi } from "../../src/api/server.ts";
import { silent } from "../../src/base/logger.ts";
import { Events } from "../../src/events.ts";
import { dockerArchive } from "../support/archive.ts";
import { type Ask, ask } from "../support/house.ts";
import { ImageRoom } from "../support/images.ts";

const IMAGE = imageOf({ layers: [[{ name: "a", content: "a" }]] });
const ID = IMAGE.config.descriptor.digest;

type Send = (line: string, options?: Ask) => Promise<{ status: number; text: string }>;
type Load = (tags: readonly string[] | null) => Promise<string>;

/** A room with one image under two names, one of them with slashes, and its API. */
async function withImage(act: (send: Send, room: ImageRoom, load: Load) => Promise<void>): Promise<void> {
  await using room = await ImageRoom.open();
  const api = createApi([imagesRouter(room.images, new Pruning(new Events()))], { version: "1" }, silent);
  const send: Send = async (line, options) => {
    const { status, response } = await ask(api, line, options);
    return { status, text: await response.text() };
  };
  const load: Load = async (tags) => {
    const body = new Uint8Array(dockerArchive([{ image: IMAGE, tags }]));
    const request = new Request("http://x/images/load", { method: "POST", body });
    return (await api(request, { signal: new AbortController().signal, upgrade: undefined })).text();
  };
  expect(await load(["box:1", "host.example/deep/path/box:2"])).toBe(
    '{"stream":"Loaded image: box:1\\n"}\r\n{"stream":"Loaded image: host.example/deep/path/box:2\\n"}\r\n',
  );
  await act(send, room, load);
}

describe("GET /images/json", () => {
  test.each<[version: string, virtual: boolean]>([
    ["/v1.43", true],
    ["/v1.44", false],
    ["", false],
  ])("images at %p have VirtualSize %p, and lists that are never null", async (version, virtual) => {
    await withImage(async (send) => {
      const [image] = JSON.parse((await send(`GET ${version}/images/json`)).text);
      expect(image).toMatchObject({
        Id: ID,
        RepoTags: ["box:1", "host.example/deep/path/box:2"],
        RepoDigests: [],
        Containers: -1,
        SharedSize: -1,
        ParentId: "",
      });
      expect("VirtualSize" in image).toBe(virtual);
    });
  });

  test.each<[version: string, tags: string[]]>([
    ["/v1.42", ["<none>:<none>"]],
    ["/v1.43", []],
  ])("an image without a name at %p is called %p", async (version, tags) => {
    await withImage(async (send, _, load) => {
      await send("DELETE /images/box:1");
      const { text } = await send("DELETE /images/host.example/deep/path/box:2?force=0");
      expect(JSON.parse(text)).toContainEqual({ Deleted: ID }); // the last name takes the image along
      expect(await load(null)).toBe(`{"stream":"Loaded image ID: ${ID}\\n"}\r\n`);
      const listed = JSON.parse((await send(`GET ${version}/images/json`)).text);
      expect(listed).toMatchObject([{ Id: ID, RepoTags: tags }]);
    });
  });

  test("images are filtered, and unknown filters refused", async () => {
    await withImage(async (send) => {
      const count = async (filters: object) =>
        JSON.parse((await send(`GET /images/json?filters=${encodeURIComponent(JSON.stringify(filters))}`)).text).length;
      expect(await count({ reference: ["box"] })).toBe(1);
      expect(await count({ reference: ["other"] })).toBe(0);
      expect(await count({ dangling: ["true"] })).toBe(0);
      expect(await count({ label: ["kind=test"] })).toBe(1);
      expect((await send(`GET /images/json?filters=${encodeURIComponent('{"colour":["red"]}')}`)).status).toBe(400);
      expect((await send(`GET /images/json?filters=${encodeURIComponent('{"dangling":["maybe"]}')}`)).status).toBe(400);
    });
  });
});

describe("/images/{name}", () => {
  test("names with slashes, tags and ids all lead to the image", async () => {
    await withImage(async (send) => {
      for (const name of [
        "box:1",
        "host.example/deep/path/box:2",
        "host.example%2Fdeep%2Fpath%2Fbox:2",
        ID,
        ID.slice(7, 19),
      ]) {
        const { status, text } = await send(`GET /v1.44/images/${name}/json`);
        expect([name, status, JSON.parse(text).Id]).toEqual([name, 200, ID]);
      }
      expect((await send("GET /images/host.example/deep/path/box:2/history")).text).toContain("ADD layer 0");
      expect(await send("GET /images/nothing/json")).toEqual({
        status: 404,
        text: '{"message":"No such image: nothing:latest"}\n',
      });
    });
  });

  test("a load of what is no archive tells so in the stream, as docker-py wants it", async () => {
    await using room = await ImageRoom.open();
    const api = createApi([imagesRouter(room.images, new Pruning(new Events()))], { version: "1" }, silent);
    const request = new Request("http://x/images/load", { method: "POST", body: "no archive at all\n" });
    const response = await api(request, { signal: new AbortController().signal, upgrade: undefined });
    const message = "Cannot read the archive: it ends too early";
    const line = JSON.stringify({ errorDetail: { message }, error: message });
    expect([response.status, await response.text()]).toEqual([200, `${line}\r\n`]);
  });

  test.each<[version: string, shown: boolean]>([
    ["/v1.44", true],
    ["/v1.45", false],
  ])("an image at %p has ContainerConfig, which the first Compose reads: %p", async (version, shown) => {
    await withImage(async (send) => {
      const image = JSON.parse((await send(`GET ${version}/images/box:1/json`)).text);
      expect("ContainerConfig" in image).toBe(shown);
    });
  });

  test.each<[version: string, shown: boolean]>([
    ["/v1.49", true],
    ["/v1.50", false],
  ])("an image's Config at %p has what only containers have, which older clients read: %p", async (version, shown) => {
    await withImage(async (send) => {
      const { Config } = JSON.parse((await send(`GET ${version}/images/box:1/json`)).text);
      expect(Config.Tty === false && Config.Image === "").toBe(shown);
    });
  });

  test("tag names an image anew, or refuses a name that is none", async () => {
    await withImage(async (send) => {
      expect(await send("POST /images/box:1/tag?repo=other/name&tag=3")).toEqual({ status: 201, text: "" });
      expect(JSON.parse((await send("GET /images/other/name:3/json")).text).Id).toBe(ID);
      expect((await send("POST /images/box:1/tag?repo=UPPER&tag=1")).status).toBe(400);
      expect((await send("POST /images/nothing/tag?repo=x")).status).toBe(404);
    });
  });

  test("delete by id refuses an image of several names unless it is forced", async () => {
    await withImage(async (send) => {
      const { status, text } = await send(`DELETE /images/${ID.slice(7, 19)}`);
      expect([status, text]).toEqual([
        409,
        expect.stringContaining("(must be forced) - image is referenced in multiple repositories"),
      ]);
      expect(JSON.parse((await send(`DELETE /images/${ID.slice(7, 19)}?force=1`)).text)).toEqual([
        { Untagged: "box:1" },
        { Untagged: "host.example/deep/path/box:2" },
        { Deleted: ID },
        ...IMAGE.diffIds.map(() => ({ Deleted: expect.any(String) })),
      ]);
    });
  });
});

describe("POST /images/create", () => {
  test("a pull is told in lines of JSON, each ended as Docker's clients expect it", async () => {
    await withImage(async (send, room) => {
      room.registry.push("app", "v1", IMAGE);
      const { status, text } = await send(`POST /images/create?fromImage=${room.registry.host}/app&tag=v1`);
      expect(status).toBe(200);
      const lines = text.split("\r\n");
      expect(lines.pop()).toBe("");
      const objects = lines.map((line) => JSON.parse(line));
      expect(objects[0]).toEqual({ status: "Pulling from app", id: "v1" });
      expect(objects.at(-2)).toEqual({ status: `Digest: ${IMAGE.manifest.descriptor.digest}` });
      expect(objects.at(-1)).toEqual({
        status: expect.stringMatching(/^Status: (Downloaded newer image|Image is up to date) for /),
      });
    });
  });

  test.each<[query: string, status: number, words: string]>([
    ["", 400, "fromImage is missing"],
    ["?fromSrc=-", 400, "no archive in the request body"],
    ["?fromImage=UPPER", 400, "must be lowercase"],
    ["?fromImage=HOST/nothing&tag=1", 404, "manifest"],
    ["?fromImage=HOST/app&tag=v1&platform=a/b/c/d", 400, "platform"],
  ])("a pull of %p is refused with a status", async (query, status, words) => {
    await withImage(async (send, room) => {
      const answer = await send(`POST /images/create${query.replace("HOST", room.registry.host)}`);
      expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(words)]);
    });
  });
});
