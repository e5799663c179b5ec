/** Health checks over made-up lower rooms: how a status comes about, is shown and told, and what follows from it. */

import { expect, test } from "bun:test";
import { actionsOf, House } from "../support/house.ts";
import { PATIENCE_MS } from "../support/patience.ts";

const MS = 1e6;
const checked = (test: readonly string[], more: object = {}, host: object = {}) => ({
  Healthcheck: { Test: test, Interval: 10 * MS, Retries: 2, ...more },
  HostConfig: host,
});

/** Resolves when the action has happened that many times. */
async function happened(house: House, action: string, times = 1): Promise<void> {
  for await (const event of house.events.watch({ since: 0n, signal: AbortSignal.timeout(PATIENCE_MS) }))
    if (event.action === action && --times === 0) return;
  throw new Error(`${action} did not happen`);
}

const healthOf = async (house: House, id: string) => {
  const { body } = await house.json(`GET /containers/${id}/json`);
  return (
    body.State as { Health?: { Status: string; FailingStreak: number; Log: { ExitCode: number; Output: string }[] } }
  ).Health;
};

const listed = async (house: House, health: string) =>
  (await (await house.ask(`GET /containers/json?filters={"health":["${health}"]}`)).response.json()) as {
    Status: string;
  }[];

test("a check that succeeds makes a container healthy", async () => {
  await using house = await House.open();
  const id = await house.run(["sleep"], checked(["CMD", "exit", "0"]));
  expect(await healthOf(house, id)).toEqual({ Status: "starting", FailingStreak: 0, Log: [] });
  expect(await listed(house, "starting")).toMatchObject([{ Status: expect.stringContaining("(health: starting)") }]);
  await happened(house, "health_status: healthy");
  expect(await healthOf(house, id)).toMatchObject({ Status: "healthy", FailingStreak: 0 });
  expect(await listed(house, "healthy")).toMatchObject([{ Status: expect.stringContaining(" (healthy)") }]);
  expect(await listed(house, "none")).toEqual([]);
  const actions = (await actionsOf(house)).filter((action) => action.startsWith("container exec"));
  expect(actions.slice(0, 3)).toEqual([
    ...["container exec_create: exit 0", "container exec_start: exit 0", "container exec_die"],
  ]);
});

test("a check that fails makes it unhealthy after so many times, and so does one that cannot be run", async () => {
  await using house = await House.open();
  const id = await house.run(["sleep"], checked(["CMD", "exit", "7"]));
  await happened(house, "health_status: unhealthy");
  const health = await healthOf(house, id);
  expect(health).toMatchObject({ Status: "unhealthy", FailingStreak: expect.any(Number) });
  expect(health?.Log[0]).toMatchObject({ ExitCode: 7, Start: expect.any(String), End: expect.any(String) });
  const other = await house.run(["sleep"], checked(["CMD", "nonsense"]));
  await happened(house, "health_status: unhealthy", 2);
  expect((await healthOf(house, other))?.Log[0]).toMatchObject({
    ...{ ExitCode: -1, Output: expect.stringContaining("executable file not found") },
  });
});

test("a check that takes too long is killed, and has failed", async () => {
  await using house = await House.open();
  const id = await house.run(["sleep"], checked(["CMD", "sleep"], { Timeout: 20 * MS, Retries: 1 }));
  await happened(house, "health_status: unhealthy");
  expect((await healthOf(house, id))?.Log[0]).toMatchObject({
    ExitCode: -1,
    Output: "Health check exceeded timeout (20ms)",
  });
  await happened(house, "exec_die");
});

test("there is no check without a container that runs", async () => {
  await using house = await House.open();
  const id = await house.run(["sleep"], checked(["CMD", "exit", "0"]));
  await happened(house, "health_status: healthy");
  await house.json(`POST /containers/${id}/pause`);
  expect((await healthOf(house, id))?.Status).toBe("healthy");
  await house.json(`POST /containers/${id}/unpause`);
  await happened(house, "exec_die", 3);
  await house.json(`POST /containers/${id}/kill`);
  expect((await healthOf(house, id))?.Status).toBe("unhealthy"); // nobody looks after it
  expect(house.held()).toEqual({ tasks: 0, cgroups: 0, endpoints: 0 });
});

test("NONE and no check at all are no health", async () => {
  await using house = await House.open();
  expect(await healthOf(house, await house.run(["sleep"], checked(["NONE"])))).toBeUndefined();
  expect(await healthOf(house, await house.run(["sleep"]))).toBeUndefined();
  expect(await listed(house, "none")).toHaveLength(2);
});

test.each<[what: string, host: object, labels: Record<string, string>]>([
  ["on-unhealthy", { RestartPolicy: { Name: "on-unhealthy", MaximumRetryCount: 2 } }, {}],
  ["the label", {}, { "bosun.restart-on-unhealthy": "2" }],
])("by %s one that is unhealthy starts again, so many times", async (_, host, labels) => {
  await using house = await House.open();
  const id = await house.run(["polite"], { ...checked(["CMD", "exit", "1"], { Retries: 1 }, host), Labels: labels });
  await happened(house, "start", 3);
  await happened(house, "health_status: unhealthy", 3);
  expect(house.containers.get(id)).toMatchObject({ restartCount: 2, state: { phase: "running" } });
});

test("a check that is none is refused", async () => {
  await using house = await House.open();
  const { status, body } = await house.json("POST /containers/create", {
    Image: "busybox",
    ...checked([], { Interval: 5 }),
  });
  expect([status, body.message]).toEqual([400, "Interval in Healthcheck cannot be less than 1ms"]);
});
