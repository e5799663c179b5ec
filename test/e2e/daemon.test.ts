/** The daemon itself: flags, sockets, signals; and that containers, output and exit codes outlive it, however it ends. */

import { expect, test } from "bun:test";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestDaemon } from "../support/daemon.ts";
import { e2e, procStatus } from "../support/e2e.ts";
import { Session } from "../support/session.ts";

/** The JSON lines of a container's log, put together again. */
function logged(daemon: TestDaemon, id: string): string {
  const path = join(daemon.dataRoot, "containers", id, `${id}-json.log`);
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line).log).join("");
}

const counted = (last: number): string => Array.from({ length: last }, (_, at) => `line ${at}\n`).join("");

e2e("the daemon", (engine) => {
  const { docker, ok, inspect, sleeper } = engine;

  /** Another daemon beside ours, to its end. */
  const another = async (...flags: readonly string[]): Promise<{ code: number; output: string }> => {
    await using session = new Session(flags, { env: engine.daemon.env });
    const code = await session.exited;
    return { code, output: session.output };
  };
  const program = () => engine.daemon.command.slice(0, 3);

  test("the socket is for root and the group only, and the pid file has the pid", () => {
    const { mode } = statSync(engine.daemon.socket);
    expect((mode & 0o777).toString(8)).toBe("660");
    expect(readFileSync(engine.daemon.pidfile, "utf8")).toBe(`${engine.daemon.pid}\n`);
  });

  test("version and info tell what this is", async () => {
    const version = JSON.parse(await ok("version", "--format", "{{json .Server}}"));
    expect(version).toMatchObject({ Platform: { Name: "Bosun" }, Os: "linux", MinAPIVersion: "1.24" });
    const info = JSON.parse(await ok("info", "--format", "{{json .}}"));
    expect(info).toMatchObject({
      DockerRootDir: engine.daemon.dataRoot,
      OSType: "linux",
      LoggingDriver: "json-file",
      DefaultRuntime: "bosun",
      Swarm: { LocalNodeState: "inactive" },
    });
    expect(info.Containers).toBe(info.ContainersRunning + info.ContainersStopped);
    expect((await docker("info")).code).toBe(0);
  });

  test("a second daemon on the same data root is refused in words, and the first one goes on", async () => {
    const flags = ["--exec-root", engine.daemon.path("run-2"), "--pidfile", engine.daemon.path("pid-2")];
    const { code, output } = await another(
      ...program(),
      "-H",
      `unix://${engine.daemon.path("s-2")}`,
      "--data-root",
      engine.daemon.dataRoot,
      ...flags,
    );
    expect(output).toContain(`another daemon uses the data root ${engine.daemon.dataRoot}`);
    expect(code).toBe(1);
    expect(await ok("version", "--format", "{{.Server.Os}}")).toBe("linux");
  });

  test("a second daemon on the same socket or pid file is refused in words", async () => {
    const apart = (name: string) => [
      "--data-root",
      engine.daemon.path(`data-${name}`),
      "--exec-root",
      engine.daemon.path(`run-${name}`),
    ];
    const socket = await another(
      ...program(),
      "-H",
      engine.daemon.host,
      ...apart("3"),
      "--pidfile",
      engine.daemon.path("pid-3"),
    );
    expect([socket.code, socket.output]).toEqual([1, expect.stringContaining("another process serves it")]);
    const pid = await another(
      ...program(),
      "-H",
      `unix://${engine.daemon.path("s-4")}`,
      ...apart("4"),
      "--pidfile",
      engine.daemon.pidfile,
    );
    expect([pid.code, pid.output]).toEqual([
      1,
      expect.stringContaining("pid file found, ensure bosun is not running or delete"),
    ]);
    expect(readFileSync(engine.daemon.pidfile, "utf8")).toBe(`${engine.daemon.pid}\n`);
  });

  test.each([
    [["--colour"], "unknown or not yet supported flag: --colour"],
    [["--storage-driver", "zfs"], "invalid value for --storage-driver: zfs"],
    [["--mtu", "much"], "invalid value for --mtu: much"],
    [["-H", "ftp://x"], "ftp://x"],
    [["-H"], "flag needs an argument: -H"],
    [["surplus"], "unexpected argument: surplus"],
    [["--config-file", "/no/where.json"], "unable to configure the daemon with file /no/where.json"],
    [["-G", "nobody-has-this-group"], "group nobody-has-this-group not found"],
  ])("daemon %p is refused in words", async (flags, words) => {
    const name = Bun.hash(flags.join(" ")).toString(36);
    const apart = [
      "--data-root",
      engine.daemon.path(name),
      "--exec-root",
      engine.daemon.path(`${name}-run`),
      "--pidfile",
      engine.daemon.path(`${name}-pid`),
    ];
    const host = flags[0] === "-H" ? [] : ["-H", `unix://${engine.daemon.path(`${name}.sock`)}`];
    const { code, output } = await another(...program(), ...apart, ...host, ...flags);
    expect(output).toContain(words);
    expect(code).toBe(1);
  });

  test.if(Bun.which("python3") !== null)("-H fd:// serves the socket that a service manager passes", async () => {
    const path = engine.daemon.path("passed.sock");
    // what systemd does: a listening socket as descriptor 3, its number and whose it is in the environment, then exec
    const pass = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
`;
    const flags = [
      "-H",
      "fd://",
      "--data-root",
      engine.daemon.path("data-fd"),
      "--exec-root",
      engine.daemon.path("run-fd"),
    ];
    const more = ["--pidfile", engine.daemon.path("pid-fd"), "--cgroup-parent", engine.daemon.cgroupParent];
    await using session = new Session(["python3", "-c", pass, path, ...program(), ...flags, ...more], {
      env: engine.daemon.env,
    });
    await session.until("completed initialization");
    const run = ["-H", `unix://${path}`, "run", "-i", "--rm", "--network", "none", "bosun/hello"];
    expect((await docker(...run)).code).toBe(0);
    session.kill("SIGTERM");
    expect(await session.exited).toBe(0);
  });

  test("--help, --version and --validate start nothing", async () => {
    expect((await another(...program(), "--help")).output).toContain("--data-root");
    expect((await another(...program(), "--version")).output).toMatch(/^Bosun version \d/);
    const path = engine.daemon.path("daemon.json");
    writeFileSync(path, '{"debug": true, "hosts": ["unix:///x"], "log-opts": {"max-size": "1m"}}');
    expect(await another(...program(), "--validate", "--config-file", path)).toEqual({
      code: 0,
      output: "configuration OK\n",
    });
    writeFileSync(path, '{"colour": "red"}');
    const wrong = await another(...program(), "--validate", "--config-file", path);
    expect([wrong.code, wrong.output]).toEqual([1, expect.stringContaining("colour")]);
    writeFileSync(path, '{"debug": true}');
    const both = await another(...program(), "--validate", "--config-file", path, "--debug=false");
    expect([both.code, both.output]).toEqual([1, expect.stringContaining("debug")]);
  });

  test("SIGTERM ends the daemon cleanly, containers run on, and the next one has them again", async () => {
    const id = await sleeper("--name", "survivor");
    const pid = await inspect(id, "{{.State.Pid}}");
    const started = await inspect(id, "{{.State.StartedAt}}");
    await using watcher = engine.session({}, "events");
    await using follower = engine.session({}, "logs", "-f", id);
    expect(await engine.daemon.stop("SIGTERM")).toBe(0);
    await Promise.all([watcher.exited, follower.exited]);
    expect(existsSync(engine.daemon.socket)).toBe(false);
    expect(existsSync(engine.daemon.pidfile)).toBe(false);
    expect(readFileSync(`/proc/${pid}/comm`, "utf8")).toBe("sleep\n");
    expect((await docker("ps")).stderr).toContain("Is the docker daemon running?");
    await engine.daemon.launch();
    expect(await inspect(id, "{{.State.Running}} {{.State.Pid}} {{.State.StartedAt}}")).toBe(`true ${pid} ${started}`);
    expect(await ok("exec", id, "echo", "entered")).toBe("entered");
  });

  test("a request under way is finished before the daemon ends by SIGTERM", async () => {
    const id = await ok(
      "run",
      "-d",
      "--network",
      "none",
      "busybox",
      "sh",
      "-c",
      "trap 'sleep 0.5; exit 7' TERM; echo up; while :; do sleep 0.02; done",
    );
    await using follower = engine.session({}, "logs", "-f", id);
    await follower.until("up");
    const since = (Date.now() / 1000).toFixed(3);
    await using watcher = engine.session(
      {},
      "events",
      "--since",
      since,
      "--filter",
      "event=kill",
      "--format",
      "{{.Action}}",
    );
    const stopping = docker("stop", id);
    await watcher.until("kill");
    await engine.daemon.stop("SIGTERM");
    expect((await stopping).code).toBe(0);
    await engine.daemon.launch();
    expect(await inspect(id, "{{.State.ExitCode}}")).toBe("7");
  });

  test("kill -9 in the middle of output loses no byte of the log and no exit code", async () => {
    const script = "i=0; while [ $i -lt 60000 ]; do echo line $i; i=$((i+1)); done; exit 7";
    const id = await ok("run", "-d", "--network", "none", "busybox", "sh", "-c", script);
    await using follower = engine.session({}, "logs", "-f", id);
    await follower.until("line 1000\n");
    await engine.daemon.stop("SIGKILL");
    await engine.daemon.launch();
    expect(await ok("wait", id)).toBe("7");
    expect(logged(engine.daemon, id) === counted(60_000)).toBe(true);
    expect((await docker("logs", id)).stdout === counted(60_000)).toBe(true);
    expect(await inspect(id, "{{.State.Status}} {{.State.ExitCode}}")).toBe("exited 7");
  });

  test("an exit that happens while no daemon runs is told by the next one, with its time and last words", async () => {
    const script = "mknod /go p; echo ready; read line < /go; echo got $line; exit 9";
    const id = await ok("run", "-d", "--network", "none", "busybox", "sh", "-c", script);
    await using follower = engine.session({}, "logs", "-f", id);
    await follower.until("ready");
    const pid = await inspect(id, "{{.State.Pid}}");
    const shim = procStatus(pid, "PPid");
    await engine.daemon.stop("SIGKILL");
    writeFileSync(`/proc/${pid}/root/go`, "words\n");
    await Bun.$`tail --pid=${shim} -s 0.01 -f /dev/null`; // until it has ended
    const ended = Date.now();
    await engine.daemon.launch();
    expect(await ok("wait", id)).toBe("9");
    expect(await ok("logs", id)).toBe("ready\ngot words");
    expect(Date.parse(await inspect(id, "{{.State.FinishedAt}}"))).toBeLessThanOrEqual(ended);
    expect(await inspect(id, "{{.State.Status}}")).toBe("exited");
  });

  test("after kill -9 attach, exec, logs -f, wait, its address and rm work as before", async () => {
    const id = await ok("run", "-d", "-i", "--name", "adopted", "busybox", "cat");
    const address = await inspect(id, "{{.NetworkSettings.IPAddress}}");
    await engine.daemon.stop("SIGKILL");
    await engine.daemon.launch();
    expect(await inspect(id, "{{.NetworkSettings.IPAddress}}")).toBe(address);
    const next = await ok("run", "-d", "busybox", "sleep", "100");
    expect(await inspect(next, "{{.NetworkSettings.IPAddress}}")).not.toBe(address); // it is still taken
    await using follower = engine.session({}, "logs", "-f", id);
    await using client = engine.session({}, "attach", id);
    client.write("one\n");
    await Promise.all([client.until("one\n"), follower.until("one\n")]);
    expect(await ok("exec", id, "cat", "/proc/1/comm")).toBe("cat");
    const waiting = ok("wait", id);
    await ok("kill", id);
    expect(await waiting).toBe("137");
    expect(await follower.exited).toBe(0);
    await ok("rm", id);
  });

  test("after kill -9 a terminal can be attached to, resized and left", async () => {
    const id = await ok("run", "-dit", "--network", "none", "busybox", "sh");
    await engine.daemon.stop("SIGKILL");
    await engine.daemon.launch();
    await using session = engine.session({ terminal: { rows: 41, columns: 99 } }, "attach", id);
    session.write("\n");
    await session.until("# ");
    session.write("while ! stty size | grep '^41 99$'; do :; done\n");
    await session.until("\r\n41 99\r\n");
    session.write("\x10\x11");
    await session.exited;
    expect(await inspect(id, "{{.State.Running}}")).toBe("true");
  });

  test("--rm holds when the daemon was away while the container ended", async () => {
    const id = await ok("run", "-d", "--rm", "--network", "none", "busybox", "sleep", "100");
    const pid = Number(await inspect(id, "{{.State.Pid}}"));
    await engine.daemon.stop("SIGKILL");
    process.kill(pid, "SIGKILL");
    await engine.daemon.launch();
    const removed = await engine.daemon.api(`/containers/${id}/wait?condition=removed`, { method: "POST" });
    await removed.text(); // 404: it is gone already
    expect((await docker("inspect", id)).code).toBe(1);
  });

  test("kill -9 at any moment of run leaves nothing that the next daemon does not clean up", async () => {
    await engine.clear();
    for (const delayMs of [5, 15, 25, 35, 50, 70]) {
      const running = docker("run", "--rm", "busybox", "true");
      await Bun.sleep(delayMs); // a different moment each time; none of them may matter
      await engine.daemon.stop("SIGKILL");
      await running;
      await engine.daemon.launch();
    }
    expect(await engine.clear()).toEqual([]);
    expect(await ok("run", "--rm", "busybox", "echo", "works")).toBe("works");
  });

  test("restarts keep images, containers and the engine's identity", async () => {
    const id = await ok("create", "--name", "kept", "--label", "a=b", "busybox", "true");
    const before = [
      await inspect(id, "{{json .Config}}"),
      await ok("info", "--format", "{{.ID}}"),
      await ok("images", "-q"),
    ];
    await engine.daemon.restart();
    expect([
      await inspect("kept", "{{json .Config}}"),
      await ok("info", "--format", "{{.ID}}"),
      await ok("images", "-q"),
    ]).toEqual(before);
    expect(await ok("start", "kept")).toBe("kept");
  });
});
