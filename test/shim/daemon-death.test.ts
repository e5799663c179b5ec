/** A daemon may be killed at any moment: what was not started is gone, what was started misses nothing. */

import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import * as op from "../../src/runtime/ops.ts";
import { encodePlan, parseExit } from "../../src/runtime/protocol.ts";
import { ask, readToEnd } from "../../src/runtime/shim-socket.ts";
import { type Box, makeBox, shimsOf } from "../support/box.ts";
import { type Shim, startPlan, startShim } from "../support/shim.ts";

const hasProcess = (pid: number): boolean => existsSync(`/proc/${pid}`);

async function readyPid(shim: Shim): Promise<number> {
  const line = await shim.line();
  const pid = /^ready (\d+)$/.exec(line ?? "")?.[1];
  if (pid === undefined) throw new Error(`not ready: ${line}`);
  return Number(pid);
}

async function expectNothingLeft(box: Box, shim: Shim, code: number): Promise<void> {
  expect(await shim.exited).toBe(code);
  expect(await shimsOf(box.runRoot)).toEqual([]);
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(box.path);
}

test("a daemon that dies within the plan leaves nothing", async () => {
  await using box = await makeBox();
  const bytes = encodePlan(box.plan(["busybox", "true"]));
  const shim = await startShim(box, "run", bytes.subarray(0, bytes.length - 30));
  shim.die();
  await expectNothingLeft(box, shim, 1);
});

test("a daemon that dies while the plan is performed leaves nothing", async () => {
  await using box = await makeBox();
  // A fifo without a writer: the process stands in the middle of its plan until it is killed.
  const fifo = `${box.path}/fifo`;
  Bun.spawnSync(["mkfifo", fifo]);
  const shim = await startPlan(box, box.plan(["busybox", "true"], { inside: [op.join(fifo, op.CLONE.newUts)] }));
  while ((await shimsOf(box.runRoot)).length < 2) await Bun.sleep(1); // the shim and its child
  shim.die();
  await expectNothingLeft(box, shim, 1);
  expect(existsSync(shim.rundir)).toBe(false);
});

test("a daemon that dies between ready and go leaves nothing", async () => {
  await using box = await makeBox();
  const shim = await startPlan(box, box.plan(["busybox", "true"]));
  const pid = await readyPid(shim);
  expect(existsSync(`${shim.rundir}/pid`)).toBe(true);
  shim.die();
  await expectNothingLeft(box, shim, 1);
  expect(hasProcess(pid)).toBe(false);
  expect(existsSync(shim.rundir)).toBe(false);
});

test("a daemon that dies right after go misses neither output nor exit", async () => {
  await using box = await makeBox();
  const log = `${box.path}/log`;
  const plan = box.plan(["busybox", "sh", "-c", "echo survived; exit 9"], { before: [op.log(log)] });
  const shim = await startPlan(box, plan);
  await readyPid(shim);
  shim.write("go\0");
  shim.die();
  expect(await shim.exited).toBe(0);
  expect(parseExit(readFileSync(`${shim.rundir}/exit`, "utf8"))).toMatchObject({ code: 9 });
  expect(JSON.parse(readFileSync(log, "utf8")).log).toBe("survived\n");
});

test("a daemon that dies long after started is told the exit when it comes back", async () => {
  await using box = await makeBox();
  const stdio = op.stdio("pipe", { stdin: true, once: true });
  const shim = await startPlan(box, box.plan(["busybox", "sh", "-c", "read x; exit $x"], { stdio }));
  await readyPid(shim);
  shim.write("go\0");
  expect(await shim.line()).toBe("started");
  shim.die();
  const exit = readToEnd(await ask(shim.rundir, "wait"));
  (await ask(shim.rundir, "attach 1 0 0")).end("11\n");
  expect(await exit).toMatch(/^exit 11 0 \d+ \d+\n$/);
  expect(await shim.exited).toBe(0);
});

test("a process killed at wait fails the plan there", async () => {
  await using box = await makeBox();
  const plan = box.plan(["busybox", "true"]);
  const shim = await startPlan(box, plan);
  process.kill(await readyPid(shim), "SIGKILL");
  const index = plan.findIndex(([name]) => name === "wait");
  expect(await shim.line()).toBe(`fail ${index} 4 the process was killed before its program ran`);
  await expectNothingLeft(box, shim, 1);
});
