/**
 * A registry in this process that can misbehave: every request may be answered by the test instead. It remembers what it was asked. What is
 * pushed to it is checked as the distribution specification wants it.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Piece, TestImage } from "../../bench/fixture/image.ts";
import { digestOf } from "../../src/base/digest.ts";

/** Answers a request itself and returns true, or leaves it to the registry. */
export type Misbehaviour = (request: IncomingMessage, response: ServerResponse) => boolean | undefined;

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
  readonly contentRange: string | undefined;
}

export class FakeRegistry implements AsyncDisposable {
  readonly seen: Seen[] = [];
  readonly #documents = new Map<string, Piece>();
  /** By repository and digest: a blob of one repository is not there for another, unless it is mounted. */
  readonly #blobs = new Map<string, Uint8Array>();
  readonly #uploads = new Map<string, Uint8Array>();
  readonly #server: Server;
  misbehave: Misbehaviour = () => false;
  port = 0;

  private constructor() {
    this.#server = createServer((request, response) => this.#handle(request, response));
  }

  static async start(): Promise<FakeRegistry> {
    const registry = new FakeRegistry();
    const { promise, resolve } = Promise.withResolvers<void>();
    registry.#server.listen(0, "127.0.0.1", resolve);
    await promise;
    const address = registry.#server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    registry.port = address.port;
    return registry;
  }

  /** `127.0.0.1:port`. */
  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
  }

  /** Makes an image available as `repository:tag`. */
  push(repository: string, tag: string, image: TestImage): void {
    this.pushDocument(repository, tag, image.manifest);
    for (const { bytes } of [image.config, ...image.layers]) this.#blobs.set(`${repository} ${digestOf(bytes)}`, bytes);
  }

  pushDocument(repository: string, tag: string, document: Piece): void {
    this.#documents.set(`${repository} ${tag}`, document);
    this.#documents.set(`${repository} ${document.descriptor.digest}`, document);
  }

  /** @param repository  `*` for all */
  pushBlob(bytes: Uint8Array, repository = "*"): void {
    this.#blobs.set(`${repository} ${digestOf(bytes)}`, bytes);
  }

  /** What was pushed under a tag or digest. */
  document(repository: string, name: string): Piece | undefined {
    return this.#documents.get(`${repository} ${name}`);
  }

  /** What an upload has got, though nobody answered for it. @param path  of the request */
  upload(path: string, bytes: Uint8Array): void {
    this.#uploads.set(path.split("/").at(-1) ?? "", bytes);
  }

  blob(repository: string, digest: string): Uint8Array | undefined {
    return this.#blobs.get(`${repository} ${digest}`) ?? this.#blobs.get(`* ${digest}`);
  }

  /** Requests whose path contains `text`. */
  asked(text: string): readonly Seen[] {
    return this.seen.filter(({ path }) => path.includes(text));
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const { method = "", url: path = "/", headers } = request;
    this.seen.push({
      method,
      path,
      authorization: headers.authorization,
      range: headers.range,
      contentRange: headers["content-range"],
    });
    if (this.misbehave(request, response)) return;
    const url = new URL(path, "http://registry");
    const [, repository = "", kind, name = "", upload = ""] =
      /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)(?:\/([^/]*))?$/.exec(url.pathname) ?? [];
    if (path === "/v2/") response.writeHead(200).end("{}");
    else if (kind === "blobs" && name === "uploads") void this.#upload(repository, upload, url, request, response);
    else if (kind === "manifests" && method === "PUT") void this.#putDocument(repository, name, request, response);
    else if (kind === "manifests") this.#document(`${repository} ${name}`, response);
    else if (kind === "blobs") this.#blob(repository, name, headers.range, response);
    else if (path.includes("/tags/list")) this.#tags(/^\/v2\/(.+)\/tags\/list/.exec(path)?.[1] ?? "", response);
    else refuse(response, 404, "UNSUPPORTED", "no such route");
  }

  #tags(name: string, response: ServerResponse): void {
    const keys = [...this.#documents.keys()].filter((key) => key.startsWith(`${name} `) && !key.includes("sha256:"));
    response.writeHead(200).end(JSON.stringify({ name, tags: keys.map((key) => key.slice(name.length + 1)) }));
  }

  #document(key: string, response: ServerResponse): void {
    const document = this.#documents.get(key);
    if (!document) {
      refuse(response, 404, "MANIFEST_UNKNOWN", "manifest unknown");
      return;
    }
    const { mediaType, digest, size } = document.descriptor;
    response.writeHead(200, {
      "content-type": mediaType,
      "docker-content-digest": digest,
      "content-length": String(size),
    });
    response.end(response.req.method === "HEAD" ? undefined : document.bytes);
  }

  async #putDocument(
    repository: string,
    name: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const bytes = await received(request);
    const mediaType = request.headers["content-type"] ?? "";
    const { config, layers = [], manifests = [] } = JSON.parse(Buffer.from(bytes).toString());
    const missing =
      [...(config ? [config] : []), ...layers].find(({ digest }) => !this.blob(repository, digest)) ??
      manifests.find(({ digest }: { digest: string }) => !this.document(repository, digest));
    if (missing) {
      refuse(response, 404, "MANIFEST_BLOB_UNKNOWN", `blob unknown to registry: ${missing.digest}`);
      return;
    }
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
    this.pushDocument(repository, name, { descriptor, bytes });
    response.writeHead(201, { "docker-content-digest": descriptor.digest }).end();
  }

  /** Locations are relative, as the specification allows. */
  async #upload(
    repository: string,
    id: string,
    url: URL,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const bytes = await received(request);
    const [mount, from] = [url.searchParams.get("mount"), url.searchParams.get("from")];
    const mounted = mount && from ? this.blob(from, mount) : undefined;
    if (mounted) {
      this.pushBlob(mounted, repository);
      response.writeHead(201, { "docker-content-digest": mount ?? "" }).end();
      return;
    }
    const name = id || crypto.randomUUID();
    const before = this.#uploads.get(name) ?? new Uint8Array();
    const start = /^(\d+)-/.exec(request.headers["content-range"] ?? "")?.[1];
    if (start !== undefined && Number(start) !== before.byteLength) {
      response.writeHead(416).end();
      return;
    }
    const all = Buffer.concat([before, bytes]);
    this.#uploads.set(name, all);
    if (request.method === "PUT") return this.#finish(repository, all, url.searchParams.get("digest") ?? "", response);
    if (request.method === "DELETE") this.#uploads.delete(name);
    const range = `0-${Math.max(0, all.byteLength - 1)}`;
    const location = `/v2/${repository}/blobs/uploads/${name}`;
    response.writeHead(request.method === "GET" || request.method === "DELETE" ? 204 : 202, { location, range }).end();
  }

  #finish(repository: string, bytes: Uint8Array, digest: string, response: ServerResponse): void {
    if (digestOf(bytes) !== digest) {
      refuse(response, 400, "DIGEST_INVALID", "provided digest did not match uploaded content");
      return;
    }
    this.pushBlob(bytes, repository);
    response.writeHead(201, { "docker-content-digest": digest }).end();
  }

  #blob(repository: string, digest: string, range: string | undefined, response: ServerResponse): void {
    const bytes = this.blob(repository, digest);
    if (!bytes) {
      refuse(response, 404, "BLOB_UNKNOWN", "blob unknown to registry");
      return;
    }
    const start = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
    if (start >= bytes.byteLength && start > 0) {
      response.writeHead(416).end();
      return;
    }
    const headers = start > 0 ? { "content-range": `bytes ${start}-${bytes.byteLength - 1}/${bytes.byteLength}` } : {};
    response.writeHead(start > 0 ? 206 : 200, { ...headers, "content-length": String(bytes.byteLength - start) });
    response.end(response.req.method === "HEAD" ? undefined : bytes.subarray(start));
  }
}

/** What comes, also when it ends too early: that is what was received. */
async function received(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk);
  } catch {
    // the client has left
  }
  return Buffer.concat(chunks);
}

/** Answers with an error as the distribution specification has them. */
export function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
}
