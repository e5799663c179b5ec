/** GET /containers/json, pruning, a container's end, and how containers are found. */

import { describe, expect, test } from "bun:test";
import { actionsOf, House } from "../support/house.ts";

describe("GET /containers/json", () => {
  const names = async (house: House, query: string): Promise<string[]> => {
    const { response } = await house.ask(`GET /containers/json${query}`);
    const listed = (await response.json()) as { Names: string[] }[];
    return listed.map(({ Names }) => Names.join());
  };

  test("list has what runs, newest first; all, limits and filters choose", async () => {
    await using house = await House.open();
    await house.create(["sleep"], { Labels: { a: "1", b: "" } }, "?name=made");
    await house.run(["sleep"], { Image: "worker" }, "?name=up");
    const ended = await house.run(["exit", "3"], { Labels: { a: "2" } }, "?name=down");
    await (await house.ask(`POST /containers/${ended}/wait`)).response.json();
    expect(await names(house, "")).toEqual(["/up"]);
    expect(await names(house, "?all=1")).toEqual(["/down", "/up", "/made"]);
    expect(await names(house, "?limit=2")).toEqual(["/down", "/up"]);
    const filtered = (filters: unknown) =>
      names(house, `?all=1&filters=${encodeURIComponent(JSON.stringify(filters))}`);
    expect(await filtered({ status: ["created"] })).toEqual(["/made"]);
    expect(await filtered({ exited: ["3"] })).toEqual(["/down"]);
    expect(await filtered({ label: ["a"] })).toEqual(["/down", "/made"]);
    expect(await filtered({ label: { "a=1": true, b: true } })).toEqual(["/made"]);
    expect(await filtered({ ancestor: ["worker"] })).toEqual(["/up"]);
    expect(await filtered({ ancestor: ["nowhere"] })).toEqual([]);
    expect(await filtered({ name: ["own"] })).toEqual(["/down"]);
    expect(await filtered({ expose: ["80"] })).toEqual(["/up"]);
  });

  test.each<[filters: string, message: string]>([
    ["{", "invalid filter"],
    ["[]", "invalid filter"],
    ['"x"', "invalid filter"],
    ['{"label":"a"}', "invalid filter"],
    ['{"label":[1]}', "invalid filter"],
    ['{"colour":["red"]}', "invalid filter 'colour'"],
    [
      '{"status":["bored"]}',
      "invalid filter 'status=bored': invalid value for state (bored): must be one of created, running, paused, restarting, removing, exited, dead",
    ],
    ['{"publish":["x"]}', 'invalid port specification: "x"'],
    ['{"is-task":["x"]}', "invalid filter 'is-task=[x]'"],
    ['{"exited":["x"]}', "invalid filter 'exited=[x]'"],
    [
      '{"health":["x"]}',
      "invalid filter 'health=x': invalid value for health (x): must be one of none, starting, healthy, unhealthy",
    ],
    ['{"before":["nobody"]}', "No such container: nobody"],
  ])("list refuses the filters %s", async (filters, message) => {
    await using house = await House.open();
    const { status, body } = await house.json(`GET /containers/json?filters=${encodeURIComponent(filters)}`);
    expect([status, body.message]).toEqual([message.startsWith("No such") ? 404 : 400, message]);
  });

  test("list has Docker's fields, and texts as they are", async () => {
    await using house = await House.open();
    const id = await house.run(
      ["sleep", 'quote " and \\ and \u2028 and ü', "two words"],
      { Labels: { 'k"ey': "va\nlue" } },
      "?name=full",
    );
    const { response } = await house.ask("GET /containers/json?size=1");
    const [summary] = (await response.json()) as Record<string, unknown>[];
    expect(summary).toMatchObject({
      Id: id,
      Names: ["/full"],
      Image: "busybox",
      State: "running",
      Status: expect.stringMatching(/^Up /),
      Labels: { 'k"ey': "va\nlue" },
      Ports: [],
      Mounts: [],
      SizeRw: 0,
      HostConfig: { NetworkMode: "none" },
    });
    expect(summary?.Command).toContain('quote " and \\ and \u2028 and ü');
    expect(Object.keys(summary?.NetworkSettings as object)).toEqual(["Networks"]);
  });
});

describe("POST /containers/prune", () => {
  test("prune removes what does not run, by label when asked", async () => {
    await using house = await House.open();
    const running = await house.run(["sleep"]);
    const labelled = await house.create(["sleep"], { Labels: { a: "b" } });
    await house.create(["sleep"]);
    const { body } = await house.json(`POST /containers/prune?filters=${encodeURIComponent('{"label":["a=b"]}')}`);
    expect(body).toEqual({ ContainersDeleted: [labelled], SpaceReclaimed: 0 });
    const filtered = (filters: object) =>
      house.json(`POST /containers/prune?filters=${encodeURIComponent(JSON.stringify(filters))}`);
    expect((await filtered({ until: ["1h"] })).body).toEqual({ ContainersDeleted: null, SpaceReclaimed: 0 });
    expect((await filtered({ until: ["soon"] })).status).toBe(400);
    const kept = await house.create(["sleep"], { Labels: { keep: "1" } });
    await filtered({ "label!": ["keep"] });
    expect(house.records.all().map(({ id }) => id)).toEqual([running, kept]);
    await house.json("POST /containers/prune");
    expect(house.records.all().map(({ id }) => id)).toEqual([running]);
  });
});

describe("a container's end", () => {
  test("an end that nobody asked for is told, and gives everything back", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"]);
    house.cgroups.outOfMemory.add(`/bosun/${id}`);
    const waiting = await house.ask(`POST /containers/${id}/wait`);
    house.task(id).end(137, 9);
    await waiting.response.json();
    const { body } = await house.json(`GET /containers/${id}/json`);
    expect(body.State).toMatchObject({ Status: "exited", ExitCode: 137, OOMKilled: true, Pid: 0 });
    expect(house.held()).toEqual({ tasks: 0, cgroups: 0, endpoints: 0 });
    expect((await actionsOf(house)).filter((action) => action.startsWith("container"))).toEqual([
      "container create",
      "container start",
      "container oom",
      "container die",
    ]);
  });
});

describe("references", () => {
  test("a container is found by id, beginning of the id and name; one beginning of two ids is refused", async () => {
    await using house = await House.open();
    const id = await house.create(["sleep"], {}, "?name=one");
    for (const reference of [id, id.slice(0, 7), "one", "%2Fone"])
      expect((await house.json(`GET /containers/${reference}/json`)).body.Id).toBe(id);
    for (let more = 0; more < 17; more++) await house.create(["sleep"]);
    const digits = house.records.all().map((container) => container.id.charAt(0));
    const twice = digits.find((digit, at) => digits.indexOf(digit) !== at); // of 18 ids two begin alike
    const { status, body } = await house.json(`GET /containers/${twice}/json`);
    expect([status, body.message]).toEqual([400, `multiple IDs found with provided prefix: ${twice}`]);
  });
});
