/** Images that come and go as streams: pull and import, load, save. Source: Docker Engine API, tag Image; wire-notes section 6. */

import { invalid, kindOf, messageOf } from "../base/errors.ts";
import { parseReference, type Reference, withDefaultTag, withTagOrDigest } from "../base/reference.ts";
import type { Images } from "../image/images.ts";
import { hostPlatform } from "../image/platform.ts";
import type { Progress } from "../image/progress.ts";
import { type Ctx, flag } from "./context.ts";
import { jsonLines, streamError } from "./jsonl.ts";
import { optionalPlatform } from "./platforms.ts";
import { progressLine, reported, streamed } from "./progress.ts";
import { registryAuth } from "./registry-auth.ts";

async function* mapped<T, U>(items: AsyncIterable<T>, map: (item: T) => U): AsyncGenerator<U> {
  for await (const item of items) yield map(item);
}

/** POST /images/create: a pull, or with `fromSrc` an import. */
export const create = (c: Ctx, images: Images): Promise<Response> =>
  c.req.query("fromSrc") ? importImage(c, images) : pull(c, images);

async function pull(c: Ctx, images: Images): Promise<Response> {
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

/** `repo` and `tag` as a new image gets them. @returns undefined for none. @throws invalid */
export function newReference(c: Ctx): Reference | undefined {
  const repository = c.req.query("repo") ?? "";
  if (repository === "") return undefined;
  const reference = withTagOrDigest(parseReference(repository), c.req.query("tag") ?? "");
  if (reference.digest !== undefined) throw invalid("cannot import digest reference");
  return withDefaultTag(reference);
}

/** The archive is the request's: what is wrong with it is the client's fault, and no damage of ours. */
function refuseArchive(error: unknown): never {
  throw kindOf(error) === "corrupt" ? invalid(messageOf(error), { cause: error }) : error;
}

async function importImage(c: Ctx, images: Images): Promise<Response> {
  const source = c.req.query("fromSrc") ?? "";
  const { body } = c.req.raw;
  if (source === "-" && !body) throw invalid("no archive in the request body");
  const options = {
    reference: newReference(c),
    message: c.req.query("message") ?? "",
    changes: c.req.queries("changes") ?? [],
    platform: optionalPlatform(c.req.query("platform")) ?? hostPlatform(),
    signal: c.env.signal,
  };
  const progress = await reported<Progress>(async (onProgress) => {
    const tar = source === "-" && body ? body : await images.download(source, onProgress, c.env.signal);
    onProgress({ status: await images.import(tar, options).catch(refuseArchive) });
  });
  return jsonLines(mapped(progress, progressLine), "\r\n", streamError);
}

type Told = { readonly line: string } | { readonly progress: Progress };

const loadLine = (told: Told): object => ("line" in told ? { stream: `${told.line}\n` } : progressLine(told.progress));

/** POST /images/load: the answer begins before anybody has looked into the archive, so clients look for what is wrong with it in the stream. */
export async function load(c: Ctx, images: Images): Promise<Response> {
  const { body } = c.req.raw;
  if (!body) throw invalid("no archive in the request body");
  const quiet = flag(c, "quiet", true);
  const platform = optionalPlatform(c.req.query("platform"));
  const lines = streamed<Told>((report) =>
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
