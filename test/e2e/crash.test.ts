/**
 * kill -9 of the daemon at any instant of any operation. The next one on the same folders starts without a complaint, remembers what is there and
 * nothing else, can do what was interrupted, and has lost neither a running container nor its output nor an exit code.
 */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { imageOf } from "../../bench/fixture/image.ts";
import { FakeRegistry } from "../fake/registry.ts";
import { withDaemon } from "../support/api.ts";
import { dockerArchive } from "../support/archive.ts";
import { rowsOf } from "../support/audit.ts";
import { interrupted, killedAtInstants, type Operation } from "../support/crash.ts";
import { INSTANTS } from "../support/instants.ts";

const threeLayers = () =>
  imageOf({
    layers: [3, 2, 0].map((megabytes, index) => [
      { name: `file-${index}`, content: Buffer.concat([randomBytes(megabytes << 20), Buffer.from("end")]) },
    ]),
  });

const TRAPPED = ["sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.02; done"];
const SHORT = ["sh", "-c", "echo hi; exit 4"];
const BRIDGED = { host: { NetworkMode: "bridge" } };

withDaemon("kill -9 of the daemon", (api) => {
  const archive = dockerArchive([{ image: threeLayers(), tags: ["loaded:1"] }]);
  const remote = threeLayers();
  let registry: FakeRegistry | undefined;
  beforeAll(async () => {
    registry = await FakeRegistry.start();
    registry.push("some/thing", "1", remote);
  });
  afterAll(() => registry?.[Symbol.asyncDispose]());
  const pulled = () => `${registry?.host}/some/thing:1`;
  /** Told to stop before its trap stands, it would have to be killed in the end. */
  async function running(): Promise<void> {
    await api.run("it", TRAPPED, BRIDGED);
    await api.says("it", /up/);
  }
  const remove = () => api.remove("it");
  const load = () => api.load(archive);
  const rmi = () => api.removeImage("loaded:1");
  const post = (path: string) => () => api.send("POST", path);
  const row = () => rowsOf(api.daemon).containers.find(({ name }) => name === "it");

  async function runAndRemove(): Promise<void> {
    const id = await api.create("it", SHORT, { host: { NetworkMode: "bridge", AutoRemove: true } });
    const removed = api.wait(id, "removed");
    removed.catch(() => {}); // looked at below, or by nobody when the start is interrupted
    await api.start(id);
    await removed;
  }

  const backOff = () => api.run("it", ["sh", "-c", "exit 6"], { host: { RestartPolicy: { Name: "always" } } });

  /** Once it was started it runs, or is about to again. */
  async function judgePolicy(): Promise<void> {
    const found = row();
    if (found && found.state.phase !== "created") expect(found.state.phase).toMatch(/^(running|restarting)$/);
  }

  async function paused(): Promise<void> {
    await running();
    await post("/containers/it/pause")();
  }

  async function runningWithExecs(): Promise<void> {
    await running();
    for (let count = 0; count < 3; count++) await api.exec("it", ["sleep", "1000"]);
  }

  /** A container that ran to its end ended as its program did and said what it said; one that never ran said nothing. */
  async function judgeRun(): Promise<void> {
    const found = row();
    if (!found) return;
    const ran = found.state.phase !== "created";
    expect([ran && (await api.wait("it")), await api.logged(found.id)]).toEqual(ran ? [4, "hi\n"] : [false, ""]);
  }

  /** With --rm there is no container that does not run, or is not just ending. */
  async function judgeRemoval(): Promise<void> {
    const found = row();
    const refusal = found && (await api.refusalOf(api.wait(found.id, "removed")));
    expect(refusal?.status ?? 404).toBe(404); // gone before it was asked, or soon after
  }

  async function judgeStop(): Promise<void> {
    const { State } = await api.inspect("it");
    if (!State.Running) expect(State.ExitCode).toBe(3);
  }

  const operations: Readonly<Record<string, Operation>> = {
    create: { act: () => api.create("it", SHORT) },
    start: { before: () => api.create("it", TRAPPED, BRIDGED), act: () => api.start("it") },
    run: { act: async () => api.wait(await api.run("it", SHORT, BRIDGED)), judge: judgeRun },
    "run --rm": { act: runAndRemove, judge: judgeRemoval },
    exec: { before: running, act: () => api.exec("it", ["sleep", "1000"]) },
    "rm -f with execs": { before: runningWithExecs, act: remove, again: remove },
    stop: { before: running, act: post("/containers/it/stop?t=10"), judge: judgeStop },
    kill: { before: running, act: post("/containers/it/kill") },
    restart: { before: running, act: post("/containers/it/restart?t=0") },
    rm: { before: async () => api.wait(await api.run("it", SHORT)), act: remove, again: remove },
    "restart policy": { act: () => backOff().then(() => api.wait("it")), judge: judgePolicy },
    pause: { before: running, act: post("/containers/it/pause") },
    unpause: { before: paused, act: post("/containers/it/unpause") },
    rename: { before: () => api.create("it", SHORT), act: post("/containers/it/rename?name=other") },
    load: { act: load, again: () => load().then(rmi) },
    pull: { act: () => api.pull(pulled()), again: () => api.pull(pulled()).then(() => api.removeImage(pulled())) },
    rmi: { before: load, act: rmi, again: () => rmi().catch(interrupted) },
    tag: {
      act: post("/images/busybox/tag?repo=other&tag=2"),
      again: () => post("/images/busybox/tag?repo=other&tag=2")().then(() => api.removeImage("other:2")),
    },
  };

  async function tidy(): Promise<void> {
    await api.remove("it");
    await api.remove("other");
  }

  let witness = { id: "", pid: 0 };
  const script = "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo line $i; sleep 0.005; done; exit 7";

  test("a container counts, all the while", async () => {
    const id = await api.run("witness", ["sh", "-c", script]);
    witness = { id, pid: (await api.inspect(id)).State.Pid };
    expect(witness.pid).toBeGreaterThan(1);
  });

  test.each(Object.keys(operations))("at any instant of %s everything holds", async (name) => {
    const operation = operations[name] ?? { act: async () => {} };
    await killedAtInstants(api, operation, {
      tidy,
      check: async (when) => expect([when, (await api.inspect("witness")).State.Pid]).toEqual([when, witness.pid]),
    });
  });

  test("the container that counted has lost no line, and its exit code is known", async () => {
    await api.exec("witness", ["touch", "/stop"]);
    expect(await api.wait("witness")).toBe(7);
    const lines = (await api.logged(witness.id)).trimEnd().split("\n");
    expect(lines).toEqual(lines.map((_, index) => `line ${index + 1}`));
    expect(lines.length).toBeGreaterThan(INSTANTS);
  });
});
