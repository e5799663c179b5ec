/**
 * Authorisation at registries: basic, or bearer tokens from a token server, kept until they expire.
 * Source: distribution.github.io, "Token Authentication Specification" and "OAuth2 Token Authentication".
 */

import { forbidden, invalid, unavailable } from "../base/errors.ts";
import { isObject } from "../base/objects.ts";
import type { Reference } from "../base/reference.ts";
import { collect } from "../base/streams.ts";
import type { Challenge } from "./challenge.ts";
import { failureOf } from "./failure.ts";
import { type Endpoint, strangerTrust } from "./host.ts";
import type { Credentials } from "./registry.ts";
import { failed, type Request, type Transport } from "./transport.ts";

/** For what authorisation is wanted, and from whom. */
export interface Errand {
  /** For messages. */
  readonly reference: Reference;
  /** As token servers write them: `repository:app:pull,push`. */
  readonly scopes: readonly string[];
  readonly credentials: Credentials;
  readonly signal: AbortSignal | undefined;
}

interface Token {
  readonly value: string;
  /** Stands for the password from now on. */
  readonly refresh: string | undefined;
  /** On the clock of `performance.now()`, ms. */
  readonly expires: number;
}

/** What a token server promises when it says nothing, seconds. */
const defaultLifetime = 60;
/** A token is used no longer than this before its end, so that it lives through the request, ms. */
const margin = 10_000;
/** Tokens kept at most; the oldest goes first. */
const mostTokens = 256;
const clientId = "bosun";

export const basic = ({ username = "", password = "" }: Credentials): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;

export const hasPassword = (credentials: Credentials): boolean =>
  credentials.password !== undefined && credentials.password !== "" && credentials.username !== undefined;

export class Authority {
  readonly #tokens = new Map<string, Token>();

  constructor(readonly transport: Transport) {}

  /**
   * @param challenges  what the registry asked for
   * @returns           the Authorization header; undefined when there is nothing to say
   */
  async header(challenges: readonly Challenge[], endpoint: Endpoint, errand: Errand): Promise<string | undefined> {
    const { credentials } = errand;
    if (credentials.registryToken) return `Bearer ${credentials.registryToken}`;
    const bearer = challenges.find(({ scheme }) => scheme === "bearer");
    if (bearer) return `Bearer ${(await this.#token(bearer, endpoint, errand)).value}`;
    const asksForPassword = challenges.some(({ scheme }) => scheme === "basic");
    return asksForPassword && hasPassword(credentials) ? basic(credentials) : undefined;
  }

  /** Forgets a token that the registry refused. */
  forget(header: string): void {
    for (const [key, { value }] of this.#tokens) if (header === `Bearer ${value}`) this.#tokens.delete(key);
  }

  /**
   * Has the token server say that a name and its password are right.
   * @returns  the refresh token that it gives instead of the password, where it does, and the header for the registry
   * @throws   forbidden when they are wrong
   */
  async login(
    bearer: Challenge,
    endpoint: Endpoint,
    errand: Errand,
  ): Promise<{ readonly header: string; readonly identityToken: string | undefined }> {
    const { value, refresh } = await this.#fetchToken(bearer, endpoint, errand, true);
    return { header: `Bearer ${value}`, identityToken: refresh };
  }

  async #token(bearer: Challenge, endpoint: Endpoint, errand: Errand): Promise<Token> {
    const { realm, service } = bearer.parameters;
    const key = JSON.stringify([realm, service, errand.scopes, errand.credentials]);
    const kept = this.#tokens.get(key);
    if (kept && kept.expires - margin > performance.now()) return kept;
    const token = await this.#fetchToken(bearer, endpoint, errand, false);
    this.#tokens.delete(key);
    this.#tokens.set(key, token);
    const oldest = this.#tokens.size > mostTokens ? this.#tokens.keys().next().value : undefined;
    if (oldest !== undefined) this.#tokens.delete(oldest);
    return token;
  }

  async #fetchToken({ parameters }: Challenge, endpoint: Endpoint, errand: Errand, offline: boolean): Promise<Token> {
    const { credentials, scopes, signal } = errand;
    const realm = realmOf(parameters.realm ?? "", endpoint);
    const service = parameters.service ?? "";
    const ask = credentials.identityToken
      ? exchange(realm, service, scopes, credentials.identityToken)
      : question(realm, service, scopes, credentials, offline);
    const trust = realm.hostname === endpoint.base.hostname ? endpoint : strangerTrust(realm);
    return this.#fetch({ ...ask, trust, signal }, errand.reference);
  }

  async #fetch(request: Request, reference: Reference): Promise<Token> {
    const asked = performance.now();
    const answer = await this.transport.send(request);
    if (answer.status === 401) {
      await answer.discard();
      throw forbidden("unauthorized: incorrect username or password");
    }
    if (answer.status !== 200) throw await failureOf(answer, { domain: reference.domain, path: reference.path });
    const bytes = await collect(answer.body, this.transport.limits.tokenBytes);
    return parseToken(request, new TextDecoder().decode(bytes), asked);
  }
}

/** @throws invalid for a realm that is no URL, or that would have the credentials sent in the clear where the registry is not */
function realmOf(text: string, endpoint: Endpoint): URL {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol))
    throw invalid(`invalid token auth challenge realm: ${JSON.stringify(text.slice(0, 200))}`);
  if (url.protocol === "http:" && endpoint.base.protocol === "https:" && !endpoint.insecure)
    throw invalid(`invalid token auth challenge realm: ${url.href} is not https`);
  return url;
}

function question(
  realm: URL,
  service: string,
  scopes: readonly string[],
  credentials: Credentials,
  offline: boolean,
): Omit<Request, "trust"> {
  const url = new URL(realm);
  if (service) url.searchParams.set("service", service);
  for (const scope of scopes) url.searchParams.append("scope", scope);
  if (offline) {
    url.searchParams.set("offline_token", "true");
    url.searchParams.set("client_id", clientId);
  }
  if (!hasPassword(credentials)) return { method: "GET", url };
  url.searchParams.set("account", credentials.username ?? "");
  return { method: "GET", url, authorization: basic(credentials) };
}

function exchange(
  realm: URL,
  service: string,
  scopes: readonly string[],
  refreshToken: string,
): Omit<Request, "trust"> {
  const form = {
    grant_type: "refresh_token",
    service,
    client_id: clientId,
    scope: scopes.join(" "),
    refresh_token: refreshToken,
  };
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  return { method: "POST", url: realm, headers, body: new URLSearchParams(form).toString() };
}

function parseToken(request: Request, text: string, asked: number): Token {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (cause) {
    throw unavailable(failed(request, "unable to decode token response"), { cause });
  }
  const fields = isObject(answer) ? answer : {};
  const value = [fields.token, fields.access_token].find((found) => typeof found === "string" && found !== "");
  // A token goes into a header: nothing but visible characters.
  if (typeof value !== "string" || !/^[\x21-\x7e]+$/.test(value))
    throw invalid(failed(request, "authorization server did not include a token in the response"));
  const lifetime = typeof fields.expires_in === "number" ? fields.expires_in : 0;
  const refresh =
    typeof fields.refresh_token === "string" && fields.refresh_token !== "" ? fields.refresh_token : undefined;
  return { value, refresh, expires: asked + Math.max(lifetime, defaultLifetime) * 1000 };
}
