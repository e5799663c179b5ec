/** /containers. Source: Docker Engine API, tag Container. */

import { Hono } from "hono";
import { invalid, notImplemented } from "../base/errors.ts";
import type { Containers, WaitCondition } from "../container/containers.ts";
import { MOUNT_POINTS } from "../container/isolation.ts";
import { pruneContainers } from "../container/prune.ts";
import type { Container } from "../container/records.ts";
import { parsePlatform } from "../image/platform.ts";
import type { Snapshotter } from "../store/snapshot.ts";
import { attach, attachWebSocket } from "./attach.ts";
import { LIST_FILTERS, list } from "./container-list.ts";
import { inspect } from "./container-view.ts";
import { apiVersion, type Ctx, type Env, empty, flag, integer, json, jsonBody, jsonText, param } from "./context.ts";
import { type HostDefaults, restartOf, toContainerRequest, toHostConfig } from "./create-request.ts";
import { Document } from "./document.ts";
import { parseFilters, untilOf } from "./filters.ts";
import { containerGraph } from "./graph.ts";
import { type LogReader, logs } from "./logs.ts";
import { checkNetworkMode, toAttachments } from "./networking-request.ts";
import { toBindings } from "./ports.ts";
import type { Pruned, Pruning } from "./pruning.ts";
import { toResourceChange } from "./resources.ts";
import { stats } from "./stats.ts";
import type { ViewContext } from "./view-context.ts";

export interface ContainersApi {
  readonly containers: Containers;
  readonly snapshotter: Snapshotter;
  readonly view: ViewContext;
  readonly logReader: LogReader;
  readonly defaults: HostDefaults;
  readonly pruning: Pruning;
}

async function create(c: Ctx, { containers, defaults }: ContainersApi): Promise<Response> {
  const body = new Document(await jsonBody(c));
  const platform = c.req.query("platform");
  const host = toHostConfig(body.document("HostConfig"), defaults);
  const request = toContainerRequest(body);
  if (host.namespaces.uts === "host" && request.hostname)
    throw invalid("conflicting options: hostname and the UTS mode");
  checkNetworkMode(body, host.namespaces.network);
  const networks = toAttachments(
    body.flag("NetworkDisabled") ? "none" : host.networkMode,
    host.namespaces.network,
    body.document("NetworkingConfig").document("EndpointsConfig"),
    body.text("MacAddress"),
    host.links,
    defaults.network,
  );
  const { id, warnings } = await containers.create(
    c.req.query("name") || undefined,
    request,
    host,
    networks,
    platform ? parsePlatform(platform) : undefined,
  );
  return json({ Id: id, Warnings: warnings }, 201);
}

const isCondition = (text: string): text is WaitCondition => ["not-running", "next-exit", "removed"].includes(text);

/** The headers go out at once: `docker run` starts the container only when it has seen them. */
function wait(c: Ctx, { containers }: ContainersApi): Response {
  const condition = c.req.query("condition") || "not-running";
  if (!isCondition(condition)) throw invalid(`invalid condition: ${JSON.stringify(condition)}`);
  const result = containers.wait(param(c, "id"), condition).then(({ code, error }) => {
    const body = { StatusCode: code, ...(error !== "" && { Error: { Message: error } }) };
    return new TextEncoder().encode(`${JSON.stringify(body)}\n`);
  });
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(out) {
        out.enqueue(await result);
        out.close();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { "Content-Type": "application/json" } });
}

async function changes(c: Ctx, { containers, snapshotter }: ContainersApi): Promise<Response> {
  const kinds = { modified: 0, added: 1, deleted: 2 } as const;
  const all: { Path: string; Kind: number }[] = [];
  const { id } = containers.get(param(c, "id"));
  for await (const { path, kind } of snapshotter.changes(id, { except: MOUNT_POINTS }))
    all.push({ Path: path, Kind: kinds[kind] });
  return json(all);
}

async function update(c: Ctx, { containers }: ContainersApi): Promise<Response> {
  const body = new Document(await jsonBody(c));
  const policy = body.document("RestartPolicy");
  const warnings = await containers.update(param(c, "id"), {
    resources: toResourceChange(body),
    restart: policy.text("Name") === "" ? undefined : restartOf(policy),
    publish: { add: toBindings(body.document("PublishAdd")), remove: toBindings(body.document("PublishRemove")) },
  });
  return json({ Warnings: warnings });
}

/** `t` and `signal`, as stop and restart take them. */
const stopOptions = (c: Ctx) => {
  const timeoutS = integer(c, "t");
  const signal = c.env.version >= apiVersion(1, 42) ? c.req.query("signal") : undefined;
  return { ...(timeoutS !== undefined && { timeoutS }), ...(signal && { signal }) };
};

async function refuseBody(c: Ctx): Promise<void> {
  const length = Number(c.req.header("content-length") ?? 0);
  if (length > 7)
    throw invalid("starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24");
}

export function dimensions(c: Ctx): [rows: number, columns: number] {
  const [rows, columns] = [integer(c, "h"), integer(c, "w")];
  if (rows === undefined || columns === undefined || rows < 0 || columns < 0 || rows > 65535 || columns > 65535)
    throw invalid("invalid terminal size: want h and w");
  return [rows, columns];
}

async function remove(c: Ctx, { containers }: ContainersApi): Promise<Response> {
  if (flag(c, "link")) {
    await containers.removeLink(param(c, "id"));
    return empty(204);
  }
  await containers.remove(param(c, "id"), flag(c, "force"), flag(c, "v"));
  return empty(204);
}

async function inspectOne(c: Ctx, { containers, snapshotter, view }: ContainersApi): Promise<Response> {
  const container = containers.get(param(c, "id"));
  const graph = await containerGraph(snapshotter, container);
  if (!flag(c, "size")) return json(inspect(container, view, graph, undefined));
  const [{ bytes: rw }, image] = await Promise.all([view.usage(container.id), view.imageSize(container.imageId)]);
  return json(inspect(container, view, graph, { rw, rootFs: rw + image }));
}

async function prune(c: Ctx, { containers, snapshotter }: ContainersApi): Promise<Pruned> {
  const filters = parseFilters(c.req.query("filters"), ["until", "label", "label!"]);
  const until = untilOf(filters);
  const { removed, bytes } = await pruneContainers(
    containers,
    snapshotter,
    ({ created, config }) =>
      filters.labels(config.labels) &&
      filters.withoutLabels(config.labels) &&
      (until === undefined || Date.parse(created) < until.getTime()),
  );
  return { body: { ContainersDeleted: removed.length > 0 ? removed : null, SpaceReclaimed: bytes }, bytes };
}

export function containersRouter(api: ContainersApi): Hono<Env> {
  const { containers, view, logReader, pruning } = api;
  const find = (c: Ctx): Container => containers.get(param(c, "id"));
  return new Hono<Env>()
    .get("/containers/json", async (c) => {
      const filters = parseFilters(c.req.query("filters"), LIST_FILTERS);
      const options = { all: flag(c, "all"), limit: integer(c, "limit") ?? -1, size: flag(c, "size"), filters };
      return jsonText(await list(containers.records.all(), options, view));
    })
    .post("/containers/create", (c) => create(c, api))
    .post("/containers/prune", (c) => pruning.run("container", () => prune(c, api)))
    .get("/containers/:id/json", (c) => inspectOne(c, api))
    .post("/containers/:id/start", async (c) => {
      await refuseBody(c);
      if (c.req.query("checkpoint")) throw notImplemented("checkpoints are not supported");
      await containers.start(find(c).id);
      return empty(204);
    })
    .post("/containers/:id/stop", async (c) => {
      await containers.stop(param(c, "id"), stopOptions(c));
      return empty(204);
    })
    .post("/containers/:id/restart", async (c) => {
      await containers.restart(param(c, "id"), stopOptions(c));
      return empty(204);
    })
    .post("/containers/:id/kill", async (c) => {
      await containers.kill(param(c, "id"), c.req.query("signal") ?? "");
      return empty(204);
    })
    .post("/containers/:id/update", (c) => update(c, api))
    .post("/containers/:id/pause", async (c) => {
      await containers.pause(param(c, "id"));
      return empty(204);
    })
    .post("/containers/:id/unpause", async (c) => {
      await containers.unpause(param(c, "id"));
      return empty(204);
    })
    .post("/containers/:id/rename", async (c) => {
      await containers.rename(param(c, "id"), c.req.query("name") ?? "");
      return empty(204);
    })
    .post("/containers/:id/resize", async (c) => {
      await containers.resize(param(c, "id"), ...dimensions(c));
      return empty(200);
    })
    .post("/containers/:id/wait", (c) => wait(c, api))
    .post("/containers/:id/attach", (c) => attach(c, api))
    .get("/containers/:id/attach/ws", (c) => attachWebSocket(c, api))
    .get("/containers/:id/logs", (c) => logs(c, find(c), logReader))
    .get("/containers/:id/stats", (c) => stats(c, containers))
    .get("/containers/:id/top", async (c) => {
      const { titles, rows } = await containers.top(param(c, "id"), c.req.query("ps_args") ?? "");
      return json({ Titles: titles, Processes: rows });
    })
    .get("/containers/:id/changes", (c) => changes(c, api))
    .delete("/containers/:id{.+}", (c) => remove(c, api));
}
