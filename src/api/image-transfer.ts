/** Images that come and go as streams: pull and import, load, save. Source: Docker Engine API, tag Image; wire-notes section 6. */

import { invalid, notImplemented } from "../base/errors.ts";
import { parseReference, withTagOrDigest } from "../base/reference.ts";
import type { Images } from "../image/images.ts";
import type { Progress } from "../image/progress.ts";
import { type Ctx, flag } from "./context.ts";
import { jsonLines, streamError } from "./jsonl.ts";
import { optionalPlatform } from "./platforms.ts";
import { progressLine, reported } from "./progress.ts";
import { registryAuth } from "./registry-auth.ts";

async function* mapped<T, U>(items: AsyncIterable<T>, map: (item: T) => U): AsyncGenerator<U> {
  for await (const item of items) yield map(item);
}

/** POST /images/create: a pull */
export async function create(c: Ctx, images: Images): Promise<Response> {
  if (c.req.query("fromSrc")) throw notImplemented("importing images is not supported yet");
  const name = c.req.query("fromImage");
  if (!name) throw invalid("fromImage is missing");
  const tag = c.req.query("tag") ?? "";
  const options = {
    signal: c.env.signal,
    credentials: registryAuth(c.req.header("x-registry-auth")),
    platform: optionalPlatform(c.req.query("platform")),
  };
  const bare = parseReference(name.replace(/:$/, ""));
  const reference = tag === "" ? bare : withTagOrDigest(bare, tag);
  const whole = reference.tag === undefined && reference.digest === undefined;
  const progress = await reported<Progress>((onProgress) =>
    whole ? images.pullAll(reference, { ...options, onProgress }) : images.pull(reference, { ...options, onProgress }),
  );
  return jsonLines(mapped(progress, progressLine), "\r\n", streamError);
}

type Told = { readonly line: string } | { readonly progress: Progress };

const loadLine = (told: Told): object => ("line" in told ? { stream: `${told.line}\n` } : progressLine(told.progress));

/** POST /images/load */
export async function load(c: Ctx, images: Images): Promise<Response> {
  const { body } = c.req.raw;
  if (!body) throw invalid("no archive in the request body");
  const quiet = flag(c, "quiet", true);
  const platform = optionalPlatform(c.req.query("platform"));
  const lines = await reported<Told>((report) =>
    images.load(body, {
      signal: c.env.signal,
      platform,
      onLine: (line) => report({ line }),
      ...(!quiet && { onProgress: (progress) => report({ progress }) }),
    }),
  );
  return jsonLines(mapped(lines, loadLine), "\r\n", streamError);
}

/** GET /images/get and /images/{name}/get */
export async function save(c: Ctx, images: Images, names: readonly string[]): Promise<Response> {
  const asked = names.filter((name) => name !== "");
  if (asked.length === 0) throw invalid("no image to save: want names");
  const platform = optionalPlatform(c.req.query("platform"));
  const archive = await images.save(asked, platform && [platform]);
  return new Response(archive, { headers: { "Content-Type": "application/x-tar" } });
}
