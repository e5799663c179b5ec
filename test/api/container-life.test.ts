/** Waiting, stopping, removing, renaming and resizing over made-up lower rooms, also several at once. */

import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { unavailable } from "../../src/base/errors.ts";
import { House } from "../support/house.ts";

describe("POST /containers/{id}/wait", () => {
  test("wait answers with headers at once, and with the code when it has ended", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"]);
    const { status, headers, response } = await house.ask(`POST /containers/${id}/wait`);
    expect([status, headers.get("Content-Type")]).toEqual([200, "application/json"]);
    house.task(id).end(5);
    expect(await response.text()).toBe('{"StatusCode":5}\n');
    expect(await (await house.ask(`POST /containers/${id}/wait`)).response.json()).toEqual({ StatusCode: 5 });
  });

  test("wait for the next exit outlasts the last one", async () => {
    await using house = await House.open();
    const id = await house.run(["exit", "1"]);
    await (await house.ask(`POST /containers/${id}/wait`)).response.json();
    const next = await house.ask(`POST /containers/${id}/wait?condition=next-exit`);
    await house.json(`POST /containers/${id}/start`);
    expect(await next.response.json()).toEqual({ StatusCode: 1 });
  });

  test("wait for the removal tells the code of the last exit", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"], { HostConfig: { AutoRemove: true } });
    const removed = await house.ask(`POST /containers/${id}/wait?condition=removed`);
    house.task(id).end(7);
    expect(await removed.response.json()).toEqual({ StatusCode: 7 });
    expect(house.records.find(id)).toBeUndefined();
    expect(house.snapshotter.snapshots.size).toBe(0);
  });

  test("wait is refused for a condition or a container that is none", async () => {
    await using house = await House.open();
    const id = await house.create(["sleep"]);
    expect(await house.json(`POST /containers/${id}/wait?condition=bored`)).toMatchObject({
      status: 400,
      body: { message: 'invalid condition: "bored"' },
    });
    expect((await house.json("POST /containers/nobody/wait")).status).toBe(404);
  });
});

describe("POST /containers/{id}/stop, kill and restart", () => {
  test("stop sends the signal, and kills when time is up", async () => {
    await using house = await House.open();
    const polite = await house.run(["polite"]);
    const task = house.task(polite);
    expect((await house.json(`POST /containers/${polite}/stop`)).status).toBe(204);
    expect(task.signals).toEqual([15]);
    const deaf = await house.run(["sleep"]);
    const other = house.task(deaf);
    expect((await house.json(`POST /containers/${deaf}/stop?t=0`)).status).toBe(204);
    expect(other.signals).toEqual([15, 9]);
    expect(house.held()).toEqual({ tasks: 0, cgroups: 0, endpoints: 0 });
    expect((await house.ask(`POST /containers/${deaf}/stop`)).status).toBe(304);
  });

  test("stop takes the signal of the request from API 1.42 on, else the container's", async () => {
    await using house = await House.open();
    for (const [version, expected] of [
      ["v1.42", 10],
      ["v1.41", 2],
    ] as const) {
      const id = await house.run(["polite"], { StopSignal: "SIGINT" });
      const task = house.task(id);
      await house.json(`POST /${version}/containers/${id}/stop?signal=SIGUSR1`);
      expect(task.signals).toEqual([expected]);
    }
    const id = await house.run(["polite"]);
    expect((await house.json(`POST /containers/${id}/stop?signal=NOT`)).status).toBe(400);
  });

  test("kill sends any signal, and without one returns when it has ended", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"]);
    const task = house.task(id);
    expect((await house.json(`POST /containers/${id}/kill?signal=HUP`)).status).toBe(204);
    expect((await house.json(`POST /containers/${id}/kill?signal=99`)).status).toBe(400);
    expect((await house.json(`POST /containers/${id}/kill`)).status).toBe(204);
    expect(task.signals).toEqual([1, 9]);
    expect(house.containers.get(id).state).toMatchObject({ phase: "exited", last: { code: 137 } });
    const { status, body } = await house.json(`POST /containers/${id}/kill`);
    expect([status, body.message]).toEqual([409, `cannot kill container: ${id}: container ${id} is not running`]);
  });

  test("restart runs it again, with --rm too", async () => {
    await using house = await House.open();
    const id = await house.run(["polite"], { HostConfig: { AutoRemove: true } });
    const { pid } = house.task(id);
    expect((await house.json(`POST /containers/${id}/restart`)).status).toBe(204);
    expect(house.task(id).pid).not.toBe(pid);
  });
});

describe("DELETE /containers/{id}", () => {
  test("rm removes all of it", async () => {
    await using house = await House.open();
    const id = await house.create(["sleep"], {}, "?name=gone");
    expect((await house.json("DELETE /containers/gone")).status).toBe(204);
    expect((await house.json("DELETE /containers/gone")).status).toBe(404);
    expect([house.snapshotter.snapshots.size, existsSync(house.records.folder(id)), house.released.length]).toEqual([
      0,
      false,
      1,
    ]);
    await house.create(["sleep"], {}, "?name=gone"); // the name is free
  });

  test("rm refuses what runs, unless it is forced", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"], {}, "?name=busy");
    const { status, body } = await house.json("DELETE /containers/busy");
    expect([status, body.message]).toEqual([
      409,
      'cannot remove container "busy": container is running: stop the container before removing or force remove',
    ]);
    expect((await house.json(`DELETE /containers/${id}?force=1`)).status).toBe(204);
    expect(house.held()).toEqual({ tasks: 0, cgroups: 0, endpoints: 0 });
    expect((await house.json(`DELETE /containers/${id}?link=1`)).status).toBe(409);
  });

  test("rm that fails leaves a container that is dead, and can be removed later", async () => {
    await using house = await House.open();
    const id = await house.create(["sleep"]);
    const { removeSnapshot } = house.snapshotter;
    house.snapshotter.removeSnapshot = async () => {
      throw unavailable("device or resource busy");
    };
    expect((await house.json(`DELETE /containers/${id}`)).status).toBe(503);
    expect((await house.json(`GET /containers/${id}/json`)).body.State).toMatchObject({ Status: "dead", Dead: true });
    expect((await house.json(`POST /containers/${id}/start`)).status).toBe(409);
    expect((await house.json(`GET /containers/${id}/logs?stdout=1`)).status).toBe(409);
    house.snapshotter.removeSnapshot = removeSnapshot;
    expect((await house.json(`DELETE /containers/${id}`)).status).toBe(204);
  });

  test("rm -f and start at once end with a container that is gone", async () => {
    await using house = await House.open();
    for (let round = 0; round < 20; round++) {
      const id = await house.run(["sleep"]);
      await Promise.all([
        house.json(`DELETE /containers/${id}?force=1`),
        house.json(`POST /containers/${id}/start`),
        house.json(`DELETE /containers/${id}?force=1`),
      ]);
      expect((await house.json(`GET /containers/${id}/json`)).status).toBe(404);
    }
    expect(house.held()).toEqual({ tasks: 0, cgroups: 0, endpoints: 0 });
  });
});

describe("POST /containers/{id}/rename", () => {
  test.each<[name: string, status: number, words: string]>([
    ["", 400, "Neither old nor new names may be empty"],
    ["one", 400, "Renaming a container with the same name as its current name"],
    ["two", 409, 'The container name "/two" is already in use'],
    ["not/valid", 400, "Invalid container name"],
  ])("rename to %p is refused with %p", async (name, status, words) => {
    await using house = await House.open();
    await house.create(["sleep"], {}, "?name=one");
    await house.create(["sleep"], {}, "?name=two");
    const answer = await house.json(`POST /containers/one/rename?name=${encodeURIComponent(name)}`);
    expect([answer.status, answer.body.message]).toEqual([status, expect.stringContaining(words)]);
  });

  test("rename changes what it is found by", async () => {
    await using house = await House.open();
    const id = await house.create(["sleep"], {}, "?name=one");
    expect((await house.json("POST /containers/one/rename?name=/three")).status).toBe(204);
    expect((await house.json("GET /containers/three/json")).body).toMatchObject({ Id: id, Name: "/three" });
    expect((await house.json("GET /containers/one/json")).status).toBe(404);
  });
});

describe("POST /containers/{id}/resize", () => {
  test("resize needs both numbers, and a container that runs", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"], { Tty: true });
    expect((await house.json(`POST /containers/${id}/resize?h=10&w=20`)).status).toBe(200);
    expect(house.task(id).sizes).toEqual([[10, 20]]);
    for (const query of ["", "?h=1", "?w=1", "?h=a&w=1", "?h=-1&w=1", "?h=70000&w=1"])
      expect((await house.json(`POST /containers/${id}/resize${query}`)).status).toBe(400);
    const created = await house.create(["sleep"], { Tty: true });
    expect((await house.json(`POST /containers/${created}/resize?h=1&w=1`)).status).toBe(409);
  });
});
