/**
 * Pushing. Source: OCI distribution-spec v1.1, "Push".
 *
 * A blob goes in one PATCH whose body is as long as the blob, then an empty PUT names its digest: what docker's own client sends, and so what
 * every registry takes. (A single PUT cannot be resumed, and some registries take no second chunk.)
 */

import { digestOf } from "../base/digest.ts";
import { type BosunError, corrupt, invalid, kindOf, unavailable } from "../base/errors.ts";
import type { Descriptor } from "../base/oci.ts";
import type { Reference } from "../base/reference.ts";
import type { Bytes } from "../base/streams.ts";
import { type Ask, type Exchange, scopeOf } from "./exchange.ts";
import { failureOf } from "./failure.ts";
import type { Host } from "./host.ts";
import type { Access, Document, PushOptions } from "./registry.ts";
import { type Answer, failed, isOverloaded, pause, retryAfter } from "./transport.ts";

type Wanted = Pick<Descriptor, "digest" | "size">;

const scopesOf = (repository: Reference, from?: Reference): readonly string[] => [
  scopeOf(repository, "pull,push"),
  ...(from === undefined ? [] : [scopeOf(from, "pull")]),
];

export async function hasBlob(
  exchange: Exchange,
  repository: Reference,
  { digest, size }: Wanted,
  access: Access,
): Promise<boolean> {
  const host = await exchange.origin(repository.domain);
  const target = { path: `${repository.path}/blobs/${digest}` };
  const answer = await exchange.ask(host, { method: "HEAD", target, scopes: scopesOf(repository) }, repository, access);
  if (answer.status === 404) {
    await answer.discard();
    return false;
  }
  if (answer.status !== 200) throw await failureOf(answer, repository, "push");
  await answer.discard();
  const length = answer.headers.get("content-length");
  return length === null || Number(length) === size;
}

export async function mountBlob(
  exchange: Exchange,
  repository: Reference,
  { digest }: Pick<Descriptor, "digest">,
  from: Reference,
  access: Access,
): Promise<boolean> {
  const host = await exchange.origin(repository.domain);
  const query = new URLSearchParams({ mount: digest, from: from.path });
  const scopes = scopesOf(repository, from);
  const target = { path: `${repository.path}/blobs/uploads/?${query}` };
  const answer = await exchange.ask(
    host,
    { method: "POST", target, scopes, body: new Uint8Array() },
    repository,
    access,
  );
  if (answer.status !== 201 && answer.status !== 202) throw await failureOf(answer, repository, "push");
  await answer.discard();
  if (answer.status === 201) return true;
  // It opened an upload instead, which nobody will use.
  const location = answer.headers.get("location");
  if (location !== null) {
    const ask: Ask = { method: "DELETE", target: { location }, scopes: scopesOf(repository), attempts: 1 };
    await exchange.ask(host, ask, repository, access).then(
      (left) => left.discard(),
      () => {},
    );
  }
  return false;
}

export async function pushDocument(
  exchange: Exchange,
  reference: Reference,
  { descriptor, bytes }: Document,
  access: Access,
): Promise<void> {
  const host = await exchange.origin(reference.domain);
  const ask: Ask = {
    method: "PUT",
    target: { path: `${reference.path}/manifests/${reference.tag ?? descriptor.digest}` },
    headers: { "content-type": descriptor.mediaType },
    body: new Uint8Array(bytes),
    scopes: scopesOf(reference),
    headersMs: exchange.transport.limits.commitMs,
  };
  const answer = await exchange.ask(host, ask, reference, access);
  if (answer.status !== 201 && answer.status !== 200) throw await failureOf(answer, reference, "push");
  await answer.discard();
  agree(answer, digestOf(bytes));
}

/** @throws corrupt when the registry says that it has something else now */
function agree({ headers, request }: Answer, digest: string): void {
  const got = headers.get("docker-content-digest");
  if (got !== null && got !== digest)
    throw corrupt(failed(request, `the registry stored ${JSON.stringify(got.slice(0, 100))}, sent was ${digest}`));
}

export async function pushBlob(
  exchange: Exchange,
  repository: Reference,
  blob: Wanted,
  open: (offset: number) => Bytes,
  options: PushOptions,
): Promise<void> {
  const host = await exchange.origin(repository.domain);
  await new BlobUpload(exchange, host, repository, blob, open, options).run();
}

class BlobUpload {
  /** Where the next request of this upload goes; undefined before it is begun. */
  #location: string | undefined;
  /** Most bytes that the registry is known to have had. */
  #farthest = 0;
  /** What Retry-After asked for, ms. */
  #asked: number | undefined;

  constructor(
    readonly exchange: Exchange,
    readonly host: Host,
    readonly repository: Reference,
    readonly blob: Wanted,
    readonly open: (offset: number) => Bytes,
    readonly options: PushOptions,
  ) {}

  /** An attempt that got further than those before it counts as the first. */
  async run(): Promise<void> {
    const { limits } = this.exchange.transport;
    for (let attempt = 1; ; attempt++)
      try {
        return await this.#attempt(() => {
          attempt = 1;
        });
      } catch (error) {
        this.options.signal?.throwIfAborted();
        if (kindOf(error) !== "unavailable" || attempt >= limits.attempts) throw error;
        const wait = this.#asked ?? limits.backoffMs * 2 ** (attempt - 1);
        if (wait > limits.longestWaitMs) throw error;
        this.#asked = undefined;
        await pause(wait, this.options.signal);
      }
  }

  async #attempt(onFurther: () => void): Promise<void> {
    let offset = this.#location === undefined ? undefined : await this.#received(this.#location);
    if (offset === undefined || this.#location === undefined) {
      this.#location = await this.#begin();
      offset = 0;
    }
    if (offset > this.#farthest) {
      this.#farthest = offset;
      onFurther();
    }
    if (offset < this.blob.size) await this.#send(offset, this.#location);
    await this.#finish(this.#location);
  }

  async #begin(): Promise<string> {
    const target = { path: `${this.repository.path}/blobs/uploads/` };
    const answer = await this.#ask({ method: "POST", target, body: new Uint8Array() });
    if (answer.status !== 202) throw await this.#failure(answer);
    await answer.discard();
    const location = nextLocation(answer);
    if (location === undefined)
      throw invalid(failed(answer.request, "the registry began an upload without a Location"));
    return location;
  }

  /** @returns how many bytes the registry has of this upload; undefined when it is lost */
  async #received(location: string): Promise<number | undefined> {
    const answer = await this.#ask({ method: "GET", target: { location } });
    await answer.discard();
    const end = /^(?:bytes=)?0-(\d+)$/.exec(answer.headers.get("range") ?? "")?.[1];
    if (answer.status !== 204 || end === undefined) return undefined;
    this.#location = nextLocation(answer) ?? location;
    // `0-0` is also how nothing is said.
    const received = end === "0" ? 0 : Number(end) + 1;
    return received <= this.blob.size ? received : undefined;
  }

  async #send(offset: number, location: string): Promise<void> {
    const { size } = this.blob;
    const body = { size: size - offset, open: () => counted(this.open(offset), offset, this.options.onProgress) };
    const range = offset > 0 ? { "content-range": `${offset}-${size - 1}` } : {};
    const headers = { "content-type": "application/octet-stream", ...range };
    // What was sent in part is continued, not sent again.
    const answer = await this.#ask({ method: "PATCH", target: { location }, headers, body, attempts: 1 });
    if (answer.status === 404 || answer.status === 416) {
      await answer.discard();
      this.#location = undefined;
      throw unavailable(failed(answer.request, `the registry lost the upload: ${answer.status} ${answer.statusText}`));
    }
    if (answer.status < 200 || answer.status >= 300) throw await this.#failure(answer);
    await answer.discard();
    this.#location = nextLocation(answer) ?? location;
  }

  async #finish(location: string): Promise<void> {
    const { digest } = this.blob;
    const at = this.#location ?? location;
    const target = { location: `${at}${at.includes("?") ? "&" : "?"}digest=${encodeURIComponent(digest)}` };
    const headersMs = this.exchange.transport.limits.commitMs;
    const answer = await this.#ask({ method: "PUT", target, body: new Uint8Array(), headersMs });
    if (answer.status !== 201 && answer.status !== 204) {
      this.#location = undefined;
      throw await this.#failure(answer);
    }
    await answer.discard();
    agree(answer, digest);
  }

  #ask(ask: Ask): Promise<Answer> {
    return this.exchange.ask(this.host, { ...ask, scopes: scopesOf(this.repository) }, this.repository, this.options);
  }

  async #failure(answer: Answer): Promise<BosunError> {
    if (isOverloaded(answer.status)) this.#asked = retryAfter(answer.headers);
    return failureOf(answer, this.repository, "push");
  }
}

/** Absolute, since it may be relative to the request that it answers. */
const nextLocation = ({ headers, request }: Answer): string | undefined => {
  const location = headers.get("location");
  return location === null ? undefined : (URL.parse(location, request.url.href)?.href ?? location);
};

/** Tells how far the reader is. */
function counted(body: Bytes, offset: number, tell: ((bytes: number) => void) | undefined): Bytes {
  if (!tell) return body;
  const reader = body.getReader();
  let at = offset;
  return new ReadableStream<Uint8Array>(
    {
      async pull(out) {
        const piece = await reader.read();
        if (piece.done) return out.close();
        at += piece.value.byteLength;
        tell(at);
        out.enqueue(piece.value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
