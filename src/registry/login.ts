/** Whether credentials are right, asked as docker's login does. Source: Moby, registry/auth.go; "Token Authentication Specification". */

import { forbidden, kindOf, messageOf, unauthorized, unavailable } from "../base/errors.ts";
import { basic } from "./authority.ts";
import { parseChallenges } from "./challenge.ts";
import type { Exchange } from "./exchange.ts";
import type { Credentials } from "./registry.ts";
import { type Answer, failed } from "./transport.ts";

/** @returns an identity token, where the token server gives one. @throws unauthorized, unavailable */
export async function login(
  exchange: Exchange,
  domain: string,
  credentials: Credentials,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const { endpoint } = await exchange.session(await exchange.origin(domain), signal);
  const url = new URL("v2/", endpoint.base);
  const ping = async (authorization?: string): Promise<Answer> => {
    const answer = await exchange.transport.send({ method: "GET", url, trust: endpoint, signal, authorization });
    await answer.discard();
    return answer;
  };
  const first = await ping();
  if (first.status === 200) return undefined; // nothing to prove
  const challenges = parseChallenges(first.headers.get("www-authenticate") ?? "");
  const bearer = challenges.find(({ scheme }) => scheme === "bearer");
  const errand = { reference: { domain, path: "" }, scopes: [], credentials, signal };
  const proven = bearer
    ? await exchange.authority.login(bearer, endpoint, errand).catch((error: unknown) => {
        if (kindOf(error) !== "forbidden") throw error;
        throw unauthorized(failed(first.request, messageOf(error)), { cause: error });
      })
    : { header: basic(credentials), identityToken: undefined };
  const second = await ping(proven.header);
  if (second.status === 200) return proven.identityToken;
  const words = `login attempt to ${url.href} failed with status: ${second.status} ${second.statusText}`;
  if (second.status === 401) throw unauthorized(words);
  throw second.status === 403 ? forbidden(words) : unavailable(words);
}
