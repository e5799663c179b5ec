/** What every Runtime does. Run by runtime-*.test.ts, one for each implementation. */

import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import { mkdir, readFile, readlink, rm } from "node:fs/promises";
import * as op from "../../src/runtime/ops.ts";
import { PlanError, type Runtime, type Task } from "../../src/runtime/runtime.ts";
import { type Box, finish, makeBox, type OtherRuntime, readAll, unframe } from "../support/box.ts";
import { failureOf } from "../support/errors.ts";
import { until } from "../support/patience.ts";

const ALL = { stdin: true, stdout: true, stderr: true };
const INTERACTIVE = op.stdio("pipe", { stdin: true, once: true });

const textOf = (path: string): Promise<string> => readFile(path, "utf8").catch(() => "");

async function planErrorOf(call: () => Promise<unknown>): Promise<PlanError> {
  try {
    await call();
  } catch (error) {
    if (error instanceof PlanError) return error;
    throw error;
  }
  throw new Error("no error");
}

/** @param reopen  a runtime over the same run directories, as a daemon that was restarted has it */
export function runtimeSuite(name: string, reopen: (box: Box) => Runtime, other?: OtherRuntime): void {
  const sh = (box: Box, script: string, options = {}) => box.plan(["busybox", "sh", "-c", script], options);
  const create = (box: Box, script: string, options = {}): Promise<Task> =>
    box.runtime.create("one", sh(box, script, options));

  /** Other runtimes do not know operations, and tell earlier that a program is missing. */
  const plans = test.skipIf(other !== undefined);

  const rounds = other === undefined ? 20 : 2; // they take their time

  describe(name, () => {
    test("create() returns with the process standing at wait, in namespaces of its own", async () => {
      await using box = await makeBox(other);
      const task = await create(box, "echo ran > /tmp/x");
      const ns = (pid: number | "self") => readlink(`/proc/${pid}/ns/mnt`);
      expect(await ns(task.pid)).not.toBe(await ns("self"));
      expect(await Bun.file(`/proc/${task.pid}/root/tmp/x`).exists()).toBe(false);
      expect(await box.runtime.list()).toEqual(["one"]);
    });

    test("go() runs the program, exited tells its code", async () => {
      await using box = await makeBox(other);
      const before = Date.now();
      const task = await create(box, "exit 7");
      await task.go();
      const { code, signal, at } = await task.exited;
      expect({ code, signal }).toEqual({ code: 7, signal: undefined });
      expect(at.getTime()).toBeWithin(before - 1, Date.now() + 1);
    });

    test("exited tells the signal that ended the program", async () => {
      await using box = await makeBox(other);
      const task = await create(box, "read line", { stdio: INTERACTIVE });
      await task.go();
      await task.kill(9);
      expect(await task.exited).toMatchObject({ code: 137, signal: 9 });
    });

    plans("create() throws PlanError and leaves nothing when an operation fails", async () => {
      await using box = await makeBox(other);
      const failed = op.mount("nosuchfs", "none", "/mnt");
      const error = await planErrorOf(() => create(box, "true", { inside: [failed] }));
      expect([error.op, error.code]).toEqual([failed, "ENODEV"]);
      expect(await box.runtime.list()).toEqual([]);
      expect(await box.runtime.find("one")).toBeUndefined();
    });

    plans("go() throws PlanError and leaves nothing when the program is missing", async () => {
      await using box = await makeBox(other);
      const task = await box.runtime.create("one", box.plan(["nosuch"]));
      const error = await planErrorOf(() => task.go());
      expect(error.message).toBe('exec: "nosuch": executable file not found in $PATH');
      expect(error.code).toBe("ENOENT");
      expect(await box.runtime.list()).toEqual([]);
    });

    test("create() is a conflict when the task exists", async () => {
      await using box = await makeBox(other);
      await create(box, "true");
      expect(await failureOf(() => create(box, "true"))).toBe("conflict: task one exists already");
    });

    test("create() takes over what an ended task left", async () => {
      await using box = await makeBox(other);
      for (const code of [3, 4]) {
        const task = await create(box, `exit ${code}`);
        await task.go();
        expect(await task.exited).toMatchObject({ code });
      }
    });

    test("create() makes nothing in a task that has ended", async () => {
      await using box = await makeBox(other);
      const plan = box.plan(["busybox", "true"]);
      expect(await failureOf(() => box.runtime.create("one/exec", plan))).toBe("notFound: task one has ended");
      expect(await box.runtime.list()).toEqual([]);
    });

    test("find() counts a task as killed that a dying daemon never finished making", async () => {
      await using box = await makeBox(other);
      await mkdir(`${box.runRoot}/one`, { recursive: true });
      const again = reopen(box);
      expect(await again.list()).toEqual(["one"]);
      const task = await again.find("one");
      expect(await task?.exited).toMatchObject({ code: 137, signal: 9 });
      await task?.delete();
      expect(await again.list()).toEqual([]);
    });

    test("kill() and exited do without the run directory", async () => {
      await using box = await makeBox(other);
      const task = await create(box, "trap 'exit 5' TERM; echo up; while :; do busybox sleep 0.01; done", {
        stdio: INTERACTIVE,
      });
      const stream = await task.attach({ stdin: false, stdout: true, stderr: false });
      await task.go();
      await once(stream, "data"); // the trap stands: process 1 of a namespace is deaf to what it does not handle
      await rm(`${box.runRoot}/one`, { recursive: true });
      await task.kill(15);
      expect(await task.exited).toMatchObject({ code: 5 });
      expect(await failureOf(() => task.kill(15))).toBe("notFound: task one has ended");
    });

    test.each(["", "a/b/c", "../x", "a/..", "a//b"])("create() refuses the id %j", async (id) => {
      await using box = await makeBox(other);
      expect(await failureOf(() => box.runtime.create(id, []))).toStartWith("invalid: invalid task id");
    });

    test("attach() before go misses nothing, and keeps stdout and stderr apart", async () => {
      await using box = await makeBox(other);
      const result = await box.run("echo out; echo err >&2; exit 3");
      expect(result).toEqual({ code: 3, stdout: "out\n", stderr: "err\n" });
    });

    test("attach() gives only the streams asked for", async () => {
      await using box = await makeBox(other);
      const task = await create(box, "echo out; echo err >&2");
      const stream = await task.attach({ stdin: false, stdout: false, stderr: true });
      await task.go();
      const { stdout, stderr } = unframe(await readAll(stream));
      expect([stdout.toString(), stderr.toString()]).toEqual(["", "err\n"]);
    });

    test("attach() passes stdin on, and its end ends the program's", async () => {
      await using box = await makeBox(other);
      const task = await create(box, "busybox cat; echo over", { stdio: INTERACTIVE });
      const stream = await task.attach(ALL);
      await task.go();
      stream.end("one\ntwo\n");
      expect(unframe(await readAll(stream)).stdout.toString()).toBe("one\ntwo\nover\n");
      expect(await task.exited).toMatchObject({ code: 0 });
    });

    test("attach() gives raw bytes and resize() sets the size with a terminal", async () => {
      await using box = await makeBox(other);
      const stdio = op.stdio("pty", { stdin: true });
      const task = await create(box, "busybox tty; busybox stty size; read x; echo got $x", { stdio });
      await task.resize(33, 99);
      const stream = await task.attach(ALL);
      await task.go();
      stream.write("hello\n");
      const text = (await readAll(stream)).toString().replaceAll("\r\n", "\n");
      expect(text.replace("hello\n", "")).toBe("/dev/pts/0\n33 99\ngot hello\n");
    });

    test("resize() is invalid without a terminal", async () => {
      await using box = await makeBox(other);
      const task = await create(box, "true");
      expect(await failureOf(() => task.resize(1, 1))).toStartWith("invalid: ");
    });

    test("attach() and kill() find nothing when the task has ended", async () => {
      await using box = await makeBox(other);
      const task = await create(box, "true");
      await task.go();
      await task.exited;
      expect(await failureOf(() => task.attach(ALL))).toBe("notFound: task one has ended");
      expect(await failureOf(() => task.kill(15))).toBe("notFound: task one has ended");
    });

    test("find() of a new daemon reconnects with what runs", async () => {
      await using box = await makeBox(other);
      const task = await create(box, "read line; exit 5", { stdio: INTERACTIVE });
      await task.go();
      const again = await reopen(box).find("one");
      expect(again?.pid).toBe(task.pid);
      (await again?.attach(ALL))?.end("line\n");
      expect(await again?.exited).toMatchObject({ code: 5 });
      expect(await task.exited).toMatchObject({ code: 5 });
    });

    test("find() of a new daemon tells the exit that nobody saw", async () => {
      await using box = await makeBox(other);
      const task = await create(box, "exit 6");
      await task.go();
      const seen = await task.exited;
      expect(await (await reopen(box).find("one"))?.exited).toEqual(seen);
    });

    test("exited counts a shim that vanished as SIGKILL, and the process is gone", async () => {
      await using box = await makeBox(other);
      const task = await create(box, "read line", { stdio: INTERACTIVE });
      await task.go();
      const stat = await Bun.file(`/proc/${task.pid}/stat`).text();
      process.kill(Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]), "SIGKILL");
      expect(await task.exited).toMatchObject({ code: 137, signal: 9 });
      expect(await (await reopen(box).find("one"))?.exited).toMatchObject({ code: 137, signal: 9 });
      // The kernel ends it in its own time; nobody tells us, since it is not our child.
      await until("the process is gone", async () => !/\) [^ZX]/.test(await textOf(`/proc/${task.pid}/stat`)));
    });

    test("list() names tasks and the tasks that joined them", async () => {
      await using box = await makeBox(other);
      const task = await create(box, "read line", { stdio: INTERACTIVE });
      await task.go();
      await box.runtime.create("one/exec", joined(task, "true"));
      expect([...(await box.runtime.list())].sort()).toEqual(["one", "one/exec"]);
    });

    test("create() joins the namespaces of a task", async () => {
      await using box = await makeBox(other);
      const task = await create(box, "read line", { stdio: INTERACTIVE });
      await task.go();
      const script = "hostname; busybox ps -o args | busybox head -2 | busybox tail -1; echo err >&2; exit 4";
      const exec = await box.runtime.create("one/exec", joined(task, script));
      expect(await finish(exec)).toEqual({ code: 4, stdout: "box\nbusybox sh -c read line\n", stderr: "err\n" });
    });

    test("delete() is idempotent, and ends what was not started", async () => {
      await using box = await makeBox(other);
      const task = await create(box, "true");
      await task.delete();
      await task.delete();
      expect(await box.runtime.list()).toEqual([]);
      expect(await Bun.file(`/proc/${task.pid}/stat`).exists()).toBe(false);
    });

    test("delete() of a task and of those that joined it may happen at once", async () => {
      await using box = await makeBox(other);
      for (let round = 0; round < rounds; round++) {
        const task = await create(box, "read line", { stdio: INTERACTIVE });
        await task.go();
        const names = ["one/a", "one/b", "one/c"];
        const execs = await Promise.all(names.map((id) => box.runtime.create(id, joined(task, "read line"))));
        await Promise.all(execs.map((exec) => exec.go()));
        await task.kill(9);
        await Promise.all([task, ...execs].map(async (each) => each.exited.then(() => each.delete())));
        expect(await box.runtime.list()).toEqual([]);
      }
    });

    test("logChanges() yields at first, at changes, and ends with the task", async () => {
      await using box = await makeBox(other);
      const path = `${box.path}/log`;
      const options = { stdio: INTERACTIVE, before: [op.log(path)] };
      const task = await create(box, "while read line; do echo got $line; done", options);
      await task.go();
      const stdin = await task.attach({ stdin: true, stdout: false, stderr: false });
      let sent = 0;
      for await (const _ of task.logChanges()) {
        const lines = (await Bun.file(path).text()).split("\n").length - 1;
        if (lines < sent) continue;
        if (sent === 3) stdin.end();
        else stdin.write(`${sent++}\n`);
      }
      const logged = (await Bun.file(path).text()).trim().split("\n");
      expect(logged.map((line) => JSON.parse(line).log)).toEqual(["got 0\n", "got 1\n", "got 2\n"]);
    });

    test("logChanges() ends when it is aborted", async () => {
      await using box = await makeBox(other);
      const task = await create(box, "read line", { stdio: INTERACTIVE, before: [op.log(`${box.path}/log`)] });
      await task.go();
      const stop = new AbortController();
      let count = 0;
      for await (const _ of task.logChanges(stop.signal)) if (++count === 2) stop.abort();
      expect(count).toBe(2);
    });

    test("run() performs a plan without a process, and throws PlanError", async () => {
      await using box = await makeBox(other);
      await box.runtime.run([op.mkdir(`${box.path}/a/b`)]);
      expect(await Bun.file(`${box.path}/a/b`).stat()).toMatchObject({ mode: 0o40755 });
      const failed = op.bind("/nonexistent", `${box.path}/a`);
      const error = await planErrorOf(() => box.runtime.run([failed]));
      expect([error.op, error.code]).toEqual([failed, "ENOENT"]);
    });
  });

  /** A process in the namespaces of `task`. */
  function joined(task: Task, script: string): op.Plan {
    const ns = (kind: string) => `/proc/${task.pid}/ns/${kind}`;
    return [
      op.stdio("pipe"),
      op.join(ns("pid"), op.CLONE.newPid),
      op.clone(0),
      op.join(ns("net"), op.CLONE.newNet),
      op.join(ns("ipc"), op.CLONE.newIpc),
      op.join(ns("uts"), op.CLONE.newUts),
      op.join(ns("mnt"), op.CLONE.newNs),
      op.session(),
      op.user(""),
      op.cwd("/"),
      op.env(["PATH=/bin"]),
      op.wait(),
      op.exec("busybox", "sh", "-c", script),
    ];
  }
}
