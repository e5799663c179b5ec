/** Searching, which only the first version of the registry protocol has. Source: Docker Registry HTTP API V1, "Search". */

import { invalid } from "../base/errors.ts";
import { isObject } from "../base/objects.ts";
import { collect } from "../base/streams.ts";
import { basic, hasPassword } from "./authority.ts";
import type { Exchange } from "./exchange.ts";
import { failureOf } from "./failure.ts";
import type { Access, Found } from "./registry.ts";
import { failed, type Request } from "./transport.ts";

/** Docker's own index is another host than its registry. */
const hubIndex = "index.docker.io";

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
const countOf = (value: unknown): number => (typeof value === "number" && Number.isSafeInteger(value) ? value : 0);

function parseResults(request: Request, bytes: Uint8Array): readonly Found[] {
  let answer: unknown;
  try {
    answer = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw invalid(failed(request, "the search result is malformed"), { cause });
  }
  const results: unknown = isObject(answer) ? answer.results : undefined;
  if (!Array.isArray(results)) throw invalid(failed(request, "the search result is malformed"));
  return results.filter(isObject).map((one) => ({
    name: textOf(one.name),
    description: textOf(one.description),
    stars: countOf(one.star_count),
    isOfficial: one.is_official === true,
    isAutomated: one.is_automated === true,
  }));
}

export async function search(
  exchange: Exchange,
  domain: string | undefined,
  term: string,
  limit: number,
  { credentials = {}, signal }: Access,
): Promise<readonly Found[]> {
  const host = await exchange.origin(domain ?? hubIndex);
  const { endpoint } = await exchange.session(host, signal);
  const url = new URL("v1/search", endpoint.base);
  url.searchParams.set("q", term);
  url.searchParams.set("n", String(limit));
  const authorization = hasPassword(credentials) ? basic(credentials) : undefined;
  const answer = await exchange.transport.send({ method: "GET", url, trust: endpoint, signal, authorization });
  if (answer.status !== 200) throw await failureOf(answer, { domain: domain ?? hubIndex, path: term });
  const bytes = await collect(answer.body, exchange.transport.limits.documentBytes);
  return parseResults(answer.request, bytes).slice(0, limit);
}
