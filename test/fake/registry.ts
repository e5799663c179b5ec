/**
 * A registry in this process, read-only, that can misbehave: every request may be answered by the test instead. It counts what it was
 * asked, and checks the authorisation that the test wants.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { digestOf } from "../../src/base/digest.ts";
import type { Piece, TestImage } from "../support/image.ts";

/** Answers a request itself and returns true, or leaves it to the registry. */
export type Misbehaviour = (request: IncomingMessage, response: ServerResponse) => boolean | undefined;

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

export class FakeRegistry implements AsyncDisposable {
  readonly seen: Seen[] = [];
  readonly #documents = new Map<string, Piece>();
  readonly #blobs = new Map<string, Uint8Array>();
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
    for (const { bytes } of [image.config, ...image.layers]) this.#blobs.set(digestOf(bytes), bytes);
  }

  pushDocument(repository: string, tag: string, document: Piece): void {
    this.#documents.set(`${repository} ${tag}`, document);
    this.#documents.set(`${repository} ${document.descriptor.digest}`, document);
  }

  pushBlob(bytes: Uint8Array): void {
    this.#blobs.set(digestOf(bytes), bytes);
  }

  /** Requests whose path contains `text`. */
  asked(text: string): readonly Seen[] {
    return this.seen.filter(({ path }) => path.includes(text));
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const { method = "", url: path = "/", headers } = request;
    this.seen.push({ method, path, authorization: headers.authorization, range: headers.range });
    if (this.misbehave(request, response)) return;
    const [, repository = "", kind, name = ""] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/?]+)/.exec(path) ?? [];
    if (path === "/v2/") response.writeHead(200).end("{}");
    else if (kind === "manifests") this.#document(`${repository} ${name}`, response);
    else if (kind === "blobs") this.#blob(name, headers.range, response);
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

  #blob(digest: string, range: string | undefined, response: ServerResponse): void {
    const bytes = this.#blobs.get(digest);
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
    response.end(bytes.subarray(start));
  }
}

/** Answers with an error as the distribution specification has them. */
export function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
}
