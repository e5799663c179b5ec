/**
 * `registry serve`: the engine's own images as a registry on a TCP port. The engine answers below /v2/ of its API; this relays that part of it
 * and no other, so that serving images gives nobody the engine itself.
 */

import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { Readable } from "node:stream";
import { drained } from "../base/streams.ts";
import { type Client, parseHost } from "./client.ts";
import type { Command } from "./command.ts";
import { UsageError } from "./flags.ts";
import { Htpasswd } from "./htpasswd.ts";

export interface RelayOptions {
  /** The engine, as of DOCKER_HOST. */
  readonly host: string;
  readonly readOnly: boolean;
  readonly users: Htpasswd | undefined;
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
}

/** Of one connection; not passed on. Source: RFC 9110 section 7.6.1. */
const HOP = ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

function refuse(outgoing: http.ServerResponse, status: number, code: string, message: string): void {
  const body = JSON.stringify({ errors: [{ code, message, detail: null }] });
  const basic = status === 401 ? { "WWW-Authenticate": 'Basic realm="bosun"' } : {};
  // What the client is still sending is not read.
  const headers = {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(body),
    Connection: "close",
  };
  outgoing.writeHead(status, { ...headers, ...basic, "Docker-Distribution-Api-Version": "registry/2.0" });
  outgoing.end(body);
}

function headersOf(incoming: http.IncomingMessage): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers))
    if (value !== undefined && !HOP.includes(name) && name !== "authorization" && name !== "host")
      headers.set(name, Array.isArray(value) ? value.join(", ") : value);
  return headers;
}

class Relay {
  readonly #base: string;
  readonly #unix: { readonly unix?: string };

  constructor(readonly options: RelayOptions) {
    const address = parseHost(options.host);
    this.#base = "path" in address ? "http://bosun" : `http://${address.host}:${address.port}`;
    this.#unix = "path" in address ? { unix: address.path } : {};
  }

  /** @returns whether the request may be relayed; it is answered otherwise */
  async #admits(incoming: http.IncomingMessage, outgoing: http.ServerResponse): Promise<boolean> {
    const { method = "", url = "", headers } = incoming;
    const path = URL.parse(url, "http://relay")?.pathname ?? "";
    const isRead = method === "GET" || method === "HEAD";
    if (this.options.users && !(await this.options.users.accepts(headers.authorization)))
      refuse(outgoing, 401, "UNAUTHORIZED", "authentication required");
    else if (!/^\/v2(\/|$)/.test(path)) refuse(outgoing, 404, "UNSUPPORTED", "There is nothing here.");
    else if (this.options.readOnly && !isRead)
      refuse(outgoing, 405, "UNSUPPORTED", "The operation is unsupported: this registry is read-only.");
    else return true;
    return false;
  }

  async handle(incoming: http.IncomingMessage, outgoing: http.ServerResponse): Promise<void> {
    const gone = new AbortController();
    outgoing.on("close", () => gone.abort());
    try {
      if (await this.#admits(incoming, outgoing)) await this.#pass(incoming, outgoing, gone.signal);
    } catch (error) {
      if (gone.signal.aborted) return;
      if (outgoing.headersSent) outgoing.destroy();
      else
        refuse(
          outgoing,
          502,
          "UNKNOWN",
          `the engine does not answer: ${error instanceof Error ? error.message : error}`,
        );
    }
  }

  async #pass(incoming: http.IncomingMessage, outgoing: http.ServerResponse, signal: AbortSignal): Promise<void> {
    const { method = "GET", url = "/" } = incoming;
    const target = URL.parse(url, this.#base);
    if (!target) throw new Error("bad request target");
    const hasBody = !["GET", "HEAD", "DELETE"].includes(method);
    const response = await fetch(new URL(target.pathname + target.search, this.#base), {
      method,
      headers: headersOf(incoming),
      ...this.#unix,
      // What node calls a web stream is one, under another name.
      ...(hasBody && { body: Readable.toWeb(incoming) as unknown as ReadableStream<Uint8Array>, duplex: "half" }),
      redirect: "manual",
      decompress: false,
      timeout: false,
      proxy: false,
      signal,
    });
    const headers = [...response.headers].filter(([name]) => !HOP.includes(name));
    outgoing.writeHead(response.status, Object.fromEntries(headers));
    for await (const chunk of response.body ?? []) if (!outgoing.write(chunk)) await drained(outgoing);
    outgoing.end();
  }
}

function relayServer(options: RelayOptions): http.Server | https.Server {
  const relay = new Relay(options);
  const limits = { requestTimeout: 0, headersTimeout: 60_000 };
  const server = options.tls ? https.createServer({ ...limits, ...options.tls }) : http.createServer(limits);
  server.timeout = 0;
  server.on("request", (incoming: http.IncomingMessage, outgoing: http.ServerResponse) => {
    void relay.handle(incoming, outgoing);
  });
  return server;
}

/** `host:port`, `[::1]:port` or `:port`. @throws UsageError */
function parseListen(text: string): { readonly host: string; readonly port: number } {
  const [, host = "", port] = /^(\[[0-9a-fA-F:]+\]|[^:]*):(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) throw new UsageError(`invalid --listen ${text}: want host:port`);
  return { host: host.replace(/^\[(.*)\]$/, "$1") || "::", port: Number(port) };
}

const isLocal = (host: string): boolean => /^(127\.|::1$|localhost$)/.test(host);

/** Until somebody stops it. */
function served(server: http.Server | https.Server): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.on(signal, () => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return promise;
}

export const registryCommand: Command = {
  usage: "registry serve [OPTIONS]",
  summary: "Serve the engine's images as an OCI registry, to pull from and push to",
  flags: {
    listen: { kind: "text", help: 'Address to listen on (default "127.0.0.1:5000")' },
    "read-only": { kind: "bool", help: "Refuse pushes and deletions" },
    htpasswd: { kind: "text", help: "File of users who may use it, with bcrypt hashes (htpasswd -B)" },
    "tls-cert": { kind: "text", help: "Certificate to serve TLS with, PEM" },
    "tls-key": { kind: "text", help: "Its key, PEM" },
  },
  args: [1, 1],
  async run(client: Client, flags) {
    if (flags.args[0] !== "serve") throw new UsageError(`unknown command: bosun registry ${flags.args[0]}`);
    const [cert, key] = [flags.text("tls-cert"), flags.text("tls-key")];
    if ((cert === undefined) !== (key === undefined)) throw new UsageError("--tls-cert and --tls-key go together");
    const file = flags.text("htpasswd");
    const address = parseListen(flags.text("listen") ?? "127.0.0.1:5000");
    await client.get("/version"); // an engine that is not there is told of now
    const server = relayServer({
      host: client.host,
      readOnly: flags.on("read-only"),
      users: file === undefined ? undefined : new Htpasswd(file),
      tls:
        cert !== undefined && key !== undefined
          ? { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") }
          : undefined,
    });
    if (!isLocal(address.host) && file === undefined && !flags.on("read-only"))
      process.stderr.write(
        "WARNING: everybody who can reach this port may push and delete images: use --htpasswd or --read-only\n",
      );
    const ended = served(server);
    server.listen(address.port, address.host, () => {
      const bound = server.address();
      if (bound !== null && typeof bound === "object")
        console.log(
          `Serving images on ${bound.family === "IPv6" ? `[${bound.address}]` : bound.address}:${bound.port}`,
        );
    });
    await ended;
    return 0;
  },
};
