/**
 * What this engine lacks: Swarm mode and plugins from registries, which clients look for before they show anything, and tell by these answers that
 * the engine is alone; and, so far, builds. Source: Docker Engine API, tags Swarm, Plugin, Image ("Build an image") and Session.
 */

import { Hono } from "hono";
import { notFound, notImplemented, unavailable } from "../base/errors.ts";
import { type Env, json, param } from "./context.ts";

const KINDS = ["swarm", "nodes", "services", "tasks", "secrets", "configs"];

const NO_MANAGER =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

function refuseSwarm(): never {
  throw notImplemented("this engine has no Swarm mode");
}

function refusePlugin(): never {
  throw notImplemented(
    "this engine has no plugins from registries: volume plugins are found by their sockets in /run/docker/plugins",
  );
}

function refuseBuild(): never {
  throw notImplemented("building images is not supported yet");
}

function noManager(): never {
  throw unavailable(NO_MANAGER);
}

export function absentRouter(): Hono<Env> {
  const router = new Hono<Env>()
    .post("/swarm/init", refuseSwarm)
    .post("/swarm/join", refuseSwarm)
    .post("/swarm/leave", () => {
      throw unavailable("This node is not part of a swarm");
    })
    .post("/build", refuseBuild)
    .post("/build/cancel", refuseBuild)
    .post("/session", refuseBuild)
    .post("/grpc", refuseBuild)
    .get("/plugins", () => json([]))
    .get("/plugins/privileges", refusePlugin)
    .post("/plugins/pull", refusePlugin)
    .post("/plugins/create", refusePlugin)
    .all("/plugins/:name{.+}", (c) => {
      const name = param(c, "name").replace(/\/(json|enable|disable|push|set|upgrade)$/, "");
      throw notFound(`plugin ${JSON.stringify(name)} not found`);
    });
  for (const kind of KINDS) router.all(`/${kind}/*`, noManager);
  return router;
}
