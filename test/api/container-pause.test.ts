/** Pausing over made-up lower rooms: what is allowed when, in which words, and what goes on. */

import { describe, expect, test } from "bun:test";
import { actionsOf, House } from "../support/house.ts";

describe("POST /containers/{id}/pause and unpause", () => {
  test("pause stops the processes, and unpause lets them go", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"]);
    expect((await house.json(`POST /containers/${id}/pause`)).status).toBe(204);
    expect([...house.cgroups.frozen]).toEqual([`/bosun/${id}`]);
    const { body } = await house.json(`GET /containers/${id}/json`);
    expect(body.State).toMatchObject({ Status: "paused", Running: true, Paused: true, Pid: house.task(id).pid });
    await expect((await house.ask("GET /containers/json")).response.json()).resolves.toMatchObject([
      { State: "paused", Status: expect.stringMatching(/^Up .+ \(Paused\)$/) },
    ]);
    expect((await house.json(`POST /containers/${id}/unpause`)).status).toBe(204);
    expect([...house.cgroups.frozen]).toEqual([]);
    expect((await actionsOf(house)).slice(-2)).toEqual(["container pause", "container unpause"]);
  });

  test.each<[line: string, status: number, words: RegExp]>([
    ["POST /containers/it/pause", 409, /^Container [0-9a-f]{64} is already paused$/],
    ["POST /containers/it/start", 409, /^cannot start a paused container, try unpause instead$/],
    ["POST /containers/it/exec", 409, /^Container it is paused, unpause the container before exec$/],
    ["POST /containers/it/attach", 409, /^Container it is paused, unpause the container before attach$/],
    ["DELETE /containers/it", 409, /^cannot remove container "it": container is paused and must be unpaused first$/],
  ])("%s of a paused container is refused with %d", async (line, status, words) => {
    await using house = await House.open();
    await house.run(["sleep"], {}, "?name=it");
    await house.json("POST /containers/it/pause");
    const answer = await house.json(line, { Cmd: ["true"] });
    expect([answer.status, answer.body.message]).toEqual([status, expect.stringMatching(words)]);
  });

  test("pause is refused for what does not run, and unpause for what is not paused", async () => {
    await using house = await House.open();
    const id = await house.create(["sleep"]);
    const pause = await house.json(`POST /containers/${id}/pause`);
    expect([pause.status, pause.body.message]).toEqual([409, `container ${id} is not running`]);
    await house.json(`POST /containers/${id}/start`);
    const unpause = await house.json(`POST /containers/${id}/unpause`);
    expect([unpause.status, unpause.body.message]).toEqual([500, `Container ${id} is not paused`]);
  });

  test("an exec that was made before the pause starts after it", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"]);
    const { body } = await house.json(`POST /containers/${id}/exec`, { Cmd: ["exit", "0"] });
    await house.json(`POST /containers/${id}/pause`);
    expect((await house.json(`POST /exec/${body.Id}/start`, { Detach: true })).status).toBe(409);
    await house.json(`POST /containers/${id}/unpause`);
    expect((await house.json(`POST /exec/${body.Id}/start`, { Detach: true })).status).toBe(200);
  });

  test("stop, kill and rm -f end a paused container, another signal than its own leaves it paused", async () => {
    await using house = await House.open();
    const paused = async (more: object = {}) => {
      const id = await house.run(["polite"], more);
      await house.json(`POST /containers/${id}/pause`);
      return id;
    };
    const stopped = await paused();
    expect((await house.json(`POST /containers/${stopped}/stop`)).status).toBe(204);
    expect(house.containers.get(stopped).state).toMatchObject({ phase: "exited", last: { code: 143 } });
    const killed = await paused();
    expect((await house.json(`POST /containers/${killed}/kill`)).status).toBe(204);
    expect(house.containers.get(killed).state).toMatchObject({ phase: "exited", last: { code: 137 } });
    const removed = await paused();
    expect((await house.json(`DELETE /containers/${removed}?force=1`)).status).toBe(204);
    const other = await house.run(["sleep"], { StopSignal: "SIGTERM" });
    await house.json(`POST /containers/${other}/pause`);
    await house.json(`POST /containers/${other}/kill?signal=HUP`);
    expect(house.containers.get(other).state.phase).toBe("paused");
  });

  test("a paused one whose process is killed has exited", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"]);
    await house.json(`POST /containers/${id}/pause`);
    const waited = await house.ask(`POST /containers/${id}/wait`);
    house.task(id).end(137, 9);
    expect(await waited.response.json()).toEqual({ StatusCode: 137 });
    const { StartedAt, Status } = (await house.json(`GET /containers/${id}/json`)).body.State as Record<string, string>;
    expect([Status, StartedAt?.startsWith("20")]).toEqual(["exited", true]);
  });
});
