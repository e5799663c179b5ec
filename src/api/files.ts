/** /containers/{id}/archive. Source: Docker Engine API, ContainerArchive; wire-notes section 7. */

import { Hono } from "hono";
import { bytesOf } from "../base/streams.ts";
import type { Files } from "../container/files.ts";
import type { PathStat } from "../container/path-stat.ts";
import { type Ctx, type Env, empty, flag, param } from "./context.ts";

const headersOf = (stat: PathStat): Record<string, string> => ({
  "Content-Type": "application/x-tar",
  "X-Docker-Container-Path-Stat": Buffer.from(JSON.stringify(stat)).toString("base64"),
});

const pathOf = (c: Ctx): string => c.req.query("path") ?? "";

async function get(c: Ctx, files: Files): Promise<Response> {
  const id = param(c, "id");
  if (c.req.method === "HEAD") return new Response(null, { headers: headersOf(await files.stat(id, pathOf(c))) });
  const { stat, tar } = await files.read(id, pathOf(c));
  return new Response(tar, { headers: headersOf(stat) });
}

async function put(c: Ctx, files: Files): Promise<Response> {
  const options = { keepKinds: flag(c, "noOverwriteDirNonDir"), chown: flag(c, "copyUIDGID") };
  await files.write(param(c, "id"), pathOf(c), c.req.raw.body ?? bytesOf(), options);
  return empty(200);
}

export const filesRouter = (files: Files): Hono<Env> =>
  new Hono<Env>()
    .get("/containers/:id/archive", (c) => get(c, files))
    .put("/containers/:id/archive", (c) => put(c, files));
