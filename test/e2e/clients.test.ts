/** Other clients than docker's own command: docker-py, curl, and `bosun` itself. */

import { expect, test } from "bun:test";
import { e2e } from "../support/e2e.ts";
import { Session, type Size } from "../support/session.ts";

const python = ["/usr/bin/python3", "python3"].find(
  (name) => Bun.which(name) && Bun.spawnSync([name, "-c", "import docker"]).exitCode === 0,
);
if (!python) console.log("docker-py is not tested: it is not installed (Debian: python3-docker)");

const BOSUN = [process.execPath, new URL("../../src/main.ts", import.meta.url).pathname];

e2e("other clients", (engine) => {
  const { ok } = engine;

  test.if(python !== undefined)("docker-py runs, execs, attaches, follows and removes", async () => {
    const script = `
import docker, socket
client = docker.DockerClient(base_url="${engine.daemon.host}")
assert client.ping()
assert client.version()["ApiVersion"]
assert client.containers.run("busybox", "echo hello", remove=True) == b"hello\\n"
try:
    client.containers.run("busybox", "sh -c 'exit 3'", remove=True)
    raise SystemExit("no error")
except docker.errors.ContainerError as error:
    assert error.exit_status == 3
try:
    client.containers.get("nobody")
    raise SystemExit("no error")
except docker.errors.NotFound:
    pass
c = client.containers.run("busybox", "sh -c 'echo one; echo two >&2; cat'", detach=True, stdin_open=True, name="py", labels={"a": "b"})
assert c.status == "created" or c.status == "running"
c.reload()
assert c.status == "running" and c.labels["a"] == "b", c.status
code, output = c.exec_run("sh -c 'echo out; echo err >&2; exit 4'", demux=True)
assert code == 4 and output == (b"out\\n", b"err\\n"), (code, output)
stream = c.attach_socket(params={"stdin": 1, "stream": 1})
stream._sock.sendall(b"typed\\n")
stream._sock.close()
lines = []
for chunk in c.logs(stream=True, follow=True):
    lines.append(chunk)
    if b"typed" in b"".join(lines):
        break
assert b"one\\n" in b"".join(lines)
assert [x.name for x in client.containers.list(filters={"label": "a=b"})] == ["py"]
c.rename("py2")
c.kill()
assert c.wait()["StatusCode"] == 137
c.remove()
image = client.images.get("busybox")
assert "busybox:latest" in image.tags
image.tag("tagged", "1")
client.images.remove("tagged:1")
events = list(client.events(since=0, until=1, decode=True))
assert events == []
assert client.networks.list(names=["bridge"])[0].name == "bridge"
print("all fine")
`;
    const child = Bun.spawn([python ?? "", "-c", script], { env: engine.daemon.env, stdout: "pipe", stderr: "pipe" });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    expect([err, out]).toEqual(["", "all fine\n"]);
  });

  const bosun = async (...args: readonly string[]) => {
    const child = Bun.spawn([...BOSUN, ...args], {
      env: engine.daemon.env,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { code, stdout, stderr };
  };

  const session = (terminal: Size, ...args: readonly string[]) =>
    new Session([...BOSUN, ...args], { env: engine.daemon.env, terminal });

  test("bosun run prints, exits as the program does, and removes", async () => {
    const script = "echo out; echo err >&2; exit 5";
    expect(await bosun("run", "--rm", "--name", "mine", "busybox", "sh", "-c", script)).toEqual({
      code: 5,
      stdout: "out\n",
      stderr: "err\n",
    });
    expect(await ok("ps", "-aq", "--filter", "name=mine")).toBe("");
    expect((await bosun("run", "--rm", "busybox", "nowhere")).code).toBe(127);
    expect((await bosun("run", "--rm", "busybox", "/srv")).code).toBe(126);
    expect((await bosun("run", "--colour", "busybox")).code).toBe(125);
  });

  test("bosun run takes docker's flags", async () => {
    const path = engine.daemon.path("bosun-mount");
    const flags = [
      "-e",
      "A=b",
      "-w",
      "/srv",
      "-u",
      "bob",
      "-h",
      "ship",
      "-v",
      `${path}:/mnt:ro`,
      "--tmpfs",
      "/t:size=1m",
      "--read-only",
    ];
    const more = [
      "--cap-drop",
      "ALL",
      "-m",
      "64m",
      "--pids-limit",
      "30",
      "--network",
      "none",
      "--init",
      "--ulimit",
      "nofile=99",
      "--label",
      "x=y",
    ];
    const script =
      "echo $A; pwd; whoami; hostname; cat /proc/1/comm; ulimit -n; (touch /mnt/x /x) 2>&1 | wc -l; touch /t/x; ls /sys/class/net";
    const { stdout, stderr } = await bosun("run", "--rm", ...flags, ...more, "busybox", "sh", "-c", script);
    expect(stderr).toBe("");
    expect(stdout.split("\n")).toEqual(["b", "/srv", "bob", "ship", "docker-init", "99", "2", "lo", ""]);
  });

  test("bosun run -it is a terminal that follows the window", async () => {
    await using terminal = session({ rows: 30, columns: 90 }, "run", "-it", "--rm", "busybox", "sh");
    await terminal.until("# ");
    terminal.write("stty size\n");
    await terminal.until(/30 90\r+\n/);
    terminal.write("while ! stty size | grep '^31 91$'; do :; done; exit 6\n");
    await terminal.resizeUntil({ rows: 31, columns: 91 }, /\n31 91\r+\n/);
    expect(await terminal.exited).toBe(6);
  });

  test("bosun ps, logs, exec, stop and rm do what docker's do", async () => {
    const id = (
      await bosun("run", "-d", "--name", "ours", "--stop-timeout", "0", "busybox", "sh", "-c", "seq 1 10; sleep 100")
    ).stdout.trim();
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    const [heading = "", row = ""] = (await bosun("ps")).stdout.split("\n");
    expect(heading).toMatch(/^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES$/);
    expect(row).toMatch(new RegExp(`^${id.slice(0, 12)} +busybox +"sh -c .*" +.* ago +Up .* +ours$`));
    expect(await bosun("exec", "-e", "A=b", "ours", "sh", "-c", "echo $A; exit 3")).toEqual({
      code: 3,
      stdout: "b\n",
      stderr: "",
    });
    await using follower = new Session([...BOSUN, "logs", "-f", "ours"], { env: engine.daemon.env });
    await follower.until("10\n");
    expect((await bosun("logs", "--tail", "2", "ours")).stdout).toBe("9\n10\n");
    expect((await bosun("rm", "ours")).stderr).toContain("stop the container before removing or force remove");
    expect((await bosun("stop", "ours")).stdout).toBe("ours\n");
    expect(await follower.exited).toBe(0);
    expect((await bosun("ps", "-aq", "--no-trunc")).stdout).toContain(id);
    expect(await bosun("rm", "ours", "nobody")).toEqual({
      code: 1,
      stdout: "ours\n",
      stderr: "Error response from daemon: No such container: nobody\n",
    });
  });

  test("bosun images, load, version and info show what docker's do", async () => {
    const { stdout } = await bosun("images");
    expect(stdout).toMatch(/^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE\n/);
    expect(stdout).toMatch(/^busybox +latest +[0-9a-f]{12} +.* ago +[\d.]+[kM]B$/m);
    expect((await bosun("version")).stdout).toContain("API version");
    expect((await bosun("info")).stdout).toContain(`Docker Root Dir: ${engine.daemon.dataRoot}`);
    expect((await bosun("fly")).code).not.toBe(0);
    const lost = Bun.spawn([...BOSUN, "-H", "unix:///no/where.sock", "ps"], { stderr: "pipe", stdout: "ignore" });
    expect(await lost.stderr.text()).toContain(
      "Cannot connect to the Docker daemon at unix:///no/where.sock. Is the docker daemon running?",
    );
  });

  test.if(Bun.which("curl") !== null)("curl can attach without an upgrade, and follow", async () => {
    const id = await ok("create", "busybox", "seq", "1", "3");
    const url = (path: string) => [
      "curl",
      "-sN",
      "--unix-socket",
      engine.daemon.socket,
      "-X",
      "POST",
      `http://d${path}`,
    ];
    await using attached = new Session(url(`/v1.41/containers/${id}/attach?stream=1&stdout=1&logs=1`), {
      env: engine.daemon.env,
    });
    const chosen = ["--filter", `container=${id}`, "--filter", "event=attach"];
    await using events = engine.session({}, "events", "--since", "1", ...chosen);
    await events.until("attach");
    await using start = new Session(url(`/containers/${id}/start`), { env: engine.daemon.env });
    expect(await start.exited).toBe(0);
    await attached.until("3\n");
    expect(await attached.exited).toBe(0);
  });
});
