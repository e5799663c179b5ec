/** `docker import` from a URL: its body, as it comes. Through the proxies that registries are reached by. */

import { invalid, messageOf, unavailable } from "../base/errors.ts";
import type { Bytes } from "../base/streams.ts";
import type { Proxies } from "../registry/proxies.ts";
import { counter, type OnProgress } from "./progress.ts";

/** Downloads of unknown length report when so many bytes have come. */
const UNKNOWN_TOTAL = Number.MAX_SAFE_INTEGER;
const mostRedirects = 10;

function parseSource(source: string): URL {
  const url = URL.parse(/^[a-z]+:\/\//i.test(source) ? source : `http://${source}`);
  if (url?.protocol !== "http:" && url?.protocol !== "https:")
    throw invalid(`cannot import from ${JSON.stringify(source.slice(0, 200))}: want - or an http(s) URL`);
  return url;
}

/** Where an answer leads on to. @throws invalid when that is no http(s) URL */
function redirectOf(response: Response, url: URL): URL | undefined {
  const location = response.headers.get("location");
  if (response.status < 300 || response.status >= 400 || location === null) return undefined;
  return parseSource(URL.parse(location, url.href)?.href ?? location);
}

/** Follows redirects itself: each host may have another proxy. @throws unavailable, invalid */
async function answerOf(source: URL, proxies: Proxies, signal: AbortSignal | undefined) {
  let url = source;
  for (let hops = 0; hops <= mostRedirects; hops++) {
    const proxy = proxies.of(url) ?? false;
    const response = await fetch(url, { redirect: "manual", proxy, ...(signal && { signal }) }).catch((error) => {
      throw unavailable(`Cannot download ${url.href}: ${messageOf(error)}`, { cause: error });
    });
    const next = redirectOf(response, url);
    if (!next) return { url, response };
    await response.body?.cancel();
    url = next;
  }
  throw unavailable(`Cannot download ${source.href}: more than ${mostRedirects} redirects`);
}

/** @param source  as `example.com/a.tar`. @returns the body, counted while it comes. @throws invalid, unavailable */
export async function openUrl(
  source: string,
  proxies: Proxies,
  onProgress: OnProgress,
  signal: AbortSignal | undefined,
): Promise<Bytes> {
  const { url, response } = await answerOf(parseSource(source), proxies, signal);
  if (!response.ok || !response.body) throw unavailable(`Cannot download ${url.href}: status ${response.status}`);
  const total = Number(response.headers.get("content-length") ?? 0);
  onProgress({ status: `Downloading from ${url.href}` });
  const count = counter(
    (current) => onProgress({ status: "Importing", detail: { current, ...(total > 0 && { total }) } }),
    total > 0 ? total : UNKNOWN_TOTAL,
  );
  let seen = 0;
  return response.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, out) {
        seen += chunk.byteLength;
        count(seen);
        out.enqueue(chunk);
      },
    }),
  );
}
