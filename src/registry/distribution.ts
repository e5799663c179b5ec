/**
 * The registry port over HTTP. Source: OCI distribution-spec v1.1, "Pull"; Docker's older media types are accepted too.
 */

import { digestOf, isDigest } from "../base/digest.ts";
import { BosunError, corrupt, forbidden, invalid, kindOf, unavailable } from "../base/errors.ts";
import { documentTypes } from "../base/media-types.ts";
import { isObject } from "../base/objects.ts";
import type { Descriptor } from "../base/oci.ts";
import { formatReference, type Reference } from "../base/reference.ts";
import { type Bytes, collect } from "../base/streams.ts";
import { Authority } from "./authority.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import { failureOf } from "./failure.ts";
import { type Endpoint, type Host, Hosts } from "./host.ts";
import type { Access, Document, Registry } from "./registry.ts";
import { type Answer, defaultLimits, failed, type Limits, type Request, Transport } from "./transport.ts";

export interface DistributionOptions {
  /** URLs of copies of Docker Hub, tried before it. */
  readonly mirrors?: readonly string[];
  /** `host`, `host:port` or address blocks that may speak HTTP or show an unsigned certificate. Loopback always may. */
  readonly insecure?: readonly string[];
  /** As `Bosun/1.0`. */
  readonly userAgent: string;
  readonly limits?: Partial<Limits>;
}

/** A host that answered: how to reach it, and what it asks for. */
interface Session {
  readonly endpoint: Endpoint;
  readonly challenges: readonly Challenge[];
}

type Ask = Pick<Request, "method"> & { readonly path: string; readonly headers?: Readonly<Record<string, string>> };

/** Pages of a tag list that are read; registries give 100 to 1000 tags a page. */
const mostPages = 1000;

export class DistributionRegistry implements Registry {
  readonly #hosts: Hosts;
  readonly #transport: Transport;
  readonly #authority: Authority;
  readonly #sessions = new Map<string, Session>();

  /** @throws invalid for a mirror or an insecure entry that cannot be read */
  constructor(options: DistributionOptions) {
    this.#hosts = new Hosts(options.mirrors ?? [], options.insecure ?? []);
    this.#transport = new Transport({ ...defaultLimits, ...options.limits }, options.userAgent);
    this.#authority = new Authority(this.#transport);
  }

  async resolve(reference: Reference, access: Access = {}): Promise<Document["descriptor"]> {
    const found = await this.#anyHost(reference, access, async (host) => {
      const answer = await this.#ask(host, documentRequest("HEAD", reference), reference, access);
      await answer.discard();
      // Not every registry has HEAD, and its errors have no text: GET tells.
      const described = answer.status === 200 ? describedBy(answer.headers) : undefined;
      return reference.digest === undefined || reference.digest === described?.digest ? described : undefined;
    });
    return found ?? (await this.document(reference, access)).descriptor;
  }

  document(reference: Reference, access: Access = {}): Promise<Document> {
    return this.#anyHost(reference, access, async (host) => {
      const answer = await this.#ask(host, documentRequest("GET", reference), reference, access);
      if (answer.status !== 200) throw await failureOf(answer, reference);
      const bytes = await collect(answer.body, this.#transport.limits.documentBytes);
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
    return this.#anyHost(repository, access, async (host) => {
      const path = `${repository.path}/blobs/${blob.digest}`;
      const headers = offset > 0 ? { range: `bytes=${offset}-` } : {};
      const answer = await this.#ask(host, { method: "GET", path, headers }, repository, access);
      if (answer.status === 416 && offset > 0) {
        await answer.discard();
        return this.blob(repository, blob, 0, access);
      }
      if (answer.status !== 200 && answer.status !== 206) throw await failureOf(answer, repository);
      const start = answer.status === 206 ? rangeStart(answer, blob.size) : 0;
      return { start, body: atLeast(answer, blob.size - start) };
    });
  }

  tags(repository: Reference, access: Access = {}): Promise<readonly string[]> {
    return this.#anyHost(repository, access, async (host) => {
      const tags: string[] = [];
      let path: string | undefined = `${repository.path}/tags/list?n=1000`;
      for (let page = 0; path !== undefined && page < mostPages; page++) {
        const answer: Answer = await this.#ask(host, { method: "GET", path }, repository, access);
        if (answer.status !== 200) throw await failureOf(answer, repository);
        const bytes = await collect(answer.body, this.#transport.limits.documentBytes);
        tags.push(...parseTags(answer.request, bytes));
        path = nextPage(answer);
      }
      return tags;
    });
  }

  /** Asks the hosts of a name in order: a mirror that fails or lacks something is passed over, the origin's error counts. */
  async #anyHost<T>(reference: Reference, { signal }: Access, call: (host: Host) => Promise<T>): Promise<T> {
    const hosts = await this.#hosts.of(reference.domain);
    for (const host of hosts)
      try {
        return await call(host);
      } catch (error) {
        signal?.throwIfAborted();
        if (!host.mirror) throw error;
      }
    throw unavailable(`no registry serves ${formatReference(reference)}`);
  }

  /** Sends with authorisation; a 401 is answered once with what the registry asks for now. */
  async #ask(host: Host, { method, path, headers = {} }: Ask, reference: Reference, access: Access): Promise<Answer> {
    const { endpoint, challenges } = await this.#session(host, access.signal);
    const credentials = host.mirror ? {} : (access.credentials ?? {});
    const request: Request = {
      method,
      url: new URL(`v2/${path}`, endpoint.base),
      headers,
      trust: endpoint,
      signal: access.signal,
    };
    const authorize = (asked: readonly Challenge[]) =>
      this.#authority.header(asked, endpoint, reference, credentials, access.signal);
    const first = await authorize(challenges);
    const answer = await this.#send(host, { ...request, authorization: first });
    if (answer.status !== 401) return answer;
    const asked = parseChallenges(answer.headers.get("www-authenticate") ?? "");
    if (first !== undefined) this.#authority.forget(first);
    const second = await authorize(asked);
    if (second === undefined && asked.some(({ scheme }) => scheme === "basic")) {
      await answer.discard();
      throw forbidden(failed(request, "no basic auth credentials"));
    }
    if (second === undefined || second === first) return answer;
    await answer.discard();
    return this.#send(host, { ...request, authorization: second });
  }

  async #send(host: Host, request: Request): Promise<Answer> {
    try {
      return await this.#transport.send(request);
    } catch (error) {
      // It may have moved from HTTP to HTTPS meanwhile: find out anew the next time.
      if (kindOf(error) === "unavailable") this.#sessions.delete(host.name);
      throw error;
    }
  }

  /** Finds the first endpoint of a host that answers. @throws what the last one failed with */
  async #session(host: Host, signal: AbortSignal | undefined): Promise<Session> {
    const known = this.#sessions.get(host.name);
    if (known) return known;
    let failure: unknown = unavailable(`${host.name} has no endpoint`);
    for (const endpoint of host.endpoints)
      try {
        const session = await this.#ping(endpoint, host.endpoints.length > 1, signal);
        this.#sessions.set(host.name, session);
        return session;
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof BosunError)) throw error;
        failure = error;
      }
    throw failure;
  }

  async #ping(endpoint: Endpoint, isProbe: boolean, signal: AbortSignal | undefined): Promise<Session> {
    const url = new URL("v2/", endpoint.base);
    const probe = isProbe && endpoint.base.protocol === "https:" ? { attempts: 1 } : {};
    const answer = await this.#transport.send({ method: "GET", url, trust: endpoint, signal, ...probe });
    await answer.discard();
    if (answer.status >= 500)
      throw unavailable(
        failed(answer.request, `received unexpected HTTP status: ${answer.status} ${answer.statusText}`),
      );
    const challenges = answer.status === 401 ? parseChallenges(answer.headers.get("www-authenticate") ?? "") : [];
    return { endpoint, challenges };
  }
}

const documentRequest = (method: "GET" | "HEAD", { path, digest, tag = "latest" }: Reference): Ask => ({
  method,
  path: `${path}/manifests/${digest ?? tag}`,
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
