/** Token servers, redirects and mirrors that are after credentials, or in the way. */

import { expect, test } from "bun:test";
import type { IncomingMessage, ServerResponse } from "node:http";
import { imageOf } from "../../bench/fixture/image.ts";
import { digestOf } from "../../src/base/digest.ts";
import { parseReference } from "../../src/base/reference.ts";
import { collect } from "../../src/base/streams.ts";
import { Authority } from "../../src/registry/authority.ts";
import { DistributionRegistry } from "../../src/registry/distribution.ts";
import type { HostsOptions } from "../../src/registry/host.ts";
import { Proxies } from "../../src/registry/proxies.ts";
import type { Credentials } from "../../src/registry/registry.ts";
import { defaultLimits, Transport } from "../../src/registry/transport.ts";
import { FakeRegistry, refuse } from "../fake/registry.ts";
import { failureOf } from "../support/errors.ts";
import { brisk, impatient, registryWith } from "../support/images.ts";

const ann: Credentials = { username: "ann", password: "secret" };
const image = imageOf();
const [layer] = image.layers;
if (!layer) throw new Error("no layer");

const client = (options: HostsOptions = {}) =>
  new DistributionRegistry({ userAgent: "Bosun/test", limits: brisk, ...options });

const pathOf = (request: IncomingMessage): URL => new URL(request.url ?? "/", "http://registry");

/** Wants a bearer token from its own `/token`; `answer` is the token server. */
function wantTokens(
  registry: FakeRegistry,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  accepts: (token: string) => boolean = (token) => token === "good",
): void {
  registry.misbehave = (request, response) => {
    if (pathOf(request).pathname === "/token") {
      answer(request, response);
      return true;
    }
    if (accepts(request.headers.authorization?.replace("Bearer ", "") ?? "")) return false;
    const realm = `Bearer realm="http://${registry.host}/token",service="fake",scope="repository:app:pull"`;
    response.writeHead(401, { "www-authenticate": realm }).end();
    return true;
  };
}

async function pushed(): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start();
  registry.push("app", "v1", image);
  return registry;
}

test("a token is asked for with service and scope, once for all requests", async () => {
  await using registry = await pushed();
  wantTokens(registry, (_, response) => response.end(JSON.stringify({ token: "good", expires_in: 300 })));
  const reference = parseReference(`${registry.host}/app:v1`);
  const distribution = client();
  await distribution.resolve(reference);
  await distribution.document(reference);
  const asked = registry.asked("/token");
  expect(asked).toHaveLength(1);
  expect(asked[0]?.path).toBe("/token?service=fake&scope=repository%3Aapp%3Apull");
  expect(asked[0]?.authorization).toBeUndefined();
});

test("credentials go to the token server, and never to the registry", async () => {
  await using registry = await pushed();
  wantTokens(registry, (_, response) => response.end(JSON.stringify({ access_token: "good" })));
  await client().document(parseReference(`${registry.host}/app:v1`), { credentials: ann });
  const [asked] = registry.asked("/token");
  expect(asked?.path).toContain("account=ann");
  expect(asked?.authorization).toBe(`Basic ${btoa("ann:secret")}`);
  const others = registry.asked("/v2/").map(({ authorization }) => authorization);
  expect(new Set(others)).toEqual(new Set([undefined, "Bearer good"]));
});

test("an identity token is exchanged by POST", async () => {
  await using registry = await pushed();
  const forms: URLSearchParams[] = [];
  wantTokens(registry, async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    forms.push(new URLSearchParams(Buffer.concat(chunks).toString()));
    response.end(JSON.stringify({ access_token: "good" }));
  });
  await client().document(parseReference(`${registry.host}/app:v1`), { credentials: { identityToken: "refresh" } });
  expect(Object.fromEntries(forms[0] ?? [])).toMatchObject({
    grant_type: "refresh_token",
    refresh_token: "refresh",
    service: "fake",
    scope: "repository:app:pull",
  });
});

test("a registry token is sent as it is", async () => {
  await using registry = await pushed();
  wantTokens(registry, (_, response) => refuse(response, 500, "UNKNOWN", "not asked for"));
  await client().document(parseReference(`${registry.host}/app:v1`), { credentials: { registryToken: "good" } });
  expect(registry.asked("/token")).toEqual([]);
});

test("a token that was revoked is asked for anew, once", async () => {
  await using registry = await pushed();
  let valid = "one";
  wantTokens(
    registry,
    (_, response) => response.end(JSON.stringify({ token: valid, expires_in: 3600 })),
    (token) => token === valid,
  );
  const distribution = client();
  const reference = parseReference(`${registry.host}/app:v1`);
  await distribution.document(reference);
  valid = "two";
  await distribution.document(reference);
  expect(registry.asked("/token")).toHaveLength(2);
});

test.each<[string, (response: ServerResponse) => void, string]>([
  ["refuses", (response) => response.writeHead(401).end(), "forbidden: unauthorized: incorrect username or password"],
  ["hangs", () => {}, "Client.Timeout exceeded while awaiting headers"],
  ["sends no JSON", (response) => response.end("<html>"), "unable to decode token response"],
  ["sends no token", (response) => response.end("{}"), "did not include a token"],
  [
    "sends a token that would add a header",
    (response) => response.end('{"token":"a\\r\\nx: y"}'),
    "did not include a token",
  ],
  ["sends too much", (response) => response.end(Buffer.alloc(2 << 20, " ")), "more than 1048576 bytes"],
])("a token server that %s ends in an error", async (_name, answer, words) => {
  await using registry = await pushed();
  wantTokens(registry, (_, response) => answer(response));
  const patience = words.includes("Timeout") ? impatient : brisk;
  const call = () => registryWith(patience).document(parseReference(`${registry.host}/app:v1`), { credentials: ann });
  expect(await failureOf(call)).toContain(words);
});

test("a token without the wanted access is an access denied, in Docker's words", async () => {
  await using registry = await pushed();
  wantTokens(
    registry,
    (_, response) => response.end(JSON.stringify({ token: "weak" })),
    () => false,
  );
  const inner = registry.misbehave;
  registry.misbehave = (request, response) => {
    if (!request.url?.includes("manifests") || request.headers.authorization === undefined)
      return inner(request, response);
    const challenge = `Bearer realm="http://${registry.host}/token",service="fake",error="insufficient_scope"`;
    response.writeHead(401, { "www-authenticate": challenge }).end();
    return true;
  };
  const name = `${registry.host}/app`;
  expect(await failureOf(() => client().document(parseReference(`${name}:v1`)))).toBe(
    `notFound: pull access denied for ${name}, repository does not exist or may require 'docker login': ` +
      "denied: requested access to the resource is denied",
  );
});

test("a redirect to another host takes no credentials along", async () => {
  await using registry = await pushed();
  await using elsewhere = await FakeRegistry.start();
  elsewhere.pushBlob(layer.bytes);
  const expected = `Basic ${btoa("ann:secret")}`;
  registry.misbehave = (request, response) => {
    if (request.headers.authorization !== expected) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
      return true;
    }
    if (!request.url?.includes("/blobs/")) return false;
    response.writeHead(307, { location: `http://${elsewhere.host}${request.url}` }).end();
    return true;
  };
  const { body } = await client().blob(parseReference(`${registry.host}/app`), layer.descriptor, 0, {
    credentials: ann,
  });
  expect(Buffer.from(await collect(body, 1 << 20)).equals(layer.bytes)).toBeTrue();
  expect(registry.asked("/blobs/").at(-1)?.authorization).toBe(expected);
  expect(elsewhere.seen.map(({ authorization }) => authorization)).toEqual([undefined]);
});

test.each([
  [
    "in a circle",
    (registry: FakeRegistry) => `http://${registry.host}/v2/app/manifests/v1`,
    "stopped after 5 redirects",
  ],
  ["to a file", () => "file:///etc/passwd", 'bad redirect to "file:///etc/passwd"'],
  ["with a name in it", (registry: FakeRegistry) => `http://a:b@${registry.host}/`, "bad redirect to"],
])("a redirect %s is refused", async (_name, location, words) => {
  await using registry = await pushed();
  registry.misbehave = (request, response) => {
    if (!request.url?.includes("/manifests/")) return false;
    response.writeHead(302, { location: location(registry) }).end();
    return true;
  };
  expect(await failureOf(() => client().document(parseReference(`${registry.host}/app:v1`)))).toContain(words);
});

test("a registry behind TLS cannot have the password sent in the clear", async () => {
  const authority = new Authority(new Transport({ ...defaultLimits, ...brisk }, "Bosun/test", new Proxies()));
  const endpoint = { base: new URL("https://reg.example/"), insecure: false, direct: false };
  const challenge = { scheme: "bearer", parameters: { realm: "http://reg.example/token" } };
  const errand = { reference: parseReference("reg.example/app"), scopes: [], credentials: ann, signal: undefined };
  const call = () => authority.header([challenge], endpoint, errand);
  expect(await failureOf(call)).toBe(
    "invalid: invalid token auth challenge realm: http://reg.example/token is not https",
  );
});

test("a mirror is asked first, without credentials, and a broken one is passed over", async () => {
  await using broken = await FakeRegistry.start();
  await using mirror = await FakeRegistry.start();
  mirror.push("library/app", "v1", image);
  broken.misbehave = (_, response) => {
    response.writeHead(404).end();
    return true;
  };
  const distribution = client({ hubMirrors: [`http://${broken.host}`, `http://${mirror.host}/`] });
  const document = await distribution.document(parseReference("app:v1"), { credentials: ann });
  expect(document.descriptor.digest).toBe(image.manifest.descriptor.digest);
  expect(broken.asked("/manifests/")).toHaveLength(1);
  expect([...broken.seen, ...mirror.seen].every(({ authorization }) => authorization === undefined)).toBeTrue();
});

test("a mirror that breaks off a blob is helped out by the next one, then by the registry itself", async () => {
  await using first = await FakeRegistry.start();
  await using second = await FakeRegistry.start();
  await using origin = await FakeRegistry.start();
  const bytes = Buffer.from("0123456789".repeat(50_000));
  const blob = { digest: digestOf(bytes), size: bytes.byteLength };
  const cuts: (() => void)[] = [];
  const cutAt = (size: number) => (request: IncomingMessage, response: ServerResponse) => {
    if (!request.url?.includes("/blobs/")) return false;
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const range = `bytes ${start}-${blob.size - 1}/${blob.size}`;
    response.writeHead(start > 0 ? 206 : 200, { "content-length": String(blob.size - start), "content-range": range });
    response.write(bytes.subarray(start, size));
    cuts.push(() => response.destroy());
    return true;
  };
  first.misbehave = cutAt(100_000);
  second.misbehave = cutAt(200_000);
  origin.pushBlob(bytes);
  const mirrors = { [origin.host]: [`http://${first.host}`, `http://${second.host}`] };
  const repository = parseReference(`${origin.host}/app`);
  const { body } = await client({ mirrors }).blob(repository, blob, 0);
  const pieces: Uint8Array[] = [];
  for await (const piece of body) {
    pieces.push(piece);
    for (const cut of cuts.splice(0)) cut(); // once something of it has arrived
  }
  expect(digestOf(Buffer.concat(pieces))).toBe(blob.digest);
  const [asked] = origin.asked("/blobs/");
  expect(Number(/^bytes=(\d+)-$/.exec(asked?.range ?? "")?.[1])).toBeLessThanOrEqual(200_000);
  expect(first.asked("/blobs/")[0]?.path).toContain(`?ns=${encodeURIComponent(origin.host)}`);
});

test("a loopback registry is reached directly whatever proxy the environment names", async () => {
  await using registry = await pushed();
  const before = process.env.HTTP_PROXY;
  process.env.HTTP_PROXY = "http://127.0.0.1:1";
  try {
    const document = await client().document(parseReference(`${registry.host}/app:v1`));
    expect(document.descriptor.digest).toBe(image.manifest.descriptor.digest);
  } finally {
    if (before === undefined) delete process.env.HTTP_PROXY;
    else process.env.HTTP_PROXY = before;
  }
});

test("a registry that is down is said as Docker says it", async () => {
  const registry = await FakeRegistry.start();
  const { host } = registry;
  await registry[Symbol.asyncDispose]();
  expect(await failureOf(() => client().resolve(parseReference(`${host}/app:v1`)))).toBe(
    `unavailable: Get "http://${host}/v2/": dial tcp ${host}: connect: connection refused`,
  );
});
