/** What every answer has in common: versions, headers, errors; and the small readers of requests. */

import { describe, expect, test } from "bun:test";
import { Hono } from "hono";
import { type Env, flag, integer, json, jsonBody } from "../../src/api/context.ts";
import { STATUS } from "../../src/api/errors.ts";
import { createApi } from "../../src/api/server.ts";
import { BosunError, type ErrorKind } from "../../src/base/errors.ts";
import { silent } from "../../src/base/logger.ts";
import { ask } from "../support/house.ts";

const router = new Hono<Env>()
  .get("/version-of-client", (c) => json(c.env.version))
  .get("/flag", (c) => json(flag(c, "x")))
  .get("/integer", (c) => json(integer(c, "x") ?? null))
  .post("/echo", async (c) => json((await jsonBody(c)) ?? "nothing"))
  .get("/fail/:kind", (c) => {
    const kind = Object.keys(STATUS).find((each): each is ErrorKind => each === c.req.param("kind"));
    throw kind ? new BosunError(kind, `it is <${kind}> & more`) : new TypeError("a defect");
  });
const api = createApi([router], { version: "9.8.7" }, silent);
const get = async (path: string) => {
  const { status, headers, response } = await ask(api, `GET ${path}`);
  return { status, headers, text: await response.text() };
};

describe("versions", () => {
  test.each<[path: string, version: number]>([
    ["/version-of-client", 1050],
    ["/v1.24/version-of-client", 1024],
    ["/v1.43/version-of-client", 1043],
    ["/v1.50/version-of-client", 1050],
  ])("GET %s is version %p", async (path, version) => {
    expect(await get(path)).toMatchObject({ status: 200, text: `${version}\n` });
  });

  test.each([
    [
      "/v1.23/version-of-client",
      "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
    ],
    [
      "/v0.99/version-of-client",
      "client version 0.99 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
    ],
    ["/v1.51/version-of-client", "client version 1.51 is too new. Maximum supported API version is 1.50"],
    ["/v2.0/anything", "client version 2.0 is too new. Maximum supported API version is 1.50"],
  ])("GET %s is refused in the words that clients match", async (path, message) => {
    const { status, text } = await get(path);
    expect([status, JSON.parse(text)]).toEqual([400, { message }]);
  });

  test.each([
    "/v1.43",
    "/v1.43/",
    "/",
    "/nowhere",
    "/v1.43/nowhere",
    "/v1/version-of-client",
    "/vx.y/version-of-client",
    "/v1.43version-of-client",
    "/Version-Of-Client",
  ])("GET %s is 404", async (path) => {
    expect(await get(path)).toMatchObject({ status: 404, text: '{"message":"page not found"}\n' });
  });

  test("a wrong method is 404 too, and OPTIONS is always fine", async () => {
    expect((await ask(api, "DELETE /flag")).status).toBe(404);
    expect((await ask(api, "OPTIONS /anything")).status).toBe(200);
  });
});

describe("headers", () => {
  test.each(["/flag", "/nowhere", "/v1.99/flag", "/fail/internal", "/fail/notModified"])(
    "GET %s says what the server is",
    async (path) => {
      const { headers } = await get(path);
      expect(
        Object.fromEntries(
          ["Api-Version", "Ostype", "Server", "Docker-Experimental"].map((name) => [name, headers.get(name)]),
        ),
      ).toEqual({
        "Api-Version": "1.50",
        Ostype: "linux",
        Server: "Docker/9.8.7 (linux)",
        "Docker-Experimental": "false",
      });
    },
  );
});

describe("errors", () => {
  test.each(Object.entries(STATUS))(
    "an error that is %s has status %p and its message as JSON",
    async (kind, status) => {
      const answer = await get(`/fail/${kind}`);
      expect(answer.status).toBe(status);
      if (status === 304) {
        expect(answer.text).toBe("");
        return;
      }
      expect(answer.text).toBe(`{"message":"it is <${kind}> & more"}\n`); // <, > and & as they are
      expect(answer.headers.get("Content-Type")).toBe("application/json");
    },
  );

  test("a defect is 500 with what it says", async () => {
    expect(await get("/fail/x")).toMatchObject({ status: 500, text: '{"message":"a defect"}\n' });
  });
});

describe("query parameters", () => {
  test.each<[query: string, result: boolean]>([
    ["", false],
    ["?x=", false],
    ["?x=0", false],
    ["?x=no", false],
    ["?x=False", false],
    ["?x=NONE", false],
    ["?x=%20false%20", false],
    ["?x=1", true],
    ["?x=True", true],
    ["?x=t", true],
    ["?x=f", true], // as Docker has it
    ["?x=anything", true],
  ])("a flag %p is %p", async (query, result) => {
    expect((await get(`/flag${query}`)).text).toBe(`${result}\n`);
  });

  test.each<[query: string, status: number, text: string]>([
    ["", 200, "null\n"],
    ["?x=", 200, "null\n"],
    ["?x=-1", 200, "-1\n"],
    ["?x=007", 200, "7\n"],
    ["?x=1.5", 400, '{"message":"invalid value for x: \\"1.5\\""}\n'],
    ["?x=one", 400, '{"message":"invalid value for x: \\"one\\""}\n'],
    ["?x=99999999999999999999", 400, '{"message":"invalid value for x: \\"99999999999999999999\\""}\n'],
  ])("an integer %p is %p %p", async (query, status, text) => {
    expect(await get(`/integer${query}`)).toMatchObject({ status, text });
  });
});

describe("bodies", () => {
  const post = async (text: string | undefined, type?: string) => {
    const { status, response } = await ask(api, "POST /echo", {
      ...(text !== undefined && { text }),
      ...(type !== undefined && { headers: { "Content-Type": type } }),
    });
    return [status, await response.text()] as const;
  };

  test.each<[text: string | undefined, type: string | undefined, result: string]>([
    ['{"a":1}', undefined, '{"a":1}\n'],
    ['{"a":1}', "application/json; charset=utf-8", '{"a":1}\n'],
    ['{"a":1}', "Application/JSON", '{"a":1}\n'],
    [' {"a": "ü"}\n', undefined, '{"a":"ü"}\n'],
    [undefined, undefined, '"nothing"\n'],
    ["", "text/plain", '"nothing"\n'],
    ["  \n", "application/json", '"nothing"\n'],
  ])("a body %p of type %p is read", async (text, type, result) => {
    expect(await post(text, type)).toEqual([200, result]);
  });

  test.each<[text: string, type: string, words: string]>([
    ['{"a":1}', "text/plain", "unsupported Content-Type header (text/plain): must be 'application/json'"],
    ['{"a":1}', "application/x-tar", "unsupported Content-Type header (application/x-tar)"],
    ['{"a":', "application/json", "invalid JSON"],
    ['{"a":1}{"b":2}', "application/json", "invalid JSON"],
    ['{"a":1} x', "application/json", "invalid JSON"],
  ])("a body %p of type %p is refused", async (text, type, words) => {
    const [status, answer] = await post(text, type);
    expect(status).toBe(400);
    expect(JSON.parse(answer).message).toContain(words);
  });

  test("a body that nobody needs so large is refused", async () => {
    const [status, answer] = await post(`"${"x".repeat(4 << 20)}"`, "application/json");
    expect(status).toBe(400);
    expect(JSON.parse(answer).message).toContain("request body too large");
  });
});
