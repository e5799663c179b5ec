/** What people and programs do behind the daemon's back: kill a shim or a program, delete a run directory, a bridge, a container's files. With the daemon and without. */

import { afterEach, describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withDaemon } from "../support/api.ts";
import { errorsIn, lastingContradictions } from "../support/audit.ts";
import { procStatus } from "../support/e2e.ts";

const host = { NetworkMode: "bridge" };
const program = ["sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.02; done"];

withDaemon("behind the daemon's back", (api) => {
  const path = (...names: string[]) => join(api.daemon.dataRoot, ...names);
  const ip = (...words: string[]) => expect(Bun.spawnSync(["ip", ...words]).exitCode).toBe(0);

  afterEach(async () => {
    for (const name of ["it", "other"]) await api.remove(name);
    expect(await lastingContradictions(api.daemon)).toEqual([]);
    expect(errorsIn(api.daemon.log)).toEqual([]);
  });

  describe.each([
    ["while a daemon runs", (act: () => unknown) => act()],
    [
      "while none does",
      async (act: () => unknown) => {
        await api.daemon.stop("SIGKILL");
        await act();
        await api.daemon.launch();
      },
    ],
  ] as const)("%s", (_, meanwhile) => {
    test("a shim that is killed takes its container along, which counts as killed", async () => {
      await api.run("it", program, { host });
      await api.exec("it", ["sleep", "1000"]);
      const { Pid } = (await api.inspect("it")).State;
      await meanwhile(() => process.kill(Number(procStatus(Pid, "PPid")), "SIGKILL"));
      expect(await api.wait("it")).toBe(137);
      expect((await api.inspect("it")).State).toMatchObject({ Status: "exited", Pid: 0, OOMKilled: false });
      await api.start("it");
      expect((await api.inspect("it")).State.Running).toBe(true);
    });

    test("a program that is killed from outside counts as killed", async () => {
      await api.run("it", program, { host });
      const { Pid } = (await api.inspect("it")).State;
      await meanwhile(() => process.kill(Pid, "SIGKILL"));
      expect(await api.wait("it")).toBe(137);
    });

    test("a container whose run directory is deleted can be removed, and started again", async () => {
      const id = await api.run("it", program, { host });
      await api.says("it", /up\n/);
      await meanwhile(() => rmSync(join(api.daemon.execRoot, "tasks", id), { recursive: true }));
      if ((await api.inspect("it")).State.Running) await api.send("POST", "/containers/it/kill");
      expect(await api.wait("it")).toBe(137);
      await api.start("it");
      await api.says("it", /up\n[\s\S]*up\n/); // process 1 is deaf to what it does not handle yet
      await api.send("POST", "/containers/it/stop");
      expect((await api.inspect("it")).State.ExitCode).toBe(5);
    });

    test("a bridge that is deleted is made again when it is needed, for those that were on it as well", async () => {
      await api.run("it", program, { host });
      const { IPAddress, Gateway } = (await api.inspect("it")).NetworkSettings;
      await meanwhile(() => ip("link", "delete", api.daemon.bridge));
      await api.run("other", ["sh", "-c", `ping -c 1 -W 10 ${IPAddress} && sleep 1000`], { host });
      expect((await api.inspect("other")).NetworkSettings.Gateway).toBe(Gateway);
      await api.says("other", / 0% packet loss/);
    });

    test("a container whose snapshot or folder is deleted can still be removed", async () => {
      const id = await api.create("it", program);
      const other = await api.create("other", program);
      await meanwhile(() => {
        rmSync(path("snapshots", id), { recursive: true });
        rmSync(path("containers", other), { recursive: true });
      });
      expect(await api.refusalOf(api.start("it"))).toMatchObject({ message: `There is no snapshot ${id}` });
      await api.start("other");
    });
  });

  test("a snapshot that is damaged is in nobody's way", async () => {
    const id = await api.create("it", program);
    await api.daemon.stop("SIGKILL");
    writeFileSync(path("snapshots", id, "snapshot.json"), "{");
    await api.daemon.launch();
    const refusal = await api.refusalOf(api.start("it"));
    expect(refusal?.message).toEndWith("snapshot.json: it is not a snapshot's record");
    expect(await api.wait(await api.run("other", ["true"]))).toBe(0);
    await api.daemon.restart(); // its log has the refusal as an error
  });
});
