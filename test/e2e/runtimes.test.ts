/** Containers of other OCI runtimes, by --runtime: all that the engine promises holds for them, too. */

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { e2e } from "../support/e2e.ts";
import { OWN_RUNTIME, RUNTIMES } from "../support/oci.ts";

const NAMES = RUNTIMES.map(([name]) => (name === "runc" ? "debian-runc" : "ours"));
const flags = RUNTIMES.flatMap(([, program], at) => ["--add-runtime", `${NAMES[at]}=${program}`]);

e2e(
  "other runtimes",
  (engine) => {
    const { docker, ok, inspect } = engine;

    describe.each(NAMES.map((name) => [name]))("%s", (name) => {
      const run = (...words: readonly string[]) => docker("run", "--runtime", name, "--network", "none", ...words);

      test("run: streams, exit code, user by name, environment and limits", async () => {
        const script =
          "echo $A; id -un; id -Gn; pwd; hostname; echo oops >&2; cat /proc/self/limits | grep 'open files'; exit 7";
        const options = [
          "--rm",
          "--user",
          "bob",
          "-e",
          "A=b",
          "-w",
          "/srv",
          "--hostname",
          "box",
          "--ulimit",
          "nofile=77:99",
        ];
        const { code, stdout, stderr } = await run(...options, "busybox", "sh", "-c", script);
        expect(stdout.replace(/ +/g, " ")).toBe("b\nbob\nbob staff\n/srv\nbox\nMax open files 77 99 files \n");
        expect([stderr, code]).toEqual(["oops\n", 7]);
      });

      test("what isolates a container is told to the runtime", async () => {
        const script =
          "grep -E 'Seccomp:|CapBnd|NoNew' /proc/self/status; cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null; touch /x; cat /proc/timer_list | wc -c; echo 1 > /proc/sys/kernel/panic; ls /dev";
        const options = [
          "--rm",
          "--read-only",
          "--cap-drop",
          "ALL",
          "--cap-add",
          "KILL",
          "--security-opt",
          "no-new-privileges",
          "--memory",
          "64m",
        ];
        const { stdout, stderr } = await run(...options, "busybox", "sh", "-c", script);
        expect(stdout).toMatch(/^CapBnd:\s+0000000000000020$/m);
        expect(stdout).toMatch(/^Seccomp:\s+2$/m);
        expect(stdout).toMatch(/^NoNewPrivs:\s+1$/m);
        if (existsSync("/sys/fs/cgroup/memory")) expect(stdout).toMatch(/^67108864$/m);
        expect(stdout).toMatch(/^0$/m);
        expect(stderr.match(/Read-only file system/g)).toHaveLength(2);
        expect(stdout).toContain("urandom");
      });

      test("mounts: binds, volumes and tmpfs", async () => {
        const folder = engine.daemon.path("");
        const options = ["--rm", "-v", `${folder}:/host:ro`, "-v", "data:/data", "--tmpfs", "/t:size=64k"];
        const { stdout, stderr } = await run(
          ...options,
          "busybox",
          "sh",
          "-c",
          "touch /data/x && echo ok; touch /host/x; grep ' /t ' /proc/mounts",
        );
        expect(stdout).toMatch(/^ok\ntmpfs \/t tmpfs .*size=64k/);
        expect(stderr).toContain("/host/x: Read-only file system");
      });

      test("a terminal, stdin and signals", async () => {
        expect((await run("--rm", "-t", "busybox", "tty")).stdout).toBe("/dev/pts/0\r\n");
        expect((await docker("run", "--runtime", name, "--rm", "-i", "busybox", "cat")).stdout).toBe("");
        const id = await ok(
          "run",
          "-d",
          "--runtime",
          name,
          "busybox",
          "sh",
          "-c",
          "trap 'exit 9' TERM; touch /tmp/up; while :; do sleep 0.01; done",
        );
        expect(await inspect(id, "{{.HostConfig.Runtime}}")).toBe(name);
        await ok("exec", id, "sh", "-c", "while ! [ -e /tmp/up ]; do sleep 0.01; done"); // the trap stands
        expect(await ok("exec", "--user", "bob", id, "sh", "-c", "id -un; pwd")).toBe("bob\n/");
        expect((await docker("exec", "-t", id, "tty")).stdout).toBe("/dev/pts/0\r\n");
        expect((await docker("exec", id, "sh", "-c", "exit 4")).code).toBe(4);
        expect((await docker("exec", id, "nosuch")).code).toBe(127);
        await ok("stop", id);
        expect(await inspect(id, "{{.State.Status}} {{.State.ExitCode}}")).toBe("exited 9");
        await ok("start", id);
        await ok("rm", "--force", id);
      });

      test.each([
        ["nosuch", 127],
        ["/etc/passwd", 126],
      ])("%s is no program", async (program, code) => {
        expect((await run("--rm", "busybox", program)).code).toBe(code);
      });

      test("a container with a network has it", async () => {
        const { stdout } = await docker(
          "run",
          "--rm",
          "--runtime",
          name,
          "busybox",
          "ip",
          "-4",
          "addr",
          "show",
          "eth0",
        );
        expect(stdout).toContain("inet ");
      });

      test("output and exit code outlive the daemon", async () => {
        const id = await ok(
          "run",
          "-d",
          "--runtime",
          name,
          "busybox",
          "sh",
          "-c",
          "while ! [ -e /tmp/go ]; do sleep 0.01; done; echo done; exit 5",
        );
        await engine.daemon.stop("SIGKILL");
        await engine.daemon.launch();
        await ok("exec", "-d", id, "touch", "/tmp/go"); // nobody waits for it: the container's end may be its own
        expect(await ok("wait", id)).toBe("5");
        expect(await ok("logs", id)).toBe("done");
        await ok("rm", id);
      });
    });

    test("nothing of a bundle stays", async () => {
      await ok("run", "--rm", "--runtime", NAMES[0] ?? "", "busybox", "true");
      const left = readdirSync(join(engine.daemon.execRoot, "oci")).filter((name) => !name.startsWith("state-"));
      expect(left).toEqual([]);
    });

    test("what other runtimes cannot be told is refused", async () => {
      await ok("run", "-d", "--name", "donor", "--ipc", "shareable", "busybox", "sleep", "1000");
      const { stderr } = await docker(
        "run",
        "--runtime",
        NAMES[0] ?? "",
        "--ipc",
        "container:donor",
        "busybox",
        "true",
      );
      expect(stderr).toContain("share cannot be told to this runtime");
    });

    test("names: unknown ones are refused, Docker's own mean ours, info lists all", async () => {
      expect((await docker("run", "--runtime", "nosuch", "busybox", "true")).stderr).toContain(
        "unknown or invalid runtime name: nosuch",
      );
      expect((await docker("run", "--rm", "--runtime", "runc", "--network", "none", "busybox", "true")).code).toBe(0);
      const info = await engine.daemon.json<{ Runtimes: object; DefaultRuntime: string }>("/info");
      expect(info.DefaultRuntime).toBe("bosun");
      expect(info.Runtimes).toMatchObject({
        bosun: { path: "bosun-shim" },
        runc: { path: "bosun-shim" },
        ours: { path: OWN_RUNTIME },
      });
    });
  },
  flags,
);
