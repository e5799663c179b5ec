/**
 * What a daemon leaves that is killed between two steps, made by hand: every step that writes to the disk, the database or the kernel has a trace here that the
 * one after it would have taken away. The next daemon finishes or undoes it.
 */

import { Database } from "bun:sqlite";
import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Container } from "../../src/container/records.ts";
import { cgroupLayout } from "../../src/runtime/cgroup.ts";
import { withDaemon } from "../support/api.ts";
import { errorsIn, lastingContradictions, namesIn, rowsOf } from "../support/audit.ts";
import { until } from "../support/patience.ts";

const NEVER = "0001-01-01T00:00:00Z";
const ID = "ab".repeat(32);

withDaemon("what a killed daemon leaves", (api) => {
  const path = (...names: string[]) => join(api.daemon.dataRoot, ...names);
  const task = (...names: string[]) => join(api.daemon.execRoot, "tasks", ...names);

  /** While no daemon runs: the row as an earlier step wrote it. */
  function rewrite(id: string, change: (container: Container) => object): void {
    using database = new Database(path("bosun.db"));
    const row = rowsOf(api.daemon).containers.find((container) => container.id === id);
    if (!row) throw new Error(`no row ${id}`);
    database.run("UPDATE containers SET record = ? WHERE id = ?", [JSON.stringify(change(row)), id]);
  }

  /** Kills the daemon, does what it would have done or not, and starts the next one. */
  async function meanwhile(act: () => unknown): Promise<void> {
    await api.daemon.stop("SIGKILL");
    await act();
    await api.daemon.launch();
  }

  /** Ends when it is let go, and no sooner: a daemon is dead by then, however long that takes. */
  const held = (code: number) => ["sh", "-c", `until [ -e /go ]; do sleep 0.01; done; exit ${code}`];

  /** Lets one go. Returns when its shim has written down how it ended: it tells nobody, when there is no daemon. */
  async function ended(id: string): Promise<void> {
    const { state } = rowsOf(api.daemon).containers.find((container) => container.id === id) ?? {};
    if (state?.phase !== "running") throw new Error(`${id} does not run`);
    writeFileSync(`/proc/${state.pid}/root/go`, "");
    await until("its end is written down", () => existsSync(task(id, "exit")));
  }

  afterEach(async () => {
    await api.remove("it");
    expect(await lastingContradictions(api.daemon)).toEqual([]);
    expect(errorsIn(api.daemon.log)).toEqual([]);
  });

  const program = ["sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.02; done"];
  const host = { NetworkMode: "bridge" };

  test("a program that was let go before the row said so runs on, and its end is known", async () => {
    const id = await api.run("it", program, { host });
    const before = await api.inspect("it");
    await meanwhile(() =>
      rewrite(id, ({ state, ...rest }) => ({
        ...rest,
        state: { phase: "created" },
        starting: "2026-01-02T03:04:05.678Z",
      })),
    );
    const { State, NetworkSettings } = await api.inspect("it");
    expect(State).toMatchObject({ Running: true, Pid: before.State.Pid, StartedAt: "2026-01-02T03:04:05.678Z" });
    expect(NetworkSettings.IPAddress).toBe(before.NetworkSettings.IPAddress);
    await api.says("it", /up\n/); // process 1 is deaf to what it does not handle yet
    await api.send("POST", "/containers/it/stop");
    expect((await api.inspect("it")).State).toMatchObject({ Status: "exited", ExitCode: 5 });
  });

  test("a program that was let go and has ended since is known to have", async () => {
    const id = await api.run("it", held(6), { host });
    await meanwhile(async () => {
      await ended(id);
      rewrite(id, ({ state, ...rest }) => ({
        ...rest,
        state: { phase: "created" },
        starting: new Date().toISOString(),
      }));
    });
    expect(await api.wait("it", "not-running")).toBe(6);
    expect((await api.inspect("it")).State.Status).toBe("exited");
  });

  test("a process that was never let go was never there, and the container can be started", async () => {
    const id = await api.create("it", ["sh", "-c", "exit 6"], { host });
    await meanwhile(() => rewrite(id, (row) => ({ ...row, starting: new Date().toISOString() })));
    expect((await api.inspect("it")).State).toMatchObject({ Status: "created", StartedAt: NEVER });
    await api.start("it");
    expect(await api.wait("it")).toBe(6);
  });

  test("a run directory without a process goes, and the container can be started", async () => {
    const id = await api.create("it", ["sh", "-c", "exit 6"], { host });
    await meanwhile(() => mkdirSync(task(id)));
    expect(existsSync(task(id))).toBe(false);
    await api.start("it");
    expect(await api.wait("it")).toBe(6);
  });

  test("an exec's run directory without a process goes; so does that of an exec which has ended", async () => {
    const id = await api.run("it", program, { host });
    const exec = await api.exec("it", ["sh", "-c", "sleep 0.1"]);
    await meanwhile(() => mkdirSync(task(id, "unborn")));
    await until("the exec's directory is gone", () => !existsSync(task(id, exec)));
    expect((await namesIn(task(id))).filter((name) => !/^(pid|shim.sock)$/.test(name))).toEqual([]);
    expect((await api.inspect("it")).State.Running).toBe(true);
  });

  test("an exit code outlasts its daemon at every step of the end: before the row, and after it", async () => {
    for (const isWritten of [false, true]) {
      const id = await api.run("it", held(9), { host });
      const last = { code: 9, startedAt: NEVER, finishedAt: new Date().toISOString(), oomKilled: false, error: "" };
      await meanwhile(async () => {
        await ended(id);
        if (isWritten) rewrite(id, (row) => ({ ...row, state: { phase: "exited", last }, endpoint: undefined }));
      });
      expect(await api.wait("it")).toBe(9);
      await api.start("it");
      expect(await api.wait("it")).toBe(9);
      await api.remove("it");
    }
  });

  test("--rm is kept whether the end was written or not, or there was no start", async () => {
    const removing = { host: { ...host, AutoRemove: true } };
    for (const phase of ["running", "exited", "created"]) {
      const id = await api.create("it", held(2), removing);
      if (phase === "created") await meanwhile(() => {});
      else {
        await api.start("it");
        const last = { code: 2, startedAt: NEVER, finishedAt: NEVER, oomKilled: false, error: "" };
        await meanwhile(async () => {
          await ended(id);
          if (phase === "exited") rewrite(id, (row) => ({ ...row, state: { phase, last }, endpoint: undefined }));
        });
      }
      await api.wait(id, "removed").catch(() => {}); // 404: it is gone already
      expect(rowsOf(api.daemon).containers).toEqual([]);
    }
  });

  test.each([["with everything there"], ["without its snapshot"], ["without its folder"]])(
    "a removal is finished: %s",
    async (what) => {
      const id = await api.create("it", program);
      await meanwhile(() => {
        rewrite(id, (row) => ({ ...row, state: { phase: "removing" } }));
        if (what.includes("snapshot")) rmSync(path("snapshots", id), { recursive: true });
        if (what.includes("folder")) rmSync(path("containers", id), { recursive: true });
      });
      expect(await api.refusalOf(api.inspect("it"))).toMatchObject({ status: 404 });
      await api.create("it", program);
    },
  );

  test("a creation that did not come to its row is undone: its folder, its snapshot, and halves of them", async () => {
    const id = await api.create("it", program);
    const record = readFileSync(path("snapshots", id, "snapshot.json"), "utf8");
    await meanwhile(() => {
      for (const folder of ["containers/new-x", `containers/${ID}`, `snapshots/${ID}/diff`, `snapshots/new-${ID}/diff`])
        mkdirSync(path(folder), { recursive: true });
      writeFileSync(path("snapshots", ID, "snapshot.json"), record);
      writeFileSync(path("containers", id, "new-config.v2.json"), "{");
    });
    expect(await namesIn(path("snapshots"))).toEqual([id]);
    expect(await namesIn(path("containers"))).toEqual([id]);
    await api.start("it");
  });

  test("a cgroup without a container goes, with what is in it", async () => {
    const layout = cgroupLayout(readFileSync("/proc/self/mountinfo", "utf8"));
    const mount =
      layout?.version === 2
        ? layout.mount
        : layout?.hierarchies.find(({ controllers }) => controllers.includes("pids"))?.mount;
    const cgroup = join(mount ?? "", api.daemon.cgroupParent, ID);
    await api.run("it", program, { host });
    const stray = Bun.spawn(["sleep", "1000"]);
    await meanwhile(() => {
      mkdirSync(cgroup);
      writeFileSync(join(cgroup, "cgroup.procs"), String(stray.pid));
    });
    expect(await stray.exited).toBe(137);
    expect(existsSync(cgroup)).toBe(false);
    expect((await api.inspect("it")).State.Running).toBe(true);
  });

  test("a bridge that was made but not set up is", async () => {
    const { bridge } = api.daemon;
    const ip = (...words: string[]) => Bun.spawnSync(["ip", ...words]);
    await meanwhile(() => {
      ip("link", "delete", bridge);
      ip("link", "add", bridge, "type", "bridge");
      Bun.spawnSync(["nft", "delete", "table", "ip", `bosun-${bridge}`]);
    });
    await api.run("it", ["sh", "-c", "ping -c 1 -W 10 $(ip route | sed -n 's/default via \\([0-9.]*\\) .*/\\1/p')"], {
      host,
    });
    expect(await api.wait("it")).toBe(0);
    expect(Bun.spawnSync(["nft", "list", "table", "inet", `bosun-${bridge}`]).stdout.toString()).toContain(
      "masquerade",
    );
  });

  test("files of images that no row needs go: blobs, parts, layers, halves of them, and a spooled archive", async () => {
    const [layer = ""] = await namesIn(path("layers"));
    await meanwhile(() => {
      writeFileSync(path("blobs", "sha256", ID), "x");
      writeFileSync(path("blobs", "sha256", `part-${ID}`), "x");
      for (const folder of [`layers/${ID}`, `layers/new-${layer}-1`, `layers/rm-${layer}`, "tmp/new-load-abcdef"])
        mkdirSync(path(folder), { recursive: true });
    });
    expect(await lastingContradictions(api.daemon)).toEqual([]);
    expect(existsSync(path("tmp", "new-load-abcdef"))).toBe(false);
  });

  test("a log that was cut in the middle of a line is read without it", async () => {
    const id = await api.run("it", ["sh", "-c", "echo one; echo two"]);
    await api.wait("it");
    const log = path("containers", id, `${id}-json.log`);
    await meanwhile(() => writeFileSync(log, readFileSync(log, "utf8").slice(0, -12)));
    const text = await api.send("GET", "/containers/it/logs?stdout=1");
    expect(text).toContain("one\n");
    expect(text).not.toContain("two");
  });
});
