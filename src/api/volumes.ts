/** /volumes. Source: Docker Engine API, tag Volume. */

import { Hono } from "hono";
import { invalid, kindOf } from "../base/errors.ts";
import type { VolumeFacts } from "../volume/driver.ts";
import type { Volume } from "../volume/records.ts";
import { ANONYMOUS, type Volumes } from "../volume/volumes.ts";
import { apiVersion, type Ctx, type Env, empty, flag, json, jsonBody, param } from "./context.ts";
import { Document } from "./document.ts";
import { type Filters, parseFilters } from "./filters.ts";
import type { Pruned, Pruning } from "./pruning.ts";

const orNull = (texts: Readonly<Record<string, string>>): Readonly<Record<string, string>> | null =>
  Object.keys(texts).length > 0 ? texts : null;

/** The volume as clients see it. @param size  bytes, where they were counted; undefined shows none */
function wire(volumes: Volumes, volume: Volume, facts: VolumeFacts, size?: number) {
  const { name, driver, created, labels, options } = volume;
  return {
    ...(created !== "" && { CreatedAt: created.replace(/\.\d+Z$/, "Z") }),
    Driver: driver,
    Labels: orNull(labels),
    Mountpoint: facts.path,
    Name: name,
    Options: orNull(options),
    Scope: facts.scope,
    ...(facts.status && { Status: facts.status }),
    ...(size !== undefined && { UsageData: { RefCount: volumes.usersOf(name).length, Size: size } }),
  };
}

/** In a list, a volume whose plugin does not answer is shown by what is known of it. */
const factsOf = (volumes: Volumes, volume: Volume): Promise<VolumeFacts> =>
  volumes.describe(volume).catch(() => ({ path: volumes.path(volume), scope: "local" }));

/** Others are elsewhere, as on a server, or in memory. */
const isOnDisk = ({ driver, options }: Volume): boolean =>
  driver === "local" && options.type === undefined && options.device === undefined;

/** For `system df`: every volume that is a directory of this disk, with what it takes; -1 where that is not known. */
export const volumeUsage = (volumes: Volumes) =>
  Promise.all(
    volumes
      .list()
      .filter(isOnDisk)
      .map(async (volume) => {
        const [facts, size] = await Promise.all([factsOf(volumes, volume), volumes.usage(volume)]);
        return wire(volumes, volume, facts, size ?? -1);
      }),
  );

function matches(volumes: Volumes, { name, driver, labels }: Volume, filters: Filters): boolean {
  const dangling = filters.boolean("dangling");
  return (
    (dangling === undefined || dangling === (volumes.usersOf(name).length === 0)) &&
    filters.any("driver", (value) => value === driver) &&
    filters.any("name", (value) => name.includes(value)) &&
    filters.labels(labels)
  );
}

async function list(c: Ctx, volumes: Volumes): Promise<Response> {
  const filters = parseFilters(c.req.query("filters"), ["dangling", "driver", "label", "name"]);
  const { volumes: all, warnings } = await volumes.listAll();
  const listed = all
    .filter((volume) => matches(volumes, volume, filters))
    .toSorted((one, other) => (one.name < other.name ? -1 : 1));
  const shown = await Promise.all(listed.map(async (volume) => wire(volumes, volume, await factsOf(volumes, volume))));
  return json({ Volumes: shown, Warnings: warnings.length > 0 ? warnings : null });
}

async function create(c: Ctx, volumes: Volumes): Promise<Response> {
  const body = new Document(await jsonBody(c));
  if (body.has("ClusterVolumeSpec")) throw invalid("cluster volumes need a swarm, which this engine is not part of");
  const volume = await volumes.create({
    name: body.text("Name") || undefined,
    driver: body.text("Driver"),
    options: body.texts("DriverOpts"),
    labels: body.texts("Labels"),
  });
  return json(wire(volumes, volume, await factsOf(volumes, volume)), 201);
}

async function inspect(c: Ctx, volumes: Volumes): Promise<Response> {
  const volume = await volumes.seek(param(c, "name"));
  return json(wire(volumes, volume, await volumes.describe(volume)));
}

/** `force` makes a missing volume none to complain about. It forces nothing else: one in use stays. */
async function remove(c: Ctx, volumes: Volumes): Promise<Response> {
  await volumes.remove(param(c, "name")).catch((error: unknown) => {
    if (kindOf(error) !== "notFound" || !flag(c, "force")) throw error;
  });
  return empty(204);
}

/**
 * Before 1.42 all that nobody uses, from then on what nobody named unless `all` is asked for. Never what options were given to, or a plugin
 * keeps: that is somebody's setting, which nothing could bring back. Source: Moby, volume/service, Prune.
 */
function prunable(c: Ctx, filters: Filters): (volume: Volume) => boolean {
  const all = c.env.version < apiVersion(1, 42) || (filters.boolean("all") ?? false);
  return ({ driver, options, labels, anonymous }) =>
    driver === "local" &&
    Object.keys(options).length === 0 &&
    (all || anonymous || Object.hasOwn(labels, ANONYMOUS)) &&
    filters.labels(labels) &&
    filters.withoutLabels(labels);
}

async function prune(c: Ctx, volumes: Volumes): Promise<Pruned> {
  const filters = parseFilters(c.req.query("filters"), ["label", "label!", "all"]);
  const isPrunable = prunable(c, filters);
  const removed: string[] = [];
  let bytes = 0;
  for (const volume of volumes.list()) {
    if (!isPrunable(volume) || volumes.usersOf(volume.name).length > 0) continue;
    const size = (await volumes.usage(volume)) ?? 0;
    try {
      await volumes.remove(volume.name);
    } catch (error) {
      if (kindOf(error) === "conflict" || kindOf(error) === "notFound") continue; // somebody was faster
      throw error;
    }
    removed.push(volume.name);
    bytes += size;
  }
  return { body: { VolumesDeleted: removed, SpaceReclaimed: bytes }, bytes };
}

export function volumesRouter(volumes: Volumes, pruning: Pruning): Hono<Env> {
  return new Hono<Env>()
    .get("/volumes", (c) => list(c, volumes))
    .post("/volumes/create", (c) => create(c, volumes))
    .post("/volumes/prune", (c) => pruning.run("volume", () => prune(c, volumes)))
    .get("/volumes/:name", (c) => inspect(c, volumes))
    .delete("/volumes/:name", (c) => remove(c, volumes));
}
