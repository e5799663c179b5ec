/** Registries that lie, stall or lead elsewhere while something is pushed to them. */

import { expect, test } from "bun:test";
import type { IncomingMessage, ServerResponse } from "node:http";
import { imageOf } from "../../bench/fixture/image.ts";
import { digestOf } from "../../src/base/digest.ts";
import { parseReference } from "../../src/base/reference.ts";
import { bytesOf } from "../../src/base/streams.ts";
import type { Access } from "../../src/registry/registry.ts";
import { FakeRegistry, refuse } from "../fake/registry.ts";
import { failureOf } from "../support/errors.ts";
import { brisk, impatient, registryWith } from "../support/images.ts";

const bytes = new Uint8Array(Buffer.from("0123456789".repeat(100_000)));
const blob = { digest: digestOf(bytes), size: bytes.byteLength };
const image = imageOf();

const client = (limits: typeof brisk = {}) => registryWith({ ...brisk, ...limits });

const push = (registry: FakeRegistry, access: Access = {}, limits: typeof brisk = {}) =>
  client(limits).pushBlob(
    parseReference(`${registry.host}/app`),
    blob,
    (offset) => bytesOf(bytes.subarray(offset)),
    access,
  );

/** Answers requests of one method itself, the first `times` of them. */
function answerTo(
  registry: FakeRegistry,
  method: string,
  answer: (response: ServerResponse, request: IncomingMessage) => void,
  times = Number.POSITIVE_INFINITY,
): void {
  let left = times;
  registry.misbehave = (request, response) => {
    if (request.method !== method || left-- <= 0) return false;
    answer(response, request);
    return true;
  };
}

test("a registry that stores another blob than was sent is found out", async () => {
  await using registry = await FakeRegistry.start();
  const other = digestOf("other");
  answerTo(registry, "PUT", (response) => response.writeHead(201, { "docker-content-digest": other }).end());
  expect(await failureOf(() => push(registry))).toContain(`the registry stored "${other}", sent was ${blob.digest}`);
});

test("a registry that stores another manifest than was sent is found out", async () => {
  await using registry = await FakeRegistry.start();
  answerTo(registry, "PUT", (response) => response.writeHead(201, { "docker-content-digest": "sha256:0" }).end());
  const call = () => client().pushDocument(parseReference(`${registry.host}/app:v1`), image.manifest);
  expect(await failureOf(call)).toStartWith("corrupt: Put ");
});

test("an upload that leads to another host takes no credentials along", async () => {
  await using registry = await FakeRegistry.start();
  await using elsewhere = await FakeRegistry.start();
  const expected = `Basic ${btoa("ann:secret")}`;
  registry.misbehave = (request, response) => {
    if (request.headers.authorization !== expected) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
      return true;
    }
    if (request.method !== "POST") return false;
    response.writeHead(202, { location: `http://${elsewhere.host}/v2/app/blobs/uploads/signed?token=1` }).end();
    return true;
  };
  await push(registry, { credentials: { username: "ann", password: "secret" } });
  expect(elsewhere.blob("app", blob.digest)).toBeDefined();
  expect(elsewhere.seen.length).toBeGreaterThan(1);
  expect(elsewhere.seen.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
});

test.each([
  ["to a file", "file:///etc/passwd", "bad redirect to"],
  ["with a name in it", "http://a:b@127.0.0.1:1/", "bad redirect to"],
])("an upload that leads %s is refused", async (_name, location, words) => {
  await using registry = await FakeRegistry.start();
  answerTo(registry, "POST", (response) => response.writeHead(202, { location }).end());
  expect(await failureOf(() => push(registry))).toContain(words);
});

test("an upload without a Location is refused", async () => {
  await using registry = await FakeRegistry.start();
  answerTo(registry, "POST", (response) => response.writeHead(202).end());
  expect(await failureOf(() => push(registry))).toContain("the registry began an upload without a Location");
});

test("a registry that accepts for ever and never creates ends in an error", async () => {
  await using registry = await FakeRegistry.start();
  registry.misbehave = (_, response) => {
    response.writeHead(202, { location: "/v2/app/blobs/uploads/x" }).end();
    return true;
  };
  expect(await failureOf(() => push(registry))).toContain("unexpected HTTP status 202 Accepted");
  expect(registry.seen.length).toBeLessThan(10);
});

test("a registry that stops reading ends in an error", async () => {
  await using registry = await FakeRegistry.start();
  answerTo(registry, "PATCH", (_, request) => request.pause());
  expect(await failureOf(() => push(registry, {}, impatient))).toContain(
    "Client.Timeout exceeded while awaiting headers",
  );
});

test("a push goes on where a cut connection stopped", async () => {
  await using registry = await FakeRegistry.start();
  answerTo(
    registry,
    "PATCH",
    (_, request) => {
      const taken: Buffer[] = [];
      request.on("data", (chunk: Buffer) => {
        taken.push(chunk);
        if (Buffer.concat(taken).byteLength < 300_000) return;
        registry.upload(request.url ?? "", Buffer.concat(taken).subarray(0, 300_000));
        request.destroy();
      });
    },
    1,
  );
  await push(registry);
  expect(registry.blob("app", blob.digest)).toBeDefined();
  const ranges = registry.seen.filter(({ method }) => method === "PATCH").map(({ contentRange }) => contentRange);
  expect(ranges).toEqual([undefined, "300000-999999"]);
});

test("a push begins anew when the registry has lost what it got", async () => {
  await using registry = await FakeRegistry.start();
  answerTo(registry, "PATCH", (response) => refuse(response, 404, "BLOB_UPLOAD_UNKNOWN", "gone"), 1);
  await push(registry);
  expect(registry.seen.filter(({ method }) => method === "POST")).toHaveLength(2);
});

test.each([
  ["seconds", () => "0"],
  ["a date", () => new Date(Date.now() - 1000).toUTCString()],
])("a push waits as long as Retry-After says in %s", async (_name, after) => {
  await using registry = await FakeRegistry.start();
  answerTo(registry, "PATCH", (response) => response.writeHead(429, { "retry-after": after() }).end(), 1);
  await push(registry, {}, { backoffMs: 60_000 });
  expect(registry.blob("app", blob.digest)).toBeDefined();
});

test("a push does not wait for a Retry-After without reason", async () => {
  await using registry = await FakeRegistry.start();
  answerTo(registry, "PATCH", (response) => response.writeHead(429, { "retry-after": "3600" }).end());
  expect(await failureOf(() => push(registry))).toBe("unavailable: toomanyrequests: too many requests");
});

test("a denied push is said in Docker's words", async () => {
  await using registry = await FakeRegistry.start();
  answerTo(registry, "POST", (response) => refuse(response, 403, "DENIED", ""));
  expect(await failureOf(() => push(registry))).toBe("forbidden: denied: requested access to the resource is denied");
});

test("a token server that redirects elsewhere gets no refresh token there", async () => {
  await using registry = await FakeRegistry.start();
  await using elsewhere = await FakeRegistry.start();
  registry.misbehave = (request, response) => {
    if (request.url?.startsWith("/token"))
      response.writeHead(307, { location: `http://${elsewhere.host}/token` }).end();
    else response.writeHead(401, { "www-authenticate": `Bearer realm="http://${registry.host}/token"` }).end();
    return true;
  };
  const call = () => push(registry, { credentials: { identityToken: "refresh" } });
  expect(await failureOf(call)).toContain(`refused to send credentials on to http://${elsewhere.host}`);
  expect(elsewhere.seen).toEqual([]);
});

test("a push asks the token server for all that it needs, a mount also for the other repository", async () => {
  await using registry = await FakeRegistry.start();
  registry.misbehave = (request, response) => {
    if (request.url?.startsWith("/token")) response.end(JSON.stringify({ token: "good", refresh_token: "keep" }));
    else if (request.headers.authorization === "Bearer good") return false;
    else
      response
        .writeHead(401, { "www-authenticate": `Bearer realm="http://${registry.host}/token",service="fake"` })
        .end();
    return true;
  };
  await push(registry);
  await client().mountBlob(parseReference(`${registry.host}/b`), blob, parseReference(`${registry.host}/app`));
  expect(registry.asked("/token").map(({ path }) => new URLSearchParams(path.split("?")[1]).getAll("scope"))).toEqual([
    ["repository:app:pull,push"],
    ["repository:b:pull,push", "repository:app:pull"],
  ]);
  expect(await client().login(registry.host, { username: "ann", password: "x" })).toBe("keep");
});
