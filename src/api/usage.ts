/**
 * /system/df, and the prunes of what this engine does not have yet. Source: Docker Engine API, SystemDataUsage.
 *
 * What is counted is what the disk has: layers and their kept blobs once, whoever needs them.
 */

import { Hono } from "hono";
import { invalid } from "../base/errors.ts";
import type { Records } from "../container/records.ts";
import type { Images } from "../image/images.ts";
import type { Volumes } from "../volume/volumes.ts";
import { list } from "./container-list.ts";
import { apiVersion, type Ctx, type Env, json } from "./context.ts";
import { Filters, parseFilters } from "./filters.ts";
import { summary } from "./image-view.ts";
import type { ViewContext } from "./view-context.ts";
import { volumeUsage } from "./volumes.ts";

export interface UsageApi {
  readonly images: Images;
  readonly records: Records;
  readonly volumes: Volumes;
  readonly view: ViewContext;
}

const TYPES = ["container", "image", "volume", "build-cache"] as const;
type ObjectType = (typeof TYPES)[number];
const isType = (text: string): text is ObjectType => TYPES.some((type) => type === text);

/** @throws invalid */
function typesOf(c: Ctx): ReadonlySet<ObjectType> {
  const asked = c.env.version < apiVersion(1, 42) ? [] : (c.req.queries("type") ?? []);
  for (const type of asked) if (!isType(type)) throw invalid(`unknown object type: ${type}`);
  return new Set(asked.length > 0 ? asked.filter(isType) : TYPES);
}

async function imageUsage(images: Images, c: Ctx) {
  const [layersSize, listed] = await Promise.all([images.diskBytes(), images.list()]);
  const options = { version: c.env.version, sharedSize: true, containers: true };
  return { layersSize, listed: listed.map((image) => summary(image, options)) };
}

async function containerUsage({ records, view }: UsageApi): Promise<unknown> {
  const everything = { all: true, limit: -1, size: true, filters: new Filters(new Map()) };
  return JSON.parse(await list(records.all(), everything, view));
}

async function usage(c: Ctx, api: UsageApi): Promise<Response> {
  const types = typesOf(c);
  const images = types.has("image") ? await imageUsage(api.images, c) : undefined;
  return json({
    LayersSize: images?.layersSize ?? 0,
    Images: images?.listed ?? null,
    Containers: types.has("container") ? await containerUsage(api) : null,
    Volumes: types.has("volume") ? await volumeUsage(api.volumes) : null,
    BuildCache: types.has("build-cache") ? [] : null,
    ...(c.env.version < apiVersion(1, 42) && { BuilderSize: 0 }),
  });
}

/** Nothing of the kind exists, so nothing is pruned, whatever the filters say; unknown ones are refused. */
const nothingToPrune =
  (name: string, filters: readonly string[]) =>
  (c: Ctx): Response => {
    parseFilters(c.req.query("filters"), filters);
    return json({ [name]: null, SpaceReclaimed: 0 });
  };

const CACHE_FILTERS = ["until", "id", "parent", "type", "description", "inuse", "shared", "private"];

export const usageRouter = (api: UsageApi): Hono<Env> =>
  new Hono<Env>()
    .get("/system/df", (c) => usage(c, api))
    .post("/build/prune", nothingToPrune("CachesDeleted", CACHE_FILTERS));
