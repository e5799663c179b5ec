/** Sockets: what node:http has to do for Docker's clients, byte by byte. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { type Handler, type Listener, listen } from "../../src/api/listen.ts";
import { silent } from "../../src/base/logger.ts";
import { type Folder, makeFolder } from "../support/folder.ts";

/** Set by the handler when the client of /open has left. */
let left: PromiseWithResolvers<void> = Promise.withResolvers();

const hashOf = (bytes: string | Uint8Array): string => new Bun.CryptoHasher("sha256").update(bytes).digest("hex");

const handler: Handler = async (request, { signal, upgrade }) => {
  const { pathname } = new URL(request.url);
  if (pathname === "/echo") return new Response(request.body, { headers: { "X-Method": request.method } });
  if (pathname === "/pieces") {
    const pieces: Uint8Array[] = [];
    for await (const piece of request.body ?? []) pieces.push(piece);
    return Response.json({ count: pieces.length, hash: hashOf(Buffer.concat(pieces)) });
  }
  if (pathname === "/enough") {
    for await (const piece of request.body ?? [])
      return new Response(`refused at ${piece.byteLength > 0}`, { status: 500 });
  }
  if (pathname === "/fails")
    await request.arrayBuffer().then(
      () => left.reject(new Error("a broken body came to its end")),
      () => left.resolve(),
    );
  if (pathname === "/open") {
    signal.addEventListener("abort", () => left.resolve());
    return new Response(new ReadableStream({ pull: () => new Promise(() => {}) }), { headers: { "X-Early": "yes" } });
  }
  if (pathname === "/taken" && upgrade) {
    const socket = upgrade.accept("application/vnd.docker.raw-stream");
    socket.pipe(socket);
    return new Response(null);
  }
  if (pathname === "/broken") throw new Error("a defect of the handler");
  return new Response(`no ${pathname}\n`, { status: 404 });
};

let folder: Folder;
let listener: Listener;
let path: string;
const options = () => ({ tls: undefined, group: 0, scratch: folder.path, log: silent });
beforeAll(async () => {
  folder = await makeFolder();
  path = join(folder.path, "socket");
  listener = await listen(`unix://${path}`, handler, options());
});
afterAll(async () => {
  await listener[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** What comes back for these bytes until the other side ends; `until` ends it from here. */
function exchange(
  bytes: string | Uint8Array,
  { half = false, until }: { half?: boolean; until?: string } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ path, allowHalfOpen: true });
    const chunks: Buffer[] = [];
    const text = () => Buffer.concat(chunks).toString("latin1");
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      if (until !== undefined && text().includes(until)) socket.destroy();
    });
    socket.once("error", reject).once("end", () => socket.end());
    socket.once("close", () => resolve(text()));
    socket.write(bytes);
    if (half) socket.end();
  });
}

const upgrading = (target: string) =>
  `POST ${target} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n`;

describe("requests", () => {
  test("a body goes through as it is, and comes back", async () => {
    const bytes = crypto.getRandomValues(new Uint8Array(65_536));
    const all = Buffer.concat(Array.from({ length: 64 }, () => bytes));
    const response = await fetch("http://x/echo", { unix: path, method: "POST", body: all });
    expect(response.headers.get("X-Method")).toBe("POST");
    expect(Buffer.from(await response.arrayBuffer()).equals(all)).toBe(true);
  });

  test("a body of small chunks comes whole, in few pieces", async () => {
    const words = Array.from({ length: 20_000 }, (_, index) => `${index} `);
    const chunks = words.map((word) => `${word.length.toString(16)}\r\n${word}\r\n`).join("");
    const head = "POST /pieces HTTP/1.1\r\nHost: d\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    const answer = await exchange(`${head}${chunks}0\r\n\r\n`);
    const { count, hash } = JSON.parse(answer.slice(answer.indexOf("{"), answer.lastIndexOf("}") + 1));
    expect(hash).toBe(hashOf(words.join("")));
    expect(count).toBeLessThan(2000);
  });

  test("an answer that does not wait for all of the body reaches a client that sends all the same", async () => {
    const response = await fetch("http://d/enough", { unix: path, method: "POST", body: new Uint8Array(8 << 20) });
    expect([response.status, await response.text()]).toEqual([500, "refused at true"]);
  });

  test("a body whose client leaves fails", async () => {
    left = Promise.withResolvers();
    const socket = net.connect(path);
    socket.write("POST /fails HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\nhalf");
    socket.once("connect", () => setImmediate(() => socket.destroy()));
    await left.promise;
  });

  test("headers are sent before the first byte of the body", async () => {
    left = Promise.withResolvers();
    const response = await exchange("GET /open HTTP/1.1\r\nHost: x\r\n\r\n", { until: "\r\n\r\n" });
    expect(response).toStartWith("HTTP/1.1 200 ");
    expect(response.toLowerCase()).toContain("x-early: yes");
    await left.promise; // and the handler is told that the client has left
  });

  test("a handler that fails ends its connection only", async () => {
    await expect(fetch("http://x/broken", { unix: path })).rejects.toThrow();
    expect((await fetch("http://x/nowhere", { unix: path })).status).toBe(404);
  });

  test("any Host is fine on a unix socket", async () => {
    for (const host of ["docker", "api.moby.localhost", "", "x:1"])
      expect(await exchange(`GET /nowhere HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)).toContain(
        "no /nowhere",
      );
  });
});

describe("connections that are taken over", () => {
  const HEAD =
    "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

  test("an upgrade is answered with this very head, and then bytes both ways", async () => {
    expect(await exchange(`${upgrading("/taken")}`, { half: true })).toBe(HEAD);
    expect(await exchange(`${upgrading("/taken")}first bytes`, { half: true })).toBe(`${HEAD}first bytes`); // came with the request
  });

  test("bytes of a taken connection come back whole after the client has ended its side", async () => {
    const bytes = Buffer.alloc(3 << 20, "0123456789abcdef\n");
    const answer = await exchange(Buffer.concat([Buffer.from(upgrading("/taken")), bytes]), { half: true });
    expect(answer.length).toBe(HEAD.length + bytes.length);
    expect(answer.slice(HEAD.length) === bytes.toString("latin1")).toBe(true);
  });

  test("an upgrade that is not accepted gets an ordinary answer", async () => {
    const answer = await exchange(upgrading("/nowhere"));
    expect(answer).toStartWith("HTTP/1.1 404 Not Found\r\n");
    expect(answer).toEndWith("Content-Length: 12\r\nConnection: close\r\n\r\nno /nowhere\n");
  });
});

describe("listen()", () => {
  test("a unix socket is for root and the group", () => {
    expect((statSync(path).mode & 0o777).toString(8)).toBe("660");
  });

  test("a socket that is served is refused, one that nobody serves is replaced", async () => {
    await expect(listen(`unix://${path}`, handler, options())).rejects.toThrow(
      `cannot listen on unix://${path}: another process serves it`,
    );
    const stale = join(folder.path, "stale");
    writeFileSync(stale, "");
    const other = await listen(`unix://${stale}`, handler, options());
    expect((await fetch("http://x/nowhere", { unix: stale })).status).toBe(404);
    await other[Symbol.asyncDispose]();
  });

  test("tcp listens where it is told, and says when that is taken", async () => {
    const taken = net.createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const address = taken.address();
    const port = typeof address === "object" && address ? address.port : 0;
    await expect(listen(`tcp://127.0.0.1:${port}`, handler, options())).rejects.toThrow(
      `cannot listen on tcp://127.0.0.1:${port}: address already in use`,
    );
    await new Promise((resolve) => taken.close(resolve));
    const own = await listen(`tcp://127.0.0.1:${port}`, handler, options());
    expect(await (await fetch(`http://127.0.0.1:${port}/nowhere`)).text()).toBe("no /nowhere\n");
    await own[Symbol.asyncDispose]();
  });

  test.each([
    ["ftp://x", "invalid -H ftp://x: want unix:///path, tcp://address:port or fd://"],
    ["/run/x.sock", "invalid -H /run/x.sock"],
    ["unix://relative", "invalid -H unix://relative: want an absolute path"],
    ["tcp://a/b", "invalid -H tcp://a/b: want address:port"],
    ["fd://", "cannot listen on fd://: no sockets were passed by the service manager"],
  ])("listen(%p) is refused", async (host, words) => {
    await expect(listen(host, handler, options())).rejects.toThrow(words);
  });

  test("a listener that is closed ends what would never end by itself", async () => {
    const own = join(folder.path, "own");
    const closing = await listen(`unix://${own}`, handler, options());
    const response = await fetch("http://x/open", { unix: own });
    const text = response.text().catch(() => "");
    await closing[Symbol.asyncDispose]();
    expect(await text).toBe("");
    await expect(fetch("http://x/open", { unix: own })).rejects.toThrow();
  });
});
