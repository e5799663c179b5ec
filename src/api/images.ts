/** /images. Source: Docker Engine API, tag Image. */

import { Hono } from "hono";
import { invalid } from "../base/errors.ts";
import { parseReference, withTagOrDigest } from "../base/reference.ts";
import type { ImageFilters } from "../image/filter.ts";
import type { Images } from "../image/images.ts";
import type { Removed } from "../image/removal.ts";
import { apiVersion, type Ctx, type Env, flag, json, param } from "./context.ts";
import { parseFilters, untilOf } from "./filters.ts";
import { create, load, save } from "./image-transfer.ts";
import { details, historyLine, summary } from "./image-view.ts";
import { optionalPlatform, platformOf } from "./platforms.ts";
import type { Pruned, Pruning } from "./pruning.ts";

const LIST_FILTERS = ["before", "dangling", "label", "reference", "since", "until"];
const PRUNE_FILTERS = ["dangling", "until", "label", "label!"];

function filtersOf(c: Ctx): ImageFilters {
  const filters = parseFilters(c.req.query("filters"), LIST_FILTERS);
  const legacy = c.env.version < apiVersion(1, 25) ? c.req.query("filter") : undefined;
  const [before] = filters.get("before");
  const [since] = filters.get("since");
  const until = untilOf(filters);
  const dangling = filters.boolean("dangling");
  return {
    ...(dangling !== undefined && { dangling }),
    labels: filters.get("label"),
    references: [...filters.get("reference"), ...(legacy ? [legacy] : [])],
    ...(before && { before }),
    ...(since && { since }),
    ...(until && { until }),
  };
}

async function list(c: Ctx, images: Images): Promise<Response> {
  const { version } = c.env;
  const manifests = flag(c, "manifests") && version >= apiVersion(1, 47);
  const sharedSize = flag(c, "shared-size");
  const listed = await images.list(filtersOf(c), { manifests });
  return json(listed.map((image) => summary(image, { version, sharedSize })));
}

const removedLine = (one: Removed) => ("untagged" in one ? { Untagged: one.untagged } : { Deleted: one.deleted });

async function remove(c: Ctx, images: Images): Promise<Response> {
  const platforms = c.env.version >= apiVersion(1, 50) ? c.req.queries("platforms")?.map(platformOf) : undefined;
  const options = { force: flag(c, "force"), ...(platforms && { platforms }) };
  return json((await images.remove(param(c, "name"), options)).map(removedLine));
}

async function prune(c: Ctx, images: Images): Promise<Pruned> {
  const filters = parseFilters(c.req.query("filters"), PRUNE_FILTERS);
  const until = untilOf(filters);
  const { removed, bytes } = await images.prune({
    dangling: filters.boolean("dangling") ?? true,
    ...(until && { until }),
    labels: filters.get("label"),
    withoutLabels: filters.get("label!"),
  });
  return {
    body: { ImagesDeleted: removed.length > 0 ? removed.map(removedLine) : null, SpaceReclaimed: bytes },
    bytes,
  };
}

async function tag(c: Ctx, images: Images): Promise<Response> {
  const bare = parseReference(c.req.query("repo") ?? "");
  const text = c.req.query("tag") ?? "";
  await images.tag(param(c, "name"), text === "" ? bare : withTagOrDigest(bare, text));
  return new Response(null, { status: 201 });
}

async function inspect(c: Ctx, images: Images): Promise<Response> {
  const { version } = c.env;
  const manifests = flag(c, "manifests") && version >= apiVersion(1, 48);
  const platform = optionalPlatform(c.req.query("platform"));
  if (manifests && platform) throw invalid("conflicting options: manifests and platform options cannot both be set");
  return json(details(await images.inspect(param(c, "name"), { platform, manifests }), version));
}

async function history(c: Ctx, images: Images): Promise<Response> {
  const lines = await images.history(param(c, "name"), optionalPlatform(c.req.query("platform")));
  return json(lines.map(historyLine));
}

export function imagesRouter(images: Images, pruning: Pruning): Hono<Env> {
  return new Hono<Env>()
    .get("/images/json", (c) => list(c, images))
    .post("/images/create", (c) => create(c, images))
    .post("/images/load", (c) => load(c, images))
    .get("/images/get", (c) => save(c, images, c.req.queries("names") ?? []))
    .post("/images/prune", (c) => pruning.run("image", () => prune(c, images)))
    .get("/images/:name{.+}/json", (c) => inspect(c, images))
    .get("/images/:name{.+}/history", (c) => history(c, images))
    .get("/images/:name{.+}/get", (c) => save(c, images, [param(c, "name")]))
    .post("/images/:name{.+}/tag", (c) => tag(c, images))
    .delete("/images/:name{.+}", (c) => remove(c, images));
}
