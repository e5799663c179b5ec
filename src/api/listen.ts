/**
 * Sockets: unix, tcp (plain or TLS) and fd:// (socket activation), over node:http.
 *
 * node:http and not Bun.serve, since Bun.serve gives no raw socket (attach and exec take the connection over) and cannot send headers
 * before the first byte of the body (`docker run` waits for the headers of /wait before it calls /start).
 */

import { chmodSync, chownSync, existsSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { hasCode, invalid, messageOf, unavailable } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { drained } from "../base/streams.ts";
import { acceptOn } from "./activation.ts";
import { bodyOf } from "./body.ts";
import type { Bindings, Upgrade } from "./context.ts";

/** Answers one request: the API, without its socket. */
export type Handler = (request: Request, connection: Pick<Bindings, "signal" | "upgrade">) => Promise<Response>;

export interface Tls {
  readonly ca: string | undefined;
  readonly certificate: string;
  readonly key: string;
  readonly verify: boolean;
}

export interface Listener extends AsyncDisposable {
  /** As the daemon's log shows it. */
  readonly address: string;
}

function headersOf(incoming: http.IncomingMessage): Headers {
  const headers = new Headers();
  const raw = incoming.rawHeaders;
  for (let at = 0; at + 1 < raw.length; at += 2) headers.append(raw[at] ?? "", raw[at + 1] ?? "");
  return headers;
}

function toRequest(incoming: http.IncomingMessage, signal: AbortSignal): Request {
  const method = incoming.method ?? "GET";
  const hasBody = method !== "GET" && method !== "HEAD";
  return new Request(`http://bosun${incoming.url ?? "/"}`, {
    method,
    headers: headersOf(incoming),
    signal,
    ...(hasBody && { body: bodyOf(incoming), duplex: "half" }),
  });
}

async function send(response: Response, outgoing: http.ServerResponse, signal: AbortSignal): Promise<void> {
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  if (!response.body) {
    outgoing.end();
    return;
  }
  outgoing.flushHeaders();
  const reader = response.body.getReader();
  const leave = () => void reader.cancel("client left").catch(() => {});
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) leave(); // while the answer was made
  for (;;) {
    const { done, value } = await reader.read();
    if (done || signal.aborted) break;
    if (!outgoing.write(value)) await drained(outgoing);
  }
  outgoing.end();
}

/** `HTTP/1.1 101 UPGRADED` and then nothing but bytes. Moby's clients look for this very line. */
function accept(incoming: http.IncomingMessage, socket: Duplex, head: Buffer): Upgrade & { accepted: boolean } {
  const protocol = String(incoming.headers.upgrade);
  const take = (upgrade: { accepted: boolean }, lines: readonly string[]): Duplex => {
    upgrade.accepted = true;
    socket.write(`${[...lines, "Connection: Upgrade", `Upgrade: ${protocol}`].join("\r\n")}\r\n\r\n`);
    if (head.length > 0) socket.unshift(head); // bytes that came with the request are the first of what follows
    return socket;
  };
  return {
    protocol,
    accepted: false,
    accept(contentType) {
      return take(this, ["HTTP/1.1 101 UPGRADED", `Content-Type: ${contentType}`]);
    },
    switchProtocols(headers) {
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
      return take(this, ["HTTP/1.1 101 Switching Protocols", ...lines]);
    },
  };
}

/** An ordinary answer to a request that hoped for an upgrade. */
async function refuse(response: Response, socket: Duplex): Promise<void> {
  const body = Buffer.from(await response.arrayBuffer());
  const headers = [...response.headers].map(([name, value]) => `${name}: ${value}\r\n`).join("");
  socket.write(`HTTP/1.1 ${response.status} ${http.STATUS_CODES[response.status] ?? ""}\r\n${headers}`);
  socket.write(`Content-Length: ${body.length}\r\nConnection: close\r\n\r\n`);
  socket.end(body);
}

type Server = http.Server | https.Server;

/** @param closing  aborted when the daemon stops: what would never end by itself (events, attach, wait) ends then */
function answerRequests(server: Server, handler: Handler, log: Logger, closing: AbortSignal): void {
  // Not AbortSignal.any: what follows a signal that lives as long as the daemon is never forgotten.
  const underWay = new Set<AbortController>();
  closing.addEventListener("abort", () => {
    for (const each of underWay) each.abort();
  });
  server.on("request", async (incoming: http.IncomingMessage, outgoing: http.ServerResponse) => {
    const gone = new AbortController();
    const { signal } = gone;
    underWay.add(gone);
    if (closing.aborted) gone.abort();
    outgoing.on("close", () => {
      underWay.delete(gone);
      if (!outgoing.writableFinished) gone.abort();
    });
    outgoing.on("finish", () => {
      if (closing.aborted) incoming.socket.end(); // else it would be kept open for another request
    });
    try {
      const response = await handler(toRequest(incoming, signal), { signal, upgrade: undefined });
      await send(response, outgoing, signal);
    } catch (error) {
      log.error("request failed", { method: incoming.method, url: incoming.url, error: messageOf(error) });
      outgoing.destroy();
    }
  });
}

/** As `answerRequests`, for those that would take the connection over. */
function answerUpgrades(server: Server, handler: Handler, log: Logger, closing: AbortSignal): void {
  server.on("upgrade", async (incoming: http.IncomingMessage, socket: Duplex, head: Buffer) => {
    const gone = new AbortController();
    const leave = () => socket.destroy();
    closing.addEventListener("abort", leave, { once: true });
    socket.on("close", () => {
      closing.removeEventListener("abort", leave);
      gone.abort();
    });
    socket.on("error", (error) => log.debug("connection broke", { url: incoming.url, error }));
    const upgrade = accept(incoming, socket, head);
    try {
      const response = await handler(toRequest(incoming, gone.signal), { signal: gone.signal, upgrade });
      if (!upgrade.accepted) await refuse(response, socket);
    } catch (error) {
      log.error("request failed", { method: incoming.method, url: incoming.url, error: messageOf(error) });
      socket.destroy();
    }
  });
}

function tellRequests(server: Server, onRequest: () => void): void {
  const follow = (end: http.ServerResponse | Duplex) => {
    onRequest();
    end.on("close", onRequest);
  };
  server.on("request", (_, outgoing: http.ServerResponse) => follow(outgoing));
  server.on("upgrade", (_, socket: Duplex) => follow(socket));
}

function createServer(tls: Tls | undefined): Server {
  const options = { requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 0 };
  const server = tls
    ? https.createServer({
        ...options,
        cert: readFileSync(tls.certificate),
        key: readFileSync(tls.key),
        ...(tls.ca && { ca: readFileSync(tls.ca) }),
        requestCert: tls.verify,
        rejectUnauthorized: tls.verify,
      })
    : http.createServer(options);
  server.timeout = 0;
  return server;
}

/** @returns whether a live process answers on this unix socket. */
const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = net.connect(path);
    probe.once("connect", () => resolve(true)).once("error", () => resolve(false));
    probe.once("connect", () => probe.destroy());
  });

/** A socket file that a crash left behind is removed, one that somebody serves is not. */
async function clearSocket(path: string): Promise<void> {
  if (!existsSync(path)) return;
  if (await answers(path)) throw unavailable(`cannot listen on unix://${path}: another process serves it`);
  rmSync(path);
}

const ready = (server: Server, bind: () => void): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once("listening", resolve).once("error", reject);
    bind();
  });

/** How many sockets systemd passed, from file descriptor 3 on. Source: sd_listen_fds(3). */
const passedSockets = (): number =>
  Number(process.env.LISTEN_PID) === process.pid ? Number(process.env.LISTEN_FDS ?? 0) : 0;

export interface ListenOptions {
  readonly tls: Tls | undefined;
  /** Group id of unix sockets, and whether others than root may use them. */
  readonly group: number;
  /** A folder for sockets that nobody but us connects to. */
  readonly scratch: string;
  readonly log: Logger;
  /** One has come, or is over: its answer is out, or its client has left. */
  readonly onRequest?: () => void;
}

/**
 * @param host  `unix:///path`, `tcp://[address]:port` or `fd://[number]`
 * @throws invalid for any other form; unavailable when the address is taken
 */
export async function listen(host: string, handler: Handler, options: ListenOptions): Promise<Listener> {
  const [, scheme, rest = ""] = /^(unix|tcp|fd):\/\/(.*)$/s.exec(host) ?? [];
  if (!scheme) throw invalid(`invalid -H ${host}: want unix:///path, tcp://address:port or fd://`);
  const closing = new AbortController();
  const server = createServer(scheme === "tcp" ? options.tls : undefined);
  if (options.onRequest) tellRequests(server, options.onRequest);
  answerRequests(server, handler, options.log, closing.signal);
  answerUpgrades(server, handler, options.log, closing.signal);
  using stack = new DisposableStack();
  try {
    if (scheme === "unix") await listenUnix(server, rest, options.group);
    else if (scheme === "tcp") await listenTcp(server, rest, options.tls !== undefined);
    else stack.use(await listenPassed(server, rest, options));
  } catch (error) {
    if (hasCode(error, "EADDRINUSE"))
      throw unavailable(`cannot listen on ${host}: address already in use`, { cause: error });
    throw error;
  }
  const accepting = stack.move();
  return {
    address: host,
    async [Symbol.asyncDispose]() {
      accepting.dispose();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      closing.abort();
      server.closeIdleConnections();
      await closed;
    },
  };
}

async function listenUnix(server: Server, path: string, group: number): Promise<void> {
  if (!path.startsWith("/")) throw invalid(`invalid -H unix://${path}: want an absolute path`);
  await clearSocket(path);
  const mask = process.umask(0o177); // nobody else gets in between bind and chmod
  try {
    await ready(server, () => server.listen(path));
  } finally {
    process.umask(mask);
  }
  chownSync(path, 0, group);
  chmodSync(path, 0o660);
}

async function listenTcp(server: Server, address: string, secure: boolean): Promise<void> {
  const url = URL.parse(`http://${address || "127.0.0.1"}`);
  if (url?.pathname !== "/") throw invalid(`invalid -H tcp://${address}: want address:port`);
  const port = Number(/:(\d+)$/.exec(address)?.[1] ?? (secure ? 2376 : 2375));
  await ready(server, () => server.listen(port, url.hostname.replace(/^\[|\]$/g, "")));
}

/** @returns what ends the accepting */
async function listenPassed(server: Server, which: string, { scratch, log }: ListenOptions): Promise<Disposable> {
  const count = passedSockets();
  if (count === 0) throw unavailable("cannot listen on fd://: no sockets were passed by the service manager");
  const fd = which === "" ? 3 : Number(which);
  if (!Number.isInteger(fd) || fd < 3 || fd >= 3 + count)
    throw invalid(`invalid -H fd://${which}: descriptors 3 to ${2 + count} were passed`);
  const path = join(scratch, `fd-${fd}.sock`);
  await listenUnix(server, path, 0);
  return acceptOn(fd, path, log);
}
