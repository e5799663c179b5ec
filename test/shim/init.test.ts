/** docker-init, bound into a container as Docker does it. */

import { expect, test } from "bun:test";
import { builtFile } from "../../src/base/built.ts";
import * as op from "../../src/runtime/ops.ts";
import { type Box, finish, makeBox, readAll, unframe } from "../support/box.ts";

const BOUND = { inside: [op.bind(builtFile("bosun-shim"), "/sbin/docker-init", { flags: op.MS.rdonly })] };

const start = (box: Box, script: string) =>
  box.runtime.create("one", box.plan(["/sbin/docker-init", "--", "busybox", "sh", "-c", script], BOUND));

test("docker-init runs the command as its child, and ends as it does", async () => {
  await using box = await makeBox();
  const task = await start(box, "busybox cat /proc/1/comm; busybox ps -o pid,args | busybox tail -n +2; exit 42");
  const { stdout, code } = await finish(task);
  expect(stdout).toStartWith("docker-init\n");
  expect(stdout).toMatch(/\n\s+1 \/sbin\/docker-init -- busybox sh/);
  expect(code).toBe(42);
});

test("docker-init passes signals on, and tells the signal that ended the command", async () => {
  await using box = await makeBox();
  const script = "trap 'echo got; exit 3' TERM; echo go; while :; do busybox sleep 0.01; done";
  const task = await start(box, script);
  const stream = await task.attach({ stdin: false, stdout: true, stderr: false });
  await task.go();
  await new Promise((resolve) => stream.once("readable", resolve));
  const output = readAll(stream);
  await task.kill(15);
  expect(await task.exited).toMatchObject({ code: 3 });
  expect(unframe(await output).stdout.toString()).toBe("go\ngot\n");
});

test("docker-init tells 128 + the signal that ended the command", async () => {
  await using box = await makeBox();
  expect(await finish(await start(box, "kill -9 $$"))).toMatchObject({ code: 137 });
});

test("docker-init reaps what others leave behind", async () => {
  await using box = await makeBox();
  const script =
    "for i in 1 2 3; do (busybox sleep 0.01 & echo $! >> /left); done; while read pid; do while [ -e /proc/$pid ]; do busybox usleep 1000; done; done < /left; echo gone";
  expect(await finish(await start(box, script))).toMatchObject({ stdout: "gone\n", code: 0 }); // zombies would stay
});

test("docker-init says 127 when there is no such command", async () => {
  await using box = await makeBox();
  const task = await box.runtime.create("one", box.plan(["/sbin/docker-init", "--", "nosuch"], BOUND));
  expect(await finish(task)).toMatchObject({
    code: 127,
    stderr: "docker-init: exec nosuch: No such file or directory\n",
  });
});
