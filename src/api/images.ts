/** /images. Source: Docker Engine API, tag Image. */

import { Hono } from "hono";
import { invalid, notImplemented } from "../base/errors.ts";
import { parseReference, withTagOrDigest } from "../base/reference.ts";
import type { ImageFilters } from "../image/filter.ts";
import type { HistoryLine, ImageDetails, ImageSummary, Images } from "../image/images.ts";
import { formatPlatform, parsePlatform } from "../image/platform.ts";
import type { Progress } from "../image/progress.ts";
import { type ApiVersion, apiVersion, type Ctx, type Env, flag, json, param } from "./context.ts";
import { parseFilters } from "./filters.ts";
import { jsonLines, streamError } from "./jsonl.ts";
import { progressLine, reported } from "./progress.ts";
import { registryAuth } from "./registry-auth.ts";
import { parseTime } from "./system.ts";

const LIST_FILTERS = ["before", "dangling", "label", "reference", "since", "until"];

function filtersOf(c: Ctx): ImageFilters {
  const filters = parseFilters(c.req.query("filters"), LIST_FILTERS);
  const legacy = c.env.version < apiVersion(1, 25) ? c.req.query("filter") : undefined;
  const [before] = filters.get("before");
  const [since] = filters.get("since");
  const dangling = filters.boolean("dangling");
  const until = parseTime("until", filters.get("until")[0]);
  return {
    ...(dangling !== undefined && { dangling }),
    labels: filters.get("label"),
    references: [...filters.get("reference"), ...(legacy ? [legacy] : [])],
    ...(before && { before }),
    ...(since && { since }),
    ...(until !== undefined && { until: new Date(Number(until / 1_000_000n)) }),
  };
}

function summary(image: ImageSummary, version: ApiVersion) {
  const { id, repoTags, repoDigests, created, size, labels, containers } = image;
  const dangling = repoTags.length === 0 && version < apiVersion(1, 43);
  return {
    Containers: version < apiVersion(1, 51) ? -1 : containers,
    Created: created,
    Id: id,
    Labels: Object.keys(labels).length > 0 ? labels : null,
    ParentId: "",
    RepoDigests: dangling && repoDigests.length === 0 ? ["<none>@<none>"] : repoDigests,
    RepoTags: dangling ? ["<none>:<none>"] : repoTags,
    SharedSize: -1,
    Size: size,
    ...(version < apiVersion(1, 44) && { VirtualSize: size }),
  };
}

function details(image: ImageDetails, version: ApiVersion) {
  const { id, config, layers, repoTags, repoDigests, size, driver, taggedAt } = image;
  const comment = config.history?.at(-1)?.comment ?? "";
  return {
    Id: id,
    RepoTags: repoTags,
    RepoDigests: repoDigests,
    Parent: "",
    Comment: comment,
    ...(config.created !== undefined && { Created: config.created }),
    DockerVersion: "",
    Author: config.author ?? "",
    Config: config.config ?? {},
    Architecture: config.architecture,
    ...(config.variant !== undefined && { Variant: config.variant }),
    Os: config.os,
    Size: size,
    ...(version < apiVersion(1, 44) && { VirtualSize: size }),
    GraphDriver: { Name: driver, Data: null },
    RootFS: { Type: "layers", Layers: layers },
    Metadata: { LastTagTime: taggedAt?.toISOString() ?? "0001-01-01T00:00:00Z" },
  };
}

const historyLine = ({ id, created, createdBy, comment, size, tags }: HistoryLine) => ({
  Comment: comment,
  Created: created,
  CreatedBy: createdBy,
  Id: id ?? "<missing>",
  Size: size,
  Tags: tags.length > 0 ? tags : null,
});

async function pull(c: Ctx, images: Images): Promise<Response> {
  const name = c.req.query("fromImage");
  if (c.req.query("fromSrc")) throw notImplemented("importing images is not supported yet");
  if (!name) throw invalid("fromImage is missing");
  const tag = c.req.query("tag") ?? "";
  const platform = c.req.query("platform");
  const options = {
    signal: c.env.signal,
    credentials: registryAuth(c.req.header("x-registry-auth")),
    ...(platform && { platform: parsePlatform(platform) }),
  };
  const bare = parseReference(name.replace(/:$/, ""));
  const reference = tag === "" ? bare : withTagOrDigest(bare, tag);
  const whole = reference.tag === undefined && reference.digest === undefined;
  const progress = await reported<Progress>((onProgress) =>
    whole ? images.pullAll(reference, { ...options, onProgress }) : images.pull(reference, { ...options, onProgress }),
  );
  return jsonLines(mapped(progress, progressLine), "\r\n", streamError);
}

async function* mapped<T, U>(items: AsyncIterable<T>, map: (item: T) => U): AsyncGenerator<U> {
  for await (const item of items) yield map(item);
}

async function load(c: Ctx, images: Images): Promise<Response> {
  const { body } = c.req.raw;
  if (!body) throw invalid("no archive in the request body");
  const lines = await reported<string>((report) => images.load(body, { signal: c.env.signal, onLine: report }));
  return jsonLines(
    mapped(lines, (line) => ({ stream: `${line}\n` })),
    "\n",
    streamError,
  );
}

async function remove(c: Ctx, images: Images): Promise<Response> {
  const removed = await images.remove(param(c, "name"), { force: flag(c, "force") });
  return json(removed.map((one) => ("untagged" in one ? { Untagged: one.untagged } : { Deleted: one.deleted })));
}

async function tag(c: Ctx, images: Images): Promise<Response> {
  const bare = parseReference(c.req.query("repo") ?? "");
  const text = c.req.query("tag") ?? "";
  await images.tag(param(c, "name"), text === "" ? bare : withTagOrDigest(bare, text));
  return new Response(null, { status: 201 });
}

async function inspect(c: Ctx, images: Images): Promise<Response> {
  const image = await images.inspect(param(c, "name"));
  const platform = c.req.query("platform");
  if (platform) requirePlatform(c, image, platform);
  return json(details(image, c.env.version));
}

/** The platform is asked for as JSON (API 1.49). */
function requirePlatform(c: Ctx, { config }: ImageDetails, asked: string): void {
  const wanted = parsePlatform(asked.startsWith("{") ? platformText(asked) : asked);
  const has = formatPlatform(config);
  if (wanted.os !== config.os || wanted.architecture !== config.architecture)
    throw invalid(`image ${param(c, "name")} is for ${has}, not for ${formatPlatform(wanted)}`);
}

function platformText(document: string): string {
  const value: { os?: unknown; architecture?: unknown; variant?: unknown } = JSON.parse(document);
  return [value.os, value.architecture, value.variant]
    .filter((part) => typeof part === "string" && part !== "")
    .join("/");
}

export function imagesRouter(images: Images): Hono<Env> {
  const later = (what: string) => () => {
    throw notImplemented(`${what} is not supported yet`);
  };
  return new Hono<Env>()
    .get("/images/json", async (c) => {
      const listed = await images.list(filtersOf(c));
      return json(listed.map((image) => summary(image, c.env.version)));
    })
    .post("/images/create", (c) => pull(c, images))
    .post("/images/load", (c) => load(c, images))
    .get("/images/search", later("searching"))
    .get("/images/get", later("saving images"))
    .post("/images/prune", later("pruning images"))
    .get("/images/:name{.+}/json", (c) => inspect(c, images))
    .get("/images/:name{.+}/history", async (c) => json((await images.history(param(c, "name"))).map(historyLine)))
    .get("/images/:name{.+}/get", later("saving images"))
    .post("/images/:name{.+}/push", later("pushing images"))
    .post("/images/:name{.+}/tag", (c) => tag(c, images))
    .delete("/images/:name{.+}", (c) => remove(c, images));
}
