/** Questions to the hosts of a name: the first endpoint that answers, authorised as it asks, and the next host where one may stand in. */

import { BosunError, forbidden, kindOf, unavailable } from "../base/errors.ts";
import { formatReference, type Reference } from "../base/reference.ts";
import type { Authority } from "./authority.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import type { Endpoint, Host, Hosts } from "./host.ts";
import type { Access } from "./registry.ts";
import { type Answer, failed, type Request, redirected, type Transport } from "./transport.ts";

/** A host that answered: how to reach it, and what it asks for. */
export interface Session {
  readonly endpoint: Endpoint;
  readonly challenges: readonly Challenge[];
}

export interface Ask extends Pick<Request, "method" | "headers" | "body" | "attempts" | "headersMs"> {
  /** Below `v2/` of the host, as `app/tags/list`; or what the host gave as a Location, which may lead elsewhere. */
  readonly target: { readonly path: string } | { readonly location: string };
  /** What shall be allowed, as token servers write it; the reference's `pull` unless given. */
  readonly scopes?: readonly string[] | undefined;
}

export const scopeOf = (reference: Pick<Reference, "path">, actions: "pull" | "pull,push"): string =>
  `repository:${reference.path}:${actions}`;

export class Exchange {
  readonly #sessions = new Map<string, Session>();

  constructor(
    readonly hosts: Hosts,
    readonly transport: Transport,
    readonly authority: Authority,
  ) {}

  /** Asks the hosts of a name in order: a mirror that fails or lacks something is passed over, the origin's error counts. */
  async anyHost<T>(
    reference: Reference,
    { signal }: Access,
    call: (host: Host, others: readonly Host[]) => Promise<T>,
  ): Promise<T> {
    return this.anyOf(await this.hosts.of(reference.domain), reference, signal, call);
  }

  /** The same for hosts that are known. @param call  told also which hosts are left */
  async anyOf<T>(
    hosts: readonly Host[],
    reference: Reference,
    signal: AbortSignal | undefined,
    call: (host: Host, others: readonly Host[]) => Promise<T>,
  ): Promise<T> {
    for (const [index, host] of hosts.entries())
      try {
        return await call(host, hosts.slice(index + 1));
      } catch (error) {
        signal?.throwIfAborted();
        if (!host.mirror) throw error;
      }
    throw unavailable(`no registry serves ${formatReference(reference)}`);
  }

  /** The host that a name belongs to, and no mirror of it: where things are pushed to. */
  origin(domain: string): Promise<Host> {
    return this.hosts.origin(domain);
  }

  /** Sends with authorisation; a 401 is answered once with what the registry asks for now. */
  async ask(host: Host, ask: Ask, reference: Reference, access: Access): Promise<Answer> {
    const { endpoint, challenges } = await this.session(host, access.signal);
    const credentials = host.mirror ? {} : (access.credentials ?? {});
    const request = requestOf(host, endpoint, ask, access);
    // An upload may lead to a storage of somebody else's: its Location says all that is needed there.
    if (request.url.origin !== endpoint.base.origin) return this.#send(host, request);
    const scopes = ask.scopes ?? [scopeOf(reference, "pull")];
    const authorize = (asked: readonly Challenge[]) =>
      this.authority.header(asked, endpoint, { reference, scopes, credentials, signal: access.signal });
    const first = await authorize(challenges);
    const answer = await this.#send(host, { ...request, authorization: first });
    if (answer.status !== 401) return answer;
    const asked = parseChallenges(answer.headers.get("www-authenticate") ?? "");
    if (first !== undefined) this.authority.forget(first);
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
      return await this.transport.send(request);
    } catch (error) {
      // It may have moved from HTTP to HTTPS meanwhile: find out anew the next time.
      if (kindOf(error) === "unavailable") this.#sessions.delete(host.name);
      throw error;
    }
  }

  /** Finds the first endpoint of a host that answers. @throws what the last one failed with */
  async session(host: Host, signal: AbortSignal | undefined): Promise<Session> {
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
    const answer = await this.transport.send({ method: "GET", url, trust: endpoint, signal, ...probe });
    await answer.discard();
    if (answer.status >= 500)
      throw unavailable(
        failed(answer.request, `received unexpected HTTP status: ${answer.status} ${answer.statusText}`),
      );
    const challenges = answer.status === 401 ? parseChallenges(answer.headers.get("www-authenticate") ?? "") : [];
    return { endpoint, challenges };
  }
}

/** @throws invalid for a Location that is no URL, or that leads from https to http */
function requestOf(host: Host, endpoint: Endpoint, ask: Ask, { signal }: Access): Request {
  const { target, method, headers = {}, body, attempts, headersMs } = ask;
  const url = new URL("path" in target ? `v2/${target.path}` : "v2/", endpoint.base);
  if (host.namespace !== undefined) url.searchParams.set("ns", host.namespace);
  const request: Request = { method, url, headers, trust: endpoint, signal, attempts, headersMs };
  const aimed = "path" in target ? request : redirected(request, target.location);
  return { ...aimed, ...(body !== undefined && { body }) };
}
