/** /_ping, /version, /info, /events and /networks, in process. */

import { describe, expect, test } from "bun:test";
import { House } from "../support/house.ts";

describe("GET /_ping", () => {
  test.each(["/_ping", "/v1.24/_ping"])("GET %s is OK, two bytes, and not to be kept", async (path) => {
    await using house = await House.open();
    const { status, headers, response } = await house.ask(`GET ${path}`);
    expect([status, await response.text()]).toEqual([200, "OK"]);
    expect(
      Object.fromEntries(
        ["Builder-Version", "Swarm", "Cache-Control", "Pragma", "Api-Version"].map((name) => [name, headers.get(name)]),
      ),
    ).toEqual({
      "Builder-Version": "1",
      Swarm: "inactive",
      "Cache-Control": "no-cache, no-store, must-revalidate",
      Pragma: "no-cache",
      "Api-Version": "1.50",
    });
  });

  test("HEAD /_ping has the headers and no body", async () => {
    await using house = await House.open();
    const { status, headers, response } = await house.ask("HEAD /_ping");
    expect([status, await response.text(), headers.get("Content-Length"), headers.get("Swarm")]).toEqual([
      200,
      "",
      "0",
      "inactive",
    ]);
  });
});

describe("GET /version and /info", () => {
  test("version has what clients negotiate by", async () => {
    await using house = await House.open();
    const { body } = await house.json("GET /version");
    expect(body).toMatchObject({
      Version: "1.2.3",
      ApiVersion: "1.50",
      MinAPIVersion: "1.24",
      Os: "linux",
      Arch: "amd64",
      KernelVersion: "6.1.0",
      GitCommit: "abcdef0",
      BuildTime: "2024-01-01T00:00:00Z",
      Platform: { Name: "Bosun" },
    });
    expect(body.Components).toEqual([expect.objectContaining({ Name: "Engine", Version: "1.2.3" })]);
  });

  test("info is what the engine says", async () => {
    await using house = await House.open();
    expect((await house.json("GET /v1.30/info")).body).toEqual({ ID: "the-id", Containers: 0 });
  });
});

describe("GET /events", () => {
  const lines = (text: string): Record<string, unknown>[] =>
    text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));

  test("events are Docker's objects, with the fields of old clients", async () => {
    await using house = await House.open();
    const id = await house.create(["sleep"], { Labels: { a: "b" } }, "?name=one");
    const now = Date.now() / 1000 + 0.01;
    const { headers, response } = await house.ask(`GET /events?since=0&until=${now.toFixed(9)}`);
    expect(headers.get("Content-Type")).toBe("application/json");
    const [event] = lines(await response.text());
    expect(event).toEqual({
      status: "create",
      id,
      from: "busybox",
      Type: "container",
      Action: "create",
      Actor: { ID: id, Attributes: { a: "b", image: "busybox", name: "one" } },
      scope: "local",
      time: expect.any(Number),
      timeNano: expect.any(Number),
    });
  });

  test("events are sent as they happen, headers first, until the client leaves", async () => {
    await using house = await House.open();
    const left = new AbortController();
    const { status, response } = await house.ask(`GET /events?filters=${encodeURIComponent('{"event":["create"]}')}`, {
      signal: left.signal,
    });
    expect(status).toBe(200);
    const reader = response.body?.getReader();
    const first = reader?.read();
    await house.create(["sleep"]);
    expect(lines(Buffer.from((await first)?.value ?? []).toString())).toMatchObject([{ Action: "create" }]);
    expect(house.events.watchers).toBe(1);
    const next = reader?.read();
    left.abort();
    expect((await next)?.done).toBe(true);
    expect(house.events.watchers).toBe(0);
  });

  test.each<[filters: object, actions: string[]]>([
    [{ container: ["on"] }, ["create", "create"]],
    [{ container: ["one"] }, ["create"]],
    [{ container: ["one", "two"] }, ["create"]],
    [{ image: ["busybox"] }, ["create", "create"]],
    [{ image: ["busy"] }, []],
    [{ volume: ["vol"] }, ["create"]],
    [{ volume: ["vol"], type: ["container"] }, []],
    [{ daemon: ["elsewhere"] }, []],
    [{ plugin: ["x"] }, []],
    [{ scope: ["swarm"] }, []],
  ])("events are filtered by %p, names by how they begin", async (filters, actions) => {
    await using house = await House.open();
    await house.create(["sleep"], {}, "?name=one");
    await house.create(["sleep"], {}, "?name=onto");
    await house.json("POST /volumes/create", { Name: "volume" });
    const query = new URLSearchParams({
      since: "0",
      until: (Date.now() / 1000 + 0.01).toFixed(9),
      filters: JSON.stringify(filters),
    });
    const told = lines(await (await house.ask(`GET /events?${query}`)).response.text());
    expect(told.map(({ Action }) => Action)).toEqual(actions);
  });

  test("prunes are told of when they are done, with what they have brought", async () => {
    await using house = await House.open();
    for (const kind of ["volumes", "networks", "containers"]) await house.json(`POST /${kind}/prune`);
    const query = new URLSearchParams({ since: "0", until: (Date.now() / 1000 + 0.01).toFixed(9) });
    const told = lines(await (await house.ask(`GET /events?${query}`)).response.text());
    expect(told).toMatchObject(
      ["volume", "network", "container"].map((Type) => ({
        Type,
        Action: "prune",
        Actor: { ID: "", Attributes: { reclaimed: "0" } },
      })),
    );
  });

  test.each<[query: string, words: string]>([
    ["?since=20&until=10", "`since` time (20) cannot be after `until` time (10)"],
    ["?since=yesterday", 'invalid value for "since": "yesterday"'],
    [`?filters=${encodeURIComponent('{"colour":["red"]}')}`, "invalid filter 'colour'"],
  ])("events%s are refused", async (query, words) => {
    await using house = await House.open();
    expect(await house.json(`GET /events${query}`)).toEqual({ status: 400, body: { message: words } });
  });
});

describe("/networks", () => {
  test("the predefined networks are listed and inspected, also with a slash at the end", async () => {
    await using house = await House.open();
    for (const path of ["/networks", "/networks/"]) {
      const { response } = await house.ask(`GET ${path}`);
      expect(((await response.json()) as { Name: string }[]).map(({ Name }) => Name)).toEqual([
        "bridge",
        "host",
        "none",
      ]);
    }
    const id = await house.run(["sleep"], {}, "?name=member");
    const { body } = await house.json("GET /networks/none");
    expect(body).toMatchObject({
      Name: "none",
      Driver: "null",
      Scope: "local",
      Containers: { [id]: { Name: "member" } },
    });
    expect((await house.json(`GET /networks/${String(body.Id).slice(0, 9)}`)).body.Name).toBe("none");
  });

  test.each<[line: string, status: number, words: string]>([
    ["GET /networks/mine", 404, "network mine not found"],
    ["DELETE /networks/bridge", 403, "bridge is a pre-defined network and cannot be removed"],
    ["DELETE /networks/mine", 404, "network mine not found"],
    [`GET /networks?filters=${encodeURIComponent('{"colour":["red"]}')}`, 400, "invalid filter 'colour'"],
  ])("%s is %p", async (line, status, words) => {
    await using house = await House.open();
    expect(await house.json(line)).toEqual({ status, body: { message: words } });
  });

  test("networks are filtered by name, driver and id", async () => {
    await using house = await House.open();
    const names = async (filters: object) => {
      const { response } = await house.ask(`GET /networks?filters=${encodeURIComponent(JSON.stringify(filters))}`);
      return ((await response.json()) as { Name: string }[]).map(({ Name }) => Name);
    };
    expect(await names({ name: ["o"] })).toEqual(["host", "none"]);
    expect(await names({ driver: ["host"] })).toEqual(["host"]);
    expect(await names({ type: ["custom"] })).toEqual([]);
    expect(await names({ type: ["builtin"], name: ["bridge"] })).toEqual(["bridge"]);
  });
});
