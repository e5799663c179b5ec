/** `docker exec`: a process that joins a running container. */

import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { e2e } from "../support/e2e.ts";

e2e("docker exec", (engine) => {
  const { docker, dockerWith, ok, inspect, sleeper } = engine;

  test("exec runs in the container's namespaces, folder and environment", async () => {
    const id = await sleeper("-h", "ship", "-e", "A=b", "-w", "/srv");
    const script = "hostname; pwd; echo $A; cat /proc/1/comm; echo mark > /tmp/mark";
    expect(await ok("exec", id, "sh", "-c", script)).toBe("ship\n/srv\nb\nsleep");
    expect(await ok("exec", id, "cat", "/tmp/mark")).toBe("mark");
    const namespaces = ["mnt", "pid", "net", "ipc", "uts"].map((name) => `/proc/self/ns/${name} /proc/1/ns/${name}`);
    const links = (await ok("exec", id, "sh", "-c", `for f in ${namespaces.join(" ")}; do readlink $f; done`)).split(
      "\n",
    );
    for (let at = 0; at < links.length; at += 2) expect(links[at]).toBe(links[at + 1] ?? "");
  });

  test("exec -e, -u and -w win over the container's", async () => {
    const id = await sleeper("-e", "A=container", "-e", "B=kept", "-u", "bob", "-w", "/srv");
    const script = "whoami; pwd; echo $A $B $HOME";
    expect(await ok("exec", id, "sh", "-c", script)).toBe("bob\n/srv\ncontainer kept /home/bob");
    const flags = ["-u", "root", "-w", "/tmp", "-e", "A=exec"];
    expect(await ok("exec", ...flags, id, "sh", "-c", script)).toBe("root\n/tmp\nexec kept /root");
  });

  test("exec exits as its program does, and tells streams apart", async () => {
    const id = await sleeper();
    expect(await docker("exec", id, "sh", "-c", "echo out; echo err >&2; exit 42")).toEqual({
      code: 42,
      stdout: "out\n",
      stderr: "err\n",
    });
    expect((await docker("exec", id, "sh", "-c", "kill -KILL $$")).code).toBe(137);
  });

  test.each([
    ["a program that is missing", ["nowhere"], 127, /executable file not found in \$PATH/],
    ["a path that is missing", ["/no/where"], 127, /no such file or directory/],
    ["a file that is no program", ["/srv/plain"], 126, /permission denied/],
    ["a folder", ["/srv"], 126, /permission denied|is a directory/],
  ])("exec of %s fails with Docker's words and exit code", async (_, command, code, message) => {
    const id = await sleeper();
    const result = await docker("exec", id, ...command);
    expect(result.stdout + result.stderr).toMatch(message);
    expect(result.code).toBe(code);
    expect(await inspect(id, "{{.State.Running}}")).toBe("true");
  });

  test("exec -i hands standard input over byte by byte", async () => {
    const id = await sleeper();
    const bytes = randomBytes(2 << 20);
    const { stdout } = await dockerWith({ stdin: bytes }, "exec", "-i", id, "sha256sum");
    expect(stdout.split(" ")[0]).toBe(new Bun.CryptoHasher("sha256").update(bytes).digest("hex"));
    expect((await dockerWith({ stdin: "words" }, "exec", id, "wc", "-c")).stdout.trim()).toBe("0");
  });

  test("exec -d returns at once and lets the program run", async () => {
    const id = await sleeper();
    await ok("exec", id, "mknod", "/tmp/pipe", "p");
    expect(await ok("exec", "-d", id, "sh", "-c", "echo $$ > /tmp/pipe; sleep 100; true")).toBe("");
    const pid = await ok("exec", id, "cat", "/tmp/pipe");
    expect(await ok("exec", id, "cat", `/proc/${pid}/comm`)).toBe("sh");
  });

  test("exec -it gives a terminal of the client's size, which follows it", async () => {
    const id = await sleeper();
    await using session = engine.session({ terminal: { rows: 33, columns: 77 } }, "exec", "-it", id, "sh");
    await session.until("# ");
    session.write("stty size; tty; echo $TERM\n");
    await session.until(/33 77\r\n\/dev\/pts\/\d+\r\nxterm\r\n/);
    session.write("while ! stty size | grep '^50 120$'; do :; done; exit 5\n");
    await session.resizeUntil({ rows: 50, columns: 120 }, "\r\n50 120\r\n");
    expect(await session.exited).toBe(5);
  });

  test("exec in a container has its limits, its capabilities and its filter", async () => {
    const id = await sleeper("--cap-drop", "ALL", "--security-opt", "no-new-privileges");
    const fields = "^(CapEff|CapBnd|Seccomp|NoNewPrivs):";
    const own = await ok("exec", id, "grep", "-E", fields, "/proc/self/status");
    expect(own).toBe(await ok("exec", id, "grep", "-E", fields, "/proc/1/status"));
    expect(own).toMatch(/CapEff:\s0+\n/);
    const [mine, first] = (await ok("exec", id, "sh", "-c", "cat /proc/self/cgroup; echo; cat /proc/1/cgroup")).split(
      "\n\n",
    );
    expect(mine).toBe(first ?? "");
    const all = await ok("exec", "--privileged", id, "grep", "-E", "^(CapEff|Seccomp):", "/proc/self/status");
    expect(all).not.toMatch(/CapEff:\s0+\n/);
    expect(all).toMatch(/Seccomp:\s2$/); // the container's filter
  });

  test("exec inherits no file of the engine's", async () => {
    const id = await sleeper();
    expect((await ok("exec", id, "ls", "/proc/self/fd")).split("\n")).toEqual(["0", "1", "2", "3"]); // 3 is ls's own
  });

  test("exec needs a container that runs", async () => {
    const id = await ok("create", "busybox", "true");
    const { code, stderr } = await docker("exec", id, "true");
    expect(stderr).toContain(`container ${id} is not running`);
    expect(code).toBe(1);
    expect((await docker("exec", "nobody", "true")).stderr).toContain("No such container: nobody");
  });

  test("exec ends with its container", async () => {
    const id = await sleeper();
    await using session = engine.session({}, "exec", id, "sh", "-c", "echo up; sleep 100");
    await session.until("up");
    await ok("kill", id);
    expect(await session.exited).toBe(137);
  });

  test("exec leaves nothing in the run directory", async () => {
    const id = await sleeper();
    for (let round = 0; round < 3; round++) await ok("exec", id, "true");
    await docker("exec", id, "nowhere");
    const folders = readdirSync(join(engine.daemon.execRoot, "tasks", id), { withFileTypes: true });
    expect(folders.filter((entry) => entry.isDirectory()).map(({ name }) => name)).toEqual([]);
  });

  test("exec can be inspected while it runs and after", async () => {
    const id = await sleeper();
    const create = await engine.daemon.post(`/containers/${id}/exec`, {
      Cmd: ["sh", "-c", "exit 9"],
      AttachStdout: true,
    });
    const { Id } = (await create.json()) as { Id: string };
    const exec = () => engine.daemon.json<Record<string, unknown>>(`/exec/${Id}/json`);
    expect(await exec()).toMatchObject({ ID: Id, Running: false, ExitCode: null, ContainerID: id });
    await (await engine.daemon.post(`/exec/${Id}/start`, {})).arrayBuffer();
    expect(await exec()).toMatchObject({ Running: false, ExitCode: 9 });
    expect((await engine.daemon.post(`/exec/${Id}/start`, {})).status).toBe(409);
    expect((await engine.daemon.post("/exec/nobody/start", {})).status).toBe(404);
  });
});
