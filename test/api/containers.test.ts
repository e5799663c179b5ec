/** /containers over the real container room and made-up lower rooms: every status, and what is left after every failure. */

import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { unavailable } from "../../src/base/errors.ts";
import { House } from "../support/house.ts";

const actionsOf = async (house: House): Promise<string[]> => {
  const events = await Array.fromAsync(house.events.watch({ since: 0n, signal: AbortSignal.abort() }));
  return events.map(({ type, action }) => `${type} ${action}`);
};

describe("POST /containers/create", () => {
  test("create answers 201 with id and warnings, and holds nothing yet", async () => {
    await using house = await House.open();
    const { status, body } = await house.json("POST /containers/create?name=one", {
      Image: "busybox",
      Cmd: ["echo", "hi"],
    });
    expect(status).toBe(201);
    expect(body).toEqual({ Id: expect.stringMatching(/^[0-9a-f]{64}$/), Warnings: [] });
    expect(house.held()).toEqual({ tasks: 0, cgroups: 0, endpoints: 0 });
    expect(house.snapshotter.snapshots.has(String(body.Id))).toBe(true);
    for (const name of ["config.v2.json", "hostconfig.json"])
      expect(existsSync(join(house.records.folder(String(body.Id)), name))).toBe(true);
  });

  test("create gives a name when nobody does", async () => {
    await using house = await House.open();
    const id = await house.create(["sleep"]);
    expect(house.containers.get(id).name).toMatch(/^[a-z]+_[a-z]+$/);
  });

  test.each<[name: string, query: string, body: unknown, status: number, words: string]>([
    ["an unknown image", "", { Image: "nowhere" }, 404, "No such image: nowhere:latest"],
    ["no image", "", {}, 400, "Image"],
    ["no body", "", undefined, 400, "Image"],
    [
      "a name that is none",
      "?name=-x",
      { Image: "busybox" },
      400,
      "Invalid container name (-x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
    ],
    ["a platform that it is not", "?platform=linux/s390x", { Image: "busybox" }, 404, "platform"],
    [
      "what is not supported yet",
      "",
      { Image: "busybox", HostConfig: { PortBindings: { "80/tcp": [{}] } } },
      501,
      "PortBindings is not supported yet",
    ],
    [
      "a sysctl of the host's",
      "",
      { Image: "busybox", HostConfig: { Sysctls: { "vm.swappiness": "1" } } },
      400,
      "is not in a separate kernel namespace",
    ],
    ["a capability that is none", "", { Image: "busybox", HostConfig: { CapAdd: ["FLY"] } }, 400, "unknown capability"],
    [
      "a mount without its source",
      "",
      { Image: "busybox", HostConfig: { Mounts: [{ Type: "bind", Source: "/no/where", Target: "/x" }] } },
      400,
      "bind source path does not exist: /no/where",
    ],
  ])("create with %s is refused, and leaves nothing", async (_, query, body, status, words) => {
    await using house = await House.open();
    const answer = await house.json(`POST /containers/create${query}`, body);
    expect(answer.body.message).toContain(words);
    expect(answer.status).toBe(status);
    expect(house.records.all()).toEqual([]);
    expect(house.snapshotter.snapshots.size).toBe(0);
    expect(await actionsOf(house)).toEqual([]);
  });

  test("create refuses a name that is taken, also when both come at once", async () => {
    await using house = await House.open();
    const answers = await Promise.all(
      [1, 2, 3].map(() => house.json("POST /containers/create?name=same", { Image: "busybox" })),
    );
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409, 409]);
    const id = answers.find(({ status }) => status === 201)?.body.Id;
    const { body } = await house.json("POST /containers/create?name=/same", { Image: "busybox" });
    expect(body.message).toBe(
      `Conflict. The container name "/same" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`,
    );
    expect(house.snapshotter.snapshots.size).toBe(1);
  });

  test("create that fails half way leaves nothing", async () => {
    await using house = await House.open();
    house.snapshotter.prepare = async () => {
      throw unavailable("the disk is full");
    };
    const { status, body } = await house.json("POST /containers/create?name=half", { Image: "busybox" });
    expect([status, body.message]).toEqual([503, "the disk is full"]);
    expect(house.records.all()).toEqual([]);
    expect(existsSync(join(house.folder.path, "containers"))).toBe(true);
    expect([...new Bun.Glob("*").scanSync({ cwd: join(house.folder.path, "containers"), onlyFiles: false })]).toEqual(
      [],
    );
  });
});

describe("POST /containers/{id}/start", () => {
  test("start runs it, and is 304 when it runs already", async () => {
    await using house = await House.open();
    const id = await house.create(["sleep"]);
    expect((await house.json(`POST /containers/${id}/start`)).status).toBe(204);
    expect(house.held()).toEqual({ tasks: 1, cgroups: 1, endpoints: 1 });
    const again = await house.ask(`POST /containers/${id}/start`);
    expect([again.status, await again.response.text()]).toEqual([304, ""]);
    expect(house.containers.get(id).state).toMatchObject({ phase: "running", pid: house.task(id).pid });
  });

  test("start of what cannot be executed says so, and leaves nothing but the failure", async () => {
    await using house = await House.open();
    const id = await house.create(["nowhere"]);
    const { status, body } = await house.json(`POST /containers/${id}/start`);
    expect(status).toBe(400);
    expect(body.message).toBe(
      'failed to create task for container: unable to start container process: exec: "nowhere": executable file not found in $PATH',
    );
    expect(house.held()).toEqual({ tasks: 0, cgroups: 0, endpoints: 0 });
    const { body: shown } = await house.json(`GET /containers/${id}/json`);
    expect(shown.State).toMatchObject({
      Status: "created",
      ExitCode: 127,
      Error: expect.stringContaining("executable file not found"),
    });
  });

  test.each(["create", "attach", "go", "resize"] as const)(
    "start that fails at %s gives everything back, and may be tried again",
    async (step) => {
      await using house = await House.open();
      const id = await house.create(["sleep"], { Tty: true, HostConfig: { ConsoleSize: [10, 20] } });
      const attached = await house.ask(`POST /containers/${id}/attach?stream=1&stdout=1`, { upgrade: true });
      const closed = new Promise((resolve) => attached.client?.on("data", () => {}).once("end", resolve));
      house.runtime.at = async (at) => {
        if (at === step) throw unavailable(`no ${step} today`);
      };
      const { status, body } = await house.json(`POST /containers/${id}/start`);
      await closed; // who waited for it is not left waiting
      if (step !== "attach") {
        expect([status, body.message]).toEqual([503, `no ${step} today`]);
        expect(house.held()).toEqual({ tasks: 0, cgroups: 0, endpoints: 0 });
      }
      house.runtime.at = async () => {};
      expect((await house.json(`POST /containers/${id}/start`)).status).toBe(step === "attach" ? 304 : 204);
    },
  );

  test("start that the kernel's limits refuse gives everything back", async () => {
    await using house = await House.open();
    const id = await house.create(["sleep"]);
    house.cgroups.refuses = true;
    expect((await house.json(`POST /containers/${id}/start`)).status).toBe(400);
    expect(house.held()).toEqual({ tasks: 0, cgroups: 0, endpoints: 0 });
  });

  test("start of a container created with --rm that fails removes it", async () => {
    await using house = await House.open();
    const id = await house.create(["nowhere"], { HostConfig: { AutoRemove: true } });
    const removed = await house.ask(`POST /containers/${id}/wait?condition=removed`);
    expect((await house.json(`POST /containers/${id}/start`)).status).toBe(400);
    expect(await removed.response.json()).toEqual({ StatusCode: 127 });
    expect((await house.json(`GET /containers/${id}/json`)).status).toBe(404);
  });

  test("start takes no body worth the name, and no checkpoint", async () => {
    await using house = await House.open();
    const id = await house.create(["sleep"]);
    const headers = { "Content-Length": "20" };
    expect((await house.ask(`POST /containers/${id}/start`, { text: '{"Binds":["/a:/b"]}', headers })).status).toBe(
      400,
    );
    expect((await house.json(`POST /containers/${id}/start?checkpoint=x`)).status).toBe(501);
    expect((await house.json("POST /containers/nobody/start")).body.message).toBe("No such container: nobody");
  });

  test("start twice at once starts once", async () => {
    await using house = await House.open();
    const id = await house.create(["sleep"]);
    const answers = await Promise.all([1, 2, 3].map(() => house.ask(`POST /containers/${id}/start`)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([204, 304, 304]);
    expect(house.runtime.tasks.size).toBe(1);
  });
});

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
    const { status, body } = await house.json(`DELETE /containers/${id}`);
    expect([status, body.message]).toEqual([
      409,
      'cannot remove container "/busy": container is running: stop the container before removing or force remove',
    ]);
    expect((await house.json(`DELETE /containers/${id}?force=1`)).status).toBe(204);
    expect(house.held()).toEqual({ tasks: 0, cgroups: 0, endpoints: 0 });
    expect((await house.json(`DELETE /containers/${id}?link=1`)).status).toBe(501);
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
    ['{"status":["bored"]}', "invalid filter 'status=bored'"],
    ['{"exited":["x"]}', "invalid filter 'exited=[x]'"],
    ['{"health":["x"]}', "invalid filter 'health=x'"],
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
    await house.json("POST /containers/prune");
    expect(house.records.all().map(({ id }) => id)).toEqual([running]);
    expect((await house.json(`POST /containers/prune?filters=${encodeURIComponent('{"until":["1h"]}')}`)).status).toBe(
      501,
    );
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
