/** Terminals and attached clients: `run -it`, `attach`, detaching, resizing. */

import { expect, test } from "bun:test";
import { e2e } from "../support/e2e.ts";

const TERMINAL = { terminal: { rows: 24, columns: 80 } };
const CTRL_P = "\x10";
const CTRL_Q = "\x11";

e2e("docker attach", (engine) => {
  const { docker, ok, inspect } = engine;

  test("run -it gives an interactive shell that ends with its exit code", async () => {
    await using session = engine.session(TERMINAL, "run", "-it", "--rm", "busybox", "sh");
    await session.until("/ # ");
    session.write("test -t 0 && test -t 1 && test -t 2 && tty; echo $TERM\n");
    await session.until(/\/dev\/(console|pts\/0)\r\nxterm\r\n/);
    session.write("exit 3\n");
    expect(await session.exited).toBe(3);
  });

  test("run -it has the client's window from the first moment, and follows it", async () => {
    const script = "stty size; trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done";
    await using session = engine.session(
      { terminal: { rows: 33, columns: 77 } },
      ...["run", "-it", "--rm", "--init", "busybox", "sh", "-c", script],
    );
    await session.until(/^33 77\r\nready\r\n/);
    await session.resizeUntil({ rows: 40, columns: 100 }, "40 100\r\n");
    session.write("\x03");
    expect(await session.exited).toBe(130);
  });

  test("the terminal turns ctrl-c and ctrl-d into what they mean", async () => {
    await using session = engine.session(TERMINAL, "run", "-it", "--rm", "busybox", "sh");
    await session.until("# ");
    session.write("trap 'echo caught' INT; echo u''p; cat\n");
    await session.until("up\r\n");
    session.write("typed\n");
    await session.until("typed\r\ntyped\r\n");
    session.write("\x03");
    await session.until(/caught\r\n.*# /s);
    session.write("\x04");
    expect(await session.exited).toBe(130);
  });

  test("ctrl-p ctrl-q leaves a container that runs on, and attach comes back to it", async () => {
    await using session = engine.session(TERMINAL, "run", "-it", "--name", "left", "busybox", "sh");
    await session.until("# ");
    session.write("VALUE=kept\n");
    await session.until("# ", session.output.length);
    session.write(CTRL_P + CTRL_Q);
    expect(await session.exited).toBe(0);
    expect(await inspect("left", "{{.State.Running}}")).toBe("true");

    await using again = engine.session(TERMINAL, "attach", "left");
    again.write("echo $VALUE\n");
    await again.until("kept\r\n");
    again.write(CTRL_P);
    again.write(CTRL_Q); // in two pieces
    await again.exited;
    expect(await inspect("left", "{{.State.Running}}")).toBe("true");
  });

  test("ctrl-p that no ctrl-q follows reaches the program", async () => {
    await using session = engine.session(
      TERMINAL,
      "run",
      "-it",
      "--rm",
      "busybox",
      "sh",
      "-c",
      "stty raw -echo; echo up; head -c 2 | od -c",
    );
    await session.until("up");
    session.write(`${CTRL_P}x`);
    await session.until(/0000000 020\s+x/);
    expect(await session.exited).toBe(0);
  });

  test("--detach-keys chooses other keys", async () => {
    await using session = engine.session(
      TERMINAL,
      "run",
      "-it",
      "--name",
      "other-keys",
      "--detach-keys",
      "ctrl-x,y",
      "busybox",
      "sh",
    );
    await session.until("# ");
    session.write("\x18y");
    await session.exited;
    expect(await inspect("other-keys", "{{.State.Running}}")).toBe("true");
    expect((await docker("attach", "--detach-keys", "ctrl-€", "other-keys")).code).not.toBe(0);
  });

  test("attach shows what is printed from now on, to every client", async () => {
    const id = await ok("run", "-d", "-i", "busybox", "cat");
    await using one = engine.session({}, "attach", id);
    await using other = engine.session({}, "attach", "--no-stdin", id);
    await using follower = engine.session({}, "logs", "-f", id);
    // One that is attached shows the other's words as soon as both are: so they are written until all have seen them.
    const seen = Promise.all([one.until("word\n"), other.until("word\n"), follower.until("word\n")]);
    for (let done = false; !done; ) {
      one.write("word\n");
      done = await Promise.race([seen.then(() => true), Bun.sleep(20).then(() => false)]);
    }
    await ok("kill", id);
    expect(await other.exited).toBe(137);
  });

  test("attach before the start misses no byte", async () => {
    const id = await ok("create", "-a", "stdout", "busybox", "seq", "1", "1000");
    const { stdout, code } = await docker("start", "-a", id);
    expect(code).toBe(0);
    expect(stdout).toBe(Array.from({ length: 1000 }, (_, at) => `${at + 1}\n`).join(""));
  });

  test("start -ai gives the program's input and exit code", async () => {
    const id = await ok("create", "-i", "busybox", "sh", "-c", "read line; echo got $line; exit 4");
    const { stdout, code } = await engine.dockerWith({ stdin: "words\n" }, "start", "-ai", id);
    expect(stdout).toBe("got words\n");
    expect(code).toBe(4);
  });

  test("a client that leaves does not end the program", async () => {
    const id = await ok("run", "-d", "-i", "busybox", "sh", "-c", "yes | head -c 30000000 | wc -c; sleep 100");
    await using session = engine.session({}, "attach", id);
    session.kill("SIGKILL");
    await session.exited;
    await using follower = engine.session({}, "logs", "-f", id);
    await follower.until("30000000");
    expect(await inspect(id, "{{.State.Running}}")).toBe("true");
  });

  test("signals to an attached client are the program's", async () => {
    const script = "trap 'echo caught; exit 8' TERM; echo up; while :; do sleep 0.02; done";
    await using session = engine.session({}, "run", "--rm", "busybox", "sh", "-c", script);
    await session.until("up");
    session.kill("SIGTERM");
    await session.until("caught");
    expect(await session.exited).toBe(8);
  });

  test("attach needs a container that runs", async () => {
    const id = await ok("create", "busybox");
    const { stderr, code } = await docker("attach", id);
    expect(stderr).toContain("cannot attach to a stopped container");
    expect(code).toBe(1);
  });
});
