/** Swarm mode, plugins of registries, builds: there are none, and clients are told so, in Docker's words where it has them. */

import { expect, test } from "bun:test";
import { House } from "../support/house.ts";

const NO_MANAGER =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

test.each<[request: string, status: number, message: string]>([
  ["GET /swarm", 503, NO_MANAGER],
  ["GET /v1.41/services?status=true", 503, NO_MANAGER],
  ["GET /nodes/self", 503, NO_MANAGER],
  ["GET /tasks", 503, NO_MANAGER],
  ["DELETE /secrets/x", 503, NO_MANAGER],
  ["POST /configs/create", 503, NO_MANAGER],
  ["POST /swarm/leave", 503, "This node is not part of a swarm"],
  ["POST /swarm/init", 501, "this engine has no Swarm mode"],
  ["POST /build?t=x", 501, "building images is not supported yet"],
  ["POST /v1.50/session", 501, "building images is not supported yet"],
  ["GET /plugins/me/mine:latest/json", 404, 'plugin "me/mine:latest" not found'],
  ["POST /plugins/x/enable", 404, 'plugin "x" not found'],
  ["DELETE /plugins/x", 404, 'plugin "x" not found'],
  [
    "POST /plugins/pull?remote=x",
    501,
    "this engine has no plugins from registries: volume plugins are found by their sockets in /run/docker/plugins",
  ],
])("%s is answered with %i", async (request, status, message) => {
  await using house = await House.open();
  const answer = await house.json(request);
  expect([answer.status, answer.body]).toEqual([status, { message }]);
});

test("GET /plugins has none", async () => {
  await using house = await House.open();
  const { response } = await house.ask("GET /plugins");
  expect(await response.json()).toEqual([]);
});
