/**
 * HTTP as the registry client needs it: bounded in time, size and attempts; credentials never follow a redirect to another host; what
 * goes wrong is said as Docker says it (Go's net/http), since that is what people search for.
 */

import { BosunError, hasCode, invalid, messageOf, unavailable } from "../base/errors.ts";
import { type Bytes, collect } from "../base/streams.ts";
import { type Endpoint, isLoopback } from "./host.ts";

/** Bounds of every exchange with a registry. */
export interface Limits {
  /** How often a request is sent in all, when the connection breaks or the server is overloaded. */
  readonly attempts: number;
  /** Wait before the second attempt; it doubles each time. */
  readonly backoffMs: number;
  /** The longest Retry-After that is waited for; a longer one is an error at once. */
  readonly longestWaitMs: number;
  /** From the request to its response headers, connecting included. */
  readonly headersMs: number;
  /** Between two pieces of a body. */
  readonly idleMs: number;
  /** Manifests and tag lists. */
  readonly documentBytes: number;
  readonly tokenBytes: number;
}

export const defaultLimits: Limits = {
  attempts: 4,
  backoffMs: 500,
  longestWaitMs: 10_000,
  headersMs: 30_000,
  idleMs: 60_000,
  documentBytes: 4 << 20,
  tokenBytes: 1 << 20,
};

const mostRedirects = 5;
/** Bytes. */
const shortBody = 16 << 10;

export interface Request {
  readonly method: "GET" | "HEAD" | "POST";
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly authorization?: string | undefined;
  readonly trust: Pick<Endpoint, "insecure" | "direct">;
  readonly signal?: AbortSignal | undefined;
  /** Overrides `Limits.attempts`. */
  readonly attempts?: number;
}

/** An answer; `body` fails when it stalls. Read it to its end or `discard` it. */
export interface Answer {
  readonly status: number;
  readonly statusText: string;
  readonly headers: Headers;
  readonly request: Request;
  readonly body: Bytes;
  discard(): Promise<void>;
}

const goMethod = { GET: "Get", HEAD: "Head", POST: "Post" } as const;

/** As Go prints a failed request: `Get "https://…": reason`. */
export const failed = (request: Pick<Request, "method" | "url">, reason: string): string =>
  `${goMethod[request.method]} "${request.url.href}": ${reason}`;

const portOf = (url: URL): string => url.port || (url.protocol === "https:" ? "443" : "80");

function reasonOf(error: unknown, url: URL): string {
  if (hasCode(error, "ECONNREFUSED", "ConnectionRefused"))
    return `dial tcp ${url.hostname}:${portOf(url)}: connect: connection refused`;
  if (hasCode(error, "ENOTFOUND", "EAI_AGAIN")) return `dial tcp: lookup ${url.hostname}: no such host`;
  if (hasCode(error, "ECONNRESET", "EPIPE", "ConnectionClosed")) return "EOF";
  if (hasCode(error, "EPROTO")) return "tls: first record does not look like a TLS handshake";
  if (hasCode(error, "DEPTH_ZERO_SELF_SIGNED_CERT", "SELF_SIGNED_CERT_IN_CHAIN", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"))
    return "tls: failed to verify certificate: x509: certificate signed by unknown authority";
  return messageOf(error);
}

const mayPass = (error: unknown): boolean => hasCode(error, "ECONNRESET", "EPIPE", "ETIMEDOUT", "ConnectionClosed");
const isOverloaded = (status: number): boolean => status === 429 || (status >= 500 && status !== 501);

/** @returns what Retry-After asks for, in ms; undefined when it does not. Source: RFC 9110 section 10.2.3. */
function retryAfter(headers: Headers): number | undefined {
  const text = headers.get("retry-after")?.trim() ?? "";
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

/** Resolves after `ms`. @throws the signal's reason as soon as it aborts */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onAbort = () => reject(signal?.reason);
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener("abort", onAbort, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  });
}

/** Credentials go where they were meant to go; a redirect to plain HTTP is an attack, or a mistake as bad. @throws invalid */
function redirected(request: Request, location: string): Request {
  const url = URL.parse(location, request.url.href);
  if (!url || !/^https?:$/.test(url.protocol) || url.username)
    throw invalid(failed(request, `bad redirect to ${JSON.stringify(location.slice(0, 200))}`));
  if (url.protocol === "http:" && request.url.protocol === "https:" && !request.trust.insecure)
    throw invalid(failed(request, `refused a redirect from https to ${url.origin}`));
  if (url.origin === request.url.origin) return { ...request, url };
  // Another host is not the one that the user declared insecure or local.
  const trust = url.hostname === request.url.hostname ? request.trust : { insecure: false, direct: isLoopback(url) };
  return { ...request, url, trust, authorization: undefined };
}

/** A short body is read to its end, so that its connection can serve the next request; a long or endless one is cut off. */
async function discard(body: Bytes, headers: Headers): Promise<void> {
  const length = Number(headers.get("content-length") ?? Number.NaN);
  if (length <= shortBody) await collect(body, shortBody).catch(() => {});
  else await body.cancel();
}

/** Says `unavailable` when the connection breaks, or when no byte comes for `idleMs` although one was asked for. */
function bodyOf(request: Request, response: Response, stop: AbortController, idleMs: number): Bytes {
  const reader = response.body?.getReader();
  const stalled = unavailable(failed(request, `no data for ${idleMs / 1000} s`));
  let isAsked = false;
  // One for the whole body: it begins anew with every read, and means nothing while nobody reads.
  const timer = setTimeout(() => isAsked && stop.abort(stalled), idleMs);
  const read = async () => {
    isAsked = true;
    timer.refresh();
    try {
      return await reader?.read();
    } catch (error) {
      clearTimeout(timer);
      const isStalled = stop.signal.aborted;
      stop.abort();
      request.signal?.throwIfAborted();
      throw isStalled
        ? stalled
        : unavailable(failed(request, `unexpected EOF (${messageOf(error)})`), { cause: error });
    } finally {
      isAsked = false;
    }
  };
  return new ReadableStream(
    {
      pull: async (out) => {
        const piece = await read();
        if (piece?.value) return out.enqueue(piece.value);
        clearTimeout(timer);
        out.close();
      },
      cancel: () => {
        clearTimeout(timer);
        stop.abort();
      },
    },
    { highWaterMark: 0 },
  );
}

export class Transport {
  constructor(
    readonly limits: Limits,
    readonly userAgent: string,
  ) {}

  /** Sends, follows redirects, and tries again while that may help. @throws unavailable, invalid, or the signal's reason */
  async send(request: Request): Promise<Answer> {
    const attempts = request.attempts ?? this.limits.attempts;
    for (let attempt = 1; ; attempt++) {
      const wait = this.limits.backoffMs * 2 ** (attempt - 1);
      try {
        const answer = await this.#follow(request);
        if (!isOverloaded(answer.status) || attempt >= attempts) return answer;
        const asked = retryAfter(answer.headers) ?? wait;
        if (asked > this.limits.longestWaitMs) return answer;
        await answer.discard();
        await pause(asked, request.signal);
      } catch (error) {
        if (!(error instanceof BosunError) || attempt >= attempts || !mayPass(error.cause)) throw error;
        await pause(wait, request.signal);
      }
    }
  }

  async #follow(request: Request): Promise<Answer> {
    let current = request;
    for (let hops = 0; hops <= mostRedirects; hops++) {
      const answer = await this.#once(current);
      const location = answer.headers.get("location");
      if (![301, 302, 303, 307, 308].includes(answer.status) || location === null) return answer;
      await answer.discard();
      current = redirected(current, location);
    }
    throw invalid(failed(request, `stopped after ${mostRedirects} redirects`));
  }

  async #once(request: Request): Promise<Answer> {
    const { method, url, trust, signal } = request;
    signal?.throwIfAborted();
    const stop = new AbortController();
    const timeout = unavailable(
      failed(request, "net/http: request canceled (Client.Timeout exceeded while awaiting headers)"),
    );
    const timer = setTimeout(() => stop.abort(timeout), this.limits.headersMs);
    try {
      const response = await fetch(url, {
        method,
        headers: {
          "user-agent": this.userAgent,
          "accept-encoding": "identity",
          ...request.headers,
          ...(request.authorization !== undefined && { authorization: request.authorization }),
        },
        ...(request.body !== undefined && { body: request.body }),
        redirect: "manual",
        decompress: false,
        timeout: false,
        tls: { rejectUnauthorized: !trust.insecure },
        ...(trust.direct && { proxy: false }),
        signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
      });
      const { status, statusText, headers } = response;
      const body = bodyOf(request, response, stop, this.limits.idleMs);
      return { status, statusText, headers, request, body, discard: () => discard(body, headers) };
    } catch (error) {
      signal?.throwIfAborted();
      if (error === timeout) throw error;
      throw unavailable(failed(request, reasonOf(error, url)), { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}
