/**
 * HTTP as the registry client needs it: bounded in time, size and attempts; credentials never follow a redirect to another host; what
 * goes wrong is said as Docker says it (Go's net/http), since that is what people search for.
 */

import { BosunError, hasCode, invalid, messageOf, unavailable } from "../base/errors.ts";
import type { Bytes } from "../base/streams.ts";
import { answerBody, discard, type Upload, uploadBody } from "./body.ts";
import { strangerTrust, type Trust } from "./host.ts";
import type { Proxies } from "./proxies.ts";

/** Bounds of every exchange with a registry. */
export interface Limits {
  /** How often a request is sent in all, when the connection breaks or the server is overloaded. */
  readonly attempts: number;
  /** Wait before the second attempt; it doubles each time. */
  readonly backoffMs: number;
  /** The longest Retry-After that is waited for; a longer one is an error at once. */
  readonly longestWaitMs: number;
  /** From the request, or the last piece of its body, to its response headers; connecting included. */
  readonly headersMs: number;
  /** The same where the registry works first: it moves a blob that was uploaded to where blobs are. */
  readonly commitMs: number;
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
  commitMs: 300_000,
  idleMs: 60_000,
  documentBytes: 4 << 20,
  tokenBytes: 1 << 20,
};

const mostRedirects = 5;

export type Method = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

export interface Request {
  readonly method: Method;
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** A text may hold credentials: it never follows a redirect to another host. */
  readonly body?: string | Uint8Array<ArrayBuffer> | Upload;
  readonly authorization?: string | undefined;
  readonly trust: Trust;
  readonly signal?: AbortSignal | undefined;
  /** Overrides `Limits.attempts`. */
  readonly attempts?: number | undefined;
  /** Overrides `Limits.headersMs`. */
  readonly headersMs?: number | undefined;
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

/** As Go prints a failed request: `Get "https://…": reason`. */
export const failed = ({ method, url }: Pick<Request, "method" | "url">, reason: string): string =>
  `${method.charAt(0)}${method.slice(1).toLowerCase()} "${url.href}": ${reason}`;

const portOf = (url: URL): string => url.port || (url.protocol === "https:" ? "443" : "80");

/** Why a certificate does not do. Source of the codes: OpenSSL, verify(1), and Node's tls.checkServerIdentity. */
const DISTRUST: readonly { readonly codes: readonly string[]; readonly why: (url: URL) => string }[] = [
  {
    codes: [
      ...["DEPTH_ZERO_SELF_SIGNED_CERT", "SELF_SIGNED_CERT_IN_CHAIN", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
      ...["UNABLE_TO_GET_ISSUER_CERT", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"],
    ],
    why: () => "certificate signed by unknown authority",
  },
  { codes: ["ERR_TLS_CERT_ALTNAME_INVALID"], why: ({ hostname }) => `certificate is not valid for ${hostname}` },
  {
    codes: ["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"],
    why: () => "certificate has expired or is not yet valid",
  },
];

function reasonOf(error: unknown, url: URL): string {
  if (hasCode(error, "ECONNREFUSED", "ConnectionRefused"))
    return `dial tcp ${url.hostname}:${portOf(url)}: connect: connection refused`;
  if (hasCode(error, "ENOTFOUND", "EAI_AGAIN")) return `dial tcp: lookup ${url.hostname}: no such host`;
  if (hasCode(error, "ECONNRESET", "EPIPE", "ConnectionClosed")) return "EOF";
  // Bun tells no more of what the other side said.
  if (hasCode(error, "EPROTO"))
    return "tls: first record does not look like a TLS handshake, or the registry wants another client certificate";
  const distrust = DISTRUST.find(({ codes }) => hasCode(error, ...codes));
  if (distrust) return `tls: failed to verify certificate: x509: ${distrust.why(url)}`;
  return messageOf(error);
}

const mayPass = (error: unknown): boolean => hasCode(error, "ECONNRESET", "EPIPE", "ETIMEDOUT", "ConnectionClosed");
export const isOverloaded = (status: number): boolean => status === 429 || (status >= 500 && status !== 501);

/** @returns what Retry-After asks for, in ms; undefined when it does not. Source: RFC 9110 section 10.2.3. */
export function retryAfter(headers: Headers): number | undefined {
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
export function redirected(request: Request, location: string): Request {
  const url = URL.parse(location, request.url.href);
  if (!url || !/^https?:$/.test(url.protocol) || url.username)
    throw invalid(failed(request, `bad redirect to ${JSON.stringify(location.slice(0, 200))}`));
  if (url.protocol === "http:" && request.url.protocol === "https:" && !request.trust.insecure)
    throw invalid(failed(request, `refused a redirect from https to ${url.origin}`));
  if (url.origin === request.url.origin) return { ...request, url };
  if (typeof request.body === "string")
    throw invalid(failed(request, `refused to send credentials on to ${url.origin}`));
  // Another host is not the one that the user declared insecure or local.
  const trust = url.hostname === request.url.hostname ? request.trust : strangerTrust(url);
  return { ...request, url, trust, authorization: undefined };
}

const isUpload = (body: Request["body"]): body is Upload => typeof body === "object" && "open" in body;

const tlsOf = ({ insecure, certificates: { ca, ...own } = {} }: Trust) => ({
  rejectUnauthorized: !insecure,
  ...own,
  ...(ca && { ca: [...ca] }),
});

/** The body, as fetch's options have it. */
function sent(body: Request["body"], onPiece: () => void): RequestInit {
  if (body === undefined) return {};
  return isUpload(body) ? { body: uploadBody(body, onPiece), duplex: "half" } : { body };
}

export class Transport {
  constructor(
    readonly limits: Limits,
    readonly userAgent: string,
    readonly proxies: Proxies,
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
    const timer = setTimeout(() => stop.abort(timeout), request.headersMs ?? this.limits.headersMs);
    try {
      const response = await fetch(url, {
        method,
        headers: {
          "user-agent": this.userAgent,
          "accept-encoding": "identity",
          ...request.headers,
          ...(request.authorization !== undefined && { authorization: request.authorization }),
          ...(isUpload(request.body) && { "content-length": String(request.body.size) }),
        },
        ...sent(request.body, () => timer.refresh()),
        redirect: "manual",
        decompress: false,
        timeout: false,
        tls: tlsOf(trust),
        proxy: (trust.direct ? undefined : this.proxies.of(url)) ?? false,
        signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
      });
      const { status, statusText, headers } = response;
      const body = answerBody(request, response, stop, this.limits.idleMs, (reason) => failed(request, reason));
      return { status, statusText, headers, request, body, discard: () => discard(body, headers) };
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof BosunError) throw error; // the timeout, or what the upload says of itself
      throw unavailable(failed(request, reasonOf(error, url)), { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}
