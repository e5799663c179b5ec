/** Restart policies over made-up lower rooms: who starts again, what ends it, and how it is shown meanwhile. */

import { describe, expect, test } from "bun:test";
import { internal } from "../../src/base/errors.ts";
import { House } from "../support/house.ts";
import { PATIENCE_MS } from "../support/patience.ts";

const policy = (name: string, count = 0) => ({
  HostConfig: { RestartPolicy: { Name: name, MaximumRetryCount: count } },
});

/** Resolves when the action has happened that many times. */
async function happened(house: House, action: string, times: number): Promise<void> {
  for await (const event of house.events.watch({ since: 0n, signal: AbortSignal.timeout(PATIENCE_MS) }))
    if (event.action === action && --times === 0) return;
  throw new Error(`${action} did not happen`);
}

const stateOf = async (house: House, id: string) => {
  const { body } = await house.json(`GET /containers/${id}/json`);
  return { ...(body.State as { Status: string; Running: boolean; Restarting: boolean }), count: body.RestartCount };
};

/** Nobody starts again before the test is over. */
const PATIENT = { firstRestartMs: 600_000 };

/** One that has ended and waits for its next start. */
async function waiting(house: House): Promise<string> {
  const id = await house.run(["sleep"], policy("always"));
  const died = happened(house, "die", 1);
  house.task(id).end(3);
  await died;
  return id;
}

describe("restart policies", () => {
  test("always starts what has ended, again and again, and counts", async () => {
    await using house = await House.open();
    const id = await house.run(["exit", "0"], policy("always"));
    await happened(house, "start", 3);
    expect(house.containers.get(id).restartCount).toBeGreaterThanOrEqual(2);
    await house.json(`DELETE /containers/${id}?force=1`);
    expect(house.held()).toEqual({ tasks: 0, cgroups: 0, endpoints: 0 });
  });

  test("on-failure gives up after so many starts, and is content with success", async () => {
    await using house = await House.open();
    const id = await house.run(["exit", "4"], policy("on-failure", 2));
    await happened(house, "die", 3);
    expect(await stateOf(house, id)).toMatchObject({ Status: "exited", ExitCode: 4, count: 2 });
    const fine = await house.run(["exit", "0"], policy("on-failure"));
    await happened(house, "die", 4);
    expect(await stateOf(house, fine)).toMatchObject({ Status: "exited", count: 0 });
    await house.json(`POST /containers/${id}/start`); // by hand: it is counted anew
    await happened(house, "die", 5);
    expect(house.containers.get(id).restartCount).toBe(1);
  });

  test("between two starts a container is restarting, which counts as running", async () => {
    await using house = await House.open(PATIENT);
    const id = await waiting(house);
    expect(await stateOf(house, id)).toMatchObject({
      ...{ Status: "restarting", Running: true, Restarting: true, Paused: false, Pid: 0, ExitCode: 3, count: 1 },
    });
    expect(await (await house.ask("GET /containers/json")).response.json()).toMatchObject([
      { State: "restarting", Status: expect.stringMatching(/^Restarting \(3\) .+ ago$/) },
    ]);
    const words = async (line: string) => (await house.json(line, { Cmd: ["true"] })).body.message;
    const busy = `Container ${id} is restarting, wait until the container is running`;
    expect(await words(`POST /containers/${id}/exec`)).toBe(busy);
    expect(await words(`POST /containers/${id}/pause`)).toBe(busy);
    expect(await words(`POST /containers/${id}/attach`)).toBe(busy);
    expect(await words(`DELETE /containers/${id}`)).toContain(
      "container is restarting: stop the container before removing or force remove",
    );
    expect((await house.ask(`POST /containers/${id}/start`)).status).toBe(304);
  });

  test.each(["POST /containers/ID/stop", "POST /containers/ID/kill"])("%s ends the waiting", async (line) => {
    await using house = await House.open(PATIENT);
    const id = await waiting(house);
    const waited = await house.ask(`POST /containers/${id}/wait`);
    expect((await house.json(line.replace("ID", id))).status).toBe(204);
    expect(await waited.response.json()).toEqual({ StatusCode: 3 });
    expect(await stateOf(house, id)).toMatchObject({ Status: "exited", Running: false, ExitCode: 3 });
  });

  test("rm -f and restart need not wait for the next start", async () => {
    await using house = await House.open(PATIENT);
    const one = await waiting(house);
    expect((await house.json(`DELETE /containers/${one}?force=1`)).status).toBe(204);
    const other = await house.run(["sleep"], policy("always"));
    house.task(other).end(0);
    expect((await house.json(`POST /containers/${other}/restart`)).status).toBe(204);
    expect(await stateOf(house, other)).toMatchObject({ Status: "running", count: 0 });
  });

  test("stop and kill by hand end it for good", async () => {
    await using house = await House.open();
    for (const [how, code] of [
      ["stop", 143],
      ["kill", 137],
      ["kill?signal=INT", 130],
    ] as const) {
      const id = await house.run(["polite"], policy("unless-stopped"));
      await house.json(`POST /containers/${id}/${how}`);
      await (await house.ask(`POST /containers/${id}/wait`)).response.json();
      expect(await stateOf(house, id)).toMatchObject({ Status: "exited", ExitCode: code, count: 0 });
    }
  });

  test("a start that fails ends it, and its state says why", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"], policy("always"));
    house.runtime.at = async () => {
      throw internal("no more processes");
    };
    const wait = async (query: string) => (await house.ask(`POST /containers/${id}/wait${query}`)).response.json();
    const ended = wait("?condition=next-exit");
    const failed = ended.then(() => wait("")); // or it has failed by then
    house.task(id).end(3);
    expect([await ended, await failed]).toEqual([{ StatusCode: 3 }, { StatusCode: 128 }]);
    expect(await stateOf(house, id)).toMatchObject({ Status: "exited", Error: "no more processes" });
    expect(house.held()).toEqual({ tasks: 0, cgroups: 0, endpoints: 0 });
  });

  test("a policy is refused that is none, or that --rm contradicts", async () => {
    await using house = await House.open();
    const refusal = async (host: object) => {
      const { status, body } = await house.json("POST /containers/create", { Image: "busybox", HostConfig: host });
      return [status, body.message];
    };
    expect(await refusal({ RestartPolicy: { Name: "never" } })).toEqual([
      400,
      expect.stringContaining("invalid restart policy: unknown policy 'never'"),
    ]);
    expect(await refusal({ RestartPolicy: { Name: "always" }, AutoRemove: true })).toEqual([
      400,
      "can't create 'AutoRemove' container with restart policy",
    ]);
  });
});
