/** /commit and /containers/{id}/export: an image or a tar of a container. Source: Docker Engine API, ImageCommit, ContainerExport. */

import { Hono } from "hono";
import { invalid } from "../base/errors.ts";
import type { Healthcheck, RunConfig } from "../base/oci.ts";
import { finished } from "../base/streams.ts";
import type { Commits } from "../container/commit.ts";
import type { Containers } from "../container/containers.ts";
import { tarOfTree } from "../wasm/tree-tar.ts";
import { configOf } from "./container-view.ts";
import { type Ctx, type Env, flag, json, jsonBody, param } from "./context.ts";
import { Document } from "./document.ts";
import { newReference } from "./image-transfer.ts";

function healthcheckOf(document: Document): Healthcheck {
  const test = document.words("Test");
  return {
    ...(test && { Test: test }),
    Interval: document.number("Interval"),
    Timeout: document.number("Timeout"),
    StartPeriod: document.number("StartPeriod"),
    StartInterval: document.number("StartInterval"),
    Retries: document.number("Retries"),
  };
}

const keysOf = (document: Document): Readonly<Record<string, object>> =>
  Object.fromEntries(document.names.map((name) => [name, {}]));

/** The parts of a container's configuration that images have. */
function toRunConfig(body: Document): RunConfig {
  const words = (name: "Env" | "Cmd" | "Entrypoint" | "OnBuild" | "Shell") => {
    const given = body.words(name);
    return given && { [name]: given };
  };
  return {
    User: body.text("User"),
    ExposedPorts: keysOf(body.document("ExposedPorts")),
    ...words("Env"),
    ...words("Cmd"),
    ...words("Entrypoint"),
    ...words("OnBuild"),
    ...words("Shell"),
    Volumes: keysOf(body.document("Volumes")),
    WorkingDir: body.text("WorkingDir"),
    Labels: body.texts("Labels"),
    StopSignal: body.text("StopSignal"),
    ...(body.has("StopTimeout") && { StopTimeout: body.number("StopTimeout") }),
    ...(body.has("Healthcheck") && { Healthcheck: healthcheckOf(body.document("Healthcheck")) }),
  };
}

async function commit(c: Ctx, commits: Commits): Promise<Response> {
  const container = c.req.query("container");
  if (!container) throw invalid("container is missing");
  const body = await jsonBody(c);
  const id = await commits.commit(container, {
    reference: newReference(c),
    comment: c.req.query("comment") ?? "",
    author: c.req.query("author") ?? "",
    pause: flag(c, "pause", true),
    changes: c.req.queries("changes") ?? [],
    describe: configOf,
    config: body === undefined || body === null ? undefined : toRunConfig(new Document(body)),
  });
  return json({ Id: id }, 201);
}

async function exportTree(c: Ctx, containers: Containers): Promise<Response> {
  const container = containers.get(param(c, "id"));
  const tree = await containers.readRoot(container.id);
  const tar = finished(tarOfTree(tree.path), () => tree[Symbol.dispose]());
  containers.emit(container, "export");
  return new Response(tar, { headers: { "Content-Type": "application/x-tar" } });
}

export interface CommitApi {
  readonly commits: Commits;
  readonly containers: Containers;
}

export const commitRouter = ({ commits, containers }: CommitApi): Hono<Env> =>
  new Hono<Env>()
    .post("/commit", (c) => commit(c, commits))
    .get("/containers/:id/export", (c) => exportTree(c, containers));
