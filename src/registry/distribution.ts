/**
 * The registry port over HTTP. Source: OCI distribution-spec v1.1, "Pull"; Docker's older media types are accepted too.
 */

import { digestOf, isDigest } from "../base/digest.ts";
import { corrupt, invalid, unavailable } from "../base/errors.ts";
import { documentTypes } from "../base/media-types.ts";
import { isObject } from "../base/objects.ts";
import type { Descriptor } from "../base/oci.ts";
import type { Reference } from "../base/reference.ts";
import { type Bytes, collect } from "../base/streams.ts";
import { Authority } from "./authority.ts";
import { type Ask, Exchange } from "./exchange.ts";
import { failureOf } from "./failure.ts";
import { type Host, Hosts, type HostsOptions } from "./host.ts";
import { login } from "./login.ts";
import { Proxies, type ProxySettings } from "./proxies.ts";
import type { Access, Credentials, Document, Found, PushOptions, Registry } from "./registry.ts";
import { relayed } from "./relay.ts";
import { search } from "./search.ts";
import { type Answer, defaultLimits, failed, type Limits, type Request, Transport } from "./transport.ts";
import { hasBlob, mountBlob, pushBlob, pushDocument } from "./upload.ts";

/** Loopback addresses may always speak HTTP or show an unsigned certificate, and no proxy sees them. */
export interface DistributionOptions extends HostsOptions {
  /** Unless given, the environment's. */
  readonly proxies?: Partial<ProxySettings>;
  /** As `Bosun/1.0`. */
  readonly userAgent: string;
  readonly limits?: Partial<Limits>;
}

/** Pages of a tag list that are read; registries give 100 to 1000 tags a page. */
const mostPages = 1000;

export class DistributionRegistry implements Registry {
  readonly #exchange: Exchange;
  readonly #limits: Limits;

  /** @throws invalid for a mirror, a proxy or an insecure entry that cannot be read */
  constructor(options: DistributionOptions) {
    this.#limits = { ...defaultLimits, ...options.limits };
    const transport = new Transport(this.#limits, options.userAgent, new Proxies(options.proxies));
    this.#exchange = new Exchange(new Hosts(options), transport, new Authority(transport));
  }

  async resolve(reference: Reference, access: Access = {}): Promise<Document["descriptor"]> {
    const found = await this.#exchange.anyHost(reference, access, async (host) => {
      const answer = await this.#exchange.ask(host, documentRequest("HEAD", reference), reference, access);
      await answer.discard();
      // Not every registry has HEAD, and its errors have no text: GET tells.
      const described = answer.status === 200 ? describedBy(answer.headers) : undefined;
      return reference.digest === undefined || reference.digest === described?.digest ? described : undefined;
    });
    return found ?? (await this.document(reference, access)).descriptor;
  }

  document(reference: Reference, access: Access = {}): Promise<Document> {
    return this.#exchange.anyHost(reference, access, async (host) => {
      const answer = await this.#exchange.ask(host, documentRequest("GET", reference), reference, access);
      if (answer.status !== 200) throw await failureOf(answer, reference);
      const bytes = await collect(answer.body, this.#limits.documentBytes);
      const mediaType = mediaTypeOf(answer.headers);
      const digest = digestOf(bytes);
      if (reference.digest !== undefined && digest !== reference.digest)
        throw corrupt(`manifest verification failed for digest ${reference.digest}: got ${digest}`);
      return { descriptor: { mediaType, digest, size: bytes.byteLength }, bytes };
    });
  }

  blob(
    repository: Reference,
    blob: Pick<Descriptor, "digest" | "size">,
    offset: number,
    access: Access = {},
  ): Promise<{ readonly start: number; readonly body: Bytes }> {
    return this.#exchange.anyHost(repository, access, (host, others) =>
      this.#blobOf(host, others, repository, blob, offset, access),
    );
  }

  /** What a mirror breaks off in the middle comes from the hosts after it. */
  async #blobOf(
    host: Host,
    others: readonly Host[],
    repository: Reference,
    blob: Pick<Descriptor, "digest" | "size">,
    offset: number,
    access: Access,
  ): Promise<{ readonly start: number; readonly body: Bytes }> {
    const target = { path: `${repository.path}/blobs/${blob.digest}` };
    const headers = offset > 0 ? { range: `bytes=${offset}-` } : {};
    const answer = await this.#exchange.ask(host, { method: "GET", target, headers }, repository, access);
    if (answer.status === 416 && offset > 0) {
      await answer.discard();
      return this.#blobOf(host, others, repository, blob, 0, access);
    }
    if (answer.status !== 200 && answer.status !== 206) throw await failureOf(answer, repository);
    const start = answer.status === 206 ? rangeStart(answer, blob.size) : 0;
    const opened = { start, body: atLeast(answer, blob.size - start) };
    if (others.length === 0) return opened;
    const rest = (at: number) =>
      this.#exchange.anyOf(others, repository, access.signal, (next, left) =>
        this.#blobOf(next, left, repository, blob, at, access),
      );
    return { start, body: relayed(opened, rest) };
  }

  tags(repository: Reference, access: Access = {}): Promise<readonly string[]> {
    return this.#exchange.anyHost(repository, access, async (host) => {
      const tags: string[] = [];
      let path: string | undefined = `${repository.path}/tags/list?n=1000`;
      for (let page = 0; path !== undefined && page < mostPages; page++) {
        const ask: Ask = { method: "GET", target: { path } };
        const answer: Answer = await this.#exchange.ask(host, ask, repository, access);
        if (answer.status !== 200) throw await failureOf(answer, repository);
        const bytes = await collect(answer.body, this.#limits.documentBytes);
        tags.push(...parseTags(answer.request, bytes));
        path = nextPage(answer);
      }
      return tags;
    });
  }

  hasBlob(repository: Reference, blob: Pick<Descriptor, "digest" | "size">, access: Access = {}): Promise<boolean> {
    return hasBlob(this.#exchange, repository, blob, access);
  }

  mountBlob(
    repository: Reference,
    blob: Pick<Descriptor, "digest">,
    from: Reference,
    access: Access = {},
  ): Promise<boolean> {
    return mountBlob(this.#exchange, repository, blob, from, access);
  }

  pushBlob(
    repository: Reference,
    blob: Pick<Descriptor, "digest" | "size">,
    open: (offset: number) => Bytes,
    options: PushOptions = {},
  ): Promise<void> {
    return pushBlob(this.#exchange, repository, blob, open, options);
  }

  pushDocument(reference: Reference, document: Document, access: Access = {}): Promise<void> {
    return pushDocument(this.#exchange, reference, document, access);
  }

  login(domain: string, credentials: Credentials, signal?: AbortSignal): Promise<string | undefined> {
    return login(this.#exchange, domain, credentials, signal);
  }

  search(domain: string | undefined, term: string, limit: number, access: Access = {}): Promise<readonly Found[]> {
    return search(this.#exchange, domain, term, limit, access);
  }
}

const documentRequest = (method: "GET" | "HEAD", { path, digest, tag = "latest" }: Reference): Ask => ({
  method,
  target: { path: `${path}/manifests/${digest ?? tag}` },
  headers: { accept: documentTypes.join(", ") },
});

const mediaTypeOf = (headers: Headers): string =>
  (headers.get("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";

/** @returns undefined unless the headers say all of it */
function describedBy(headers: Headers): Document["descriptor"] | undefined {
  const digest = headers.get("docker-content-digest") ?? "";
  const size = Number(headers.get("content-length") ?? Number.NaN);
  const mediaType = mediaTypeOf(headers);
  return isDigest(digest) && Number.isSafeInteger(size) && size > 0 ? { mediaType, digest, size } : undefined;
}

/** Source: RFC 9110 section 14.4. @throws corrupt when the registry's blob has another size */
function rangeStart(answer: Answer, size: number): number {
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(answer.headers.get("content-range") ?? "");
  const [, start, total] = range ?? [];
  if (start === undefined || Number(start) > size || (total !== "*" && Number(total) !== size))
    throw corrupt(
      failed(answer.request, `got Content-Range ${JSON.stringify(range?.[0] ?? "")}, want ${size} bytes in all`),
    );
  return Number(start);
}

/**
 * A body that ends before `size` bytes is a broken connection, even where the server claimed that this was all. Nothing is queued: what
 * came before the break can be kept.
 */
function atLeast({ body, request }: Answer, size: number): Bytes {
  const reader = body.getReader();
  let seen = 0;
  return new ReadableStream(
    {
      async pull(out) {
        const piece = await reader.read();
        if (piece.value) {
          seen += piece.value.byteLength;
          out.enqueue(piece.value);
        } else if (seen < size) {
          throw unavailable(failed(request, `unexpected EOF: got ${seen} of ${size} bytes`));
        } else {
          out.close();
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

function parseTags(request: Request, bytes: Uint8Array): readonly string[] {
  const malformed = (cause?: unknown) => invalid(failed(request, "the tag list is malformed"), { cause });
  let answer: unknown;
  try {
    answer = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw malformed(error);
  }
  const tags = isObject(answer) && "tags" in answer ? (answer.tags ?? []) : undefined;
  if (!Array.isArray(tags) || !tags.every((tag): tag is string => typeof tag === "string")) throw malformed();
  return tags;
}

/** The path below `v2/` of the `next` link; a link to elsewhere is not followed. Source: RFC 8288. */
function nextPage({ headers, request }: Answer): string | undefined {
  const target = /<([^>]*)>\s*;\s*rel="?next"?/.exec(headers.get("link") ?? "")?.[1];
  const url = target === undefined ? null : URL.parse(target, request.url.href);
  const prefix = request.url.pathname.slice(0, request.url.pathname.indexOf("v2/") + "v2/".length);
  if (url?.origin !== request.url.origin || !url.pathname.startsWith(prefix)) return undefined;
  return url.pathname.slice(prefix.length) + url.search;
}
