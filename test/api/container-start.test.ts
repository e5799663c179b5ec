/** POST /containers/create and /start over made-up lower rooms: every refusal, and what is left after every failure. */

import { describe, expect, spyOn, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { unavailable } from "../../src/base/errors.ts";
import { actionsOf, House } from "../support/house.ts";

describe("POST /containers/create", () => {
  test("create warns of ports that are published on the host's network", async () => {
    await using house = await House.open();
    const HostConfig = { NetworkMode: "host", PortBindings: { "80/tcp": [{ HostPort: "8080" }] } };
    const { body } = await house.json("POST /containers/create", { Image: "busybox", HostConfig });
    expect(body.Warnings).toEqual(["Published ports are discarded when using host network mode"]);
  });

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

  test("create gives no name that another one is just getting", async () => {
    await using house = await House.open();
    using _ = spyOn(Math, "random").mockReturnValue(0); // everybody's first choice is the same
    const ids = await Promise.all([house.create(["sleep"]), house.create(["sleep"])]);
    const names = ids.map((id) => house.containers.get(id).name).toSorted();
    expect(names).toEqual(["able_amundsen", "able_amundsen0"]);
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
    ["what is not supported yet", "", { Image: "busybox", Shell: ["bash"] }, 501, "Shell is not supported yet"],
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
