/** What goes wrong, goes wrong in Docker's words and with its exit codes; and nothing is left of it. */

import { afterEach, expect, test } from "bun:test";
import { e2e } from "../support/e2e.ts";
import { lastingLeftovers } from "../support/leftovers.ts";

e2e("errors", (engine) => {
  const { docker, ok } = engine;

  afterEach(async () => {
    for (const { Id } of await engine.daemon.json<{ Id: string }[]>("/containers/json?all=1"))
      await engine.daemon.api(`/containers/${Id}?force=1`, { method: "DELETE" });
    expect(await lastingLeftovers(engine.daemon)).toEqual([]);
  });

  test.each([
    ["a program that is missing", ["nowhere"], 127, 'exec: "nowhere": executable file not found in $PATH'],
    ["a path that is missing", ["/no/where"], 127, 'exec: "/no/where": '],
    ["an interpreter that is missing", ["/srv/wrong-interpreter"], 127, "no such file or directory"],
    ["a file that may not be executed", ["/srv/plain"], 126, "permission denied"],
    ["a folder", ["/srv"], 126, 'exec: "/srv": '],
    ["a file that is no program", ["/srv/not-a-program"], 125, "exec format error"],
  ])("run of %s", async (_, command, code, words) => {
    for (const flags of [["--rm"], ["--init", "--rm"]] as const) {
      const result = await docker("run", ...flags, "busybox", ...command);
      if (flags.length === 1) {
        expect(result.stderr).toContain(words);
        expect(result.stderr).toContain("Error response from daemon: failed to create task for container");
        expect(result.code).toBe(code);
      } else expect(result.code).not.toBe(0); // the init is found, and fails itself
    }
  });

  test("a container that could not start is there, says why and may be removed", async () => {
    expect((await docker("run", "--name", "failed", "busybox", "nowhere")).code).toBe(127);
    const [{ State }] = JSON.parse(await ok("inspect", "failed"));
    expect(State).toMatchObject({ Status: "created", Running: false, ExitCode: 127 });
    expect(State.Error).toContain("executable file not found");
    const again = await docker("start", "failed");
    expect(again.stderr).toContain("executable file not found");
    expect(again.code).toBe(1);
    expect(await ok("rm", "failed")).toBe("failed");
  });

  test.each([
    [["--user", "ghost"], "unable to find user ghost: no matching entries in passwd file"],
    [["--user", "0:ghosts"], "unable to find group ghosts: no matching entries in group file"],
    [["--group-add", "ghosts"], "nable to find group ghosts"],
    [["-w", "relative"], "the working directory 'relative' is invalid, it needs to be an absolute path"],
    [["-w", "/etc/passwd"], "not a directory"],
    [["-h", "not a name"], "invalid hostname format"],
    [["-v", "a/b:/data"], "includes invalid characters for a local volume name"],
    [["-v", "/tmp:relative"], "mount path must be absolute"],
    [["-v", "/tmp:/"], "destination can't be '/'"],
    [["-v", "/tmp:/mnt:sideways"], "invalid mode: sideways"],
    [["-v", "/tmp:/mnt", "--tmpfs", "/mnt"], "Duplicate mount point: /mnt"],
    [["--mount", "type=image,source=nowhere,target=/data"], "No such image: nowhere:latest"],
    [["--volume-driver", "other", "-v", "named:/data"], 'plugin "other" not found'],
    [["--gpus", "all"], 'could not select device driver "" with capabilities: [[gpu]]'],
    [["--device", "vendor.com/class=none"], "unresolvable CDI devices vendor.com/class=none"],
    [["--blkio-weight", "5"], "Range of blkio weight is from 10 to 1000"],
    [["--cgroup-parent", "system.slice"], "slices need systemd's cgroup driver"],
    [["--cgroup-parent", "../x"], "want a path without .."],
    [["--device-read-bps", "/dev/none:1mb"], "stat /dev/none: no such file or directory"],
    [["--memory-reservation", "1m"], "Minimum memory reservation allowed is 6MB"],
    [["--runtime", "other"], "unknown or invalid runtime name: other"],
    [["--log-driver", "splunk"], "logger: no log driver named 'splunk' is registered"],
    [["--volumes-from", "x"], "No such container: x"],
    [["--link", "x"], "could not get container for x: No such container: x"],
    [["--link", "x:y:z"], "bad format for links: x:y:z"],
    [["--pid", "container:x"], "failed to join PID namespace: No such container: x"],
    [["--ipc", "container:x"], "failed to join IPC namespace: No such container: x"],
    [["--security-opt", "label=type:x"], "SELinux is not supported"],
    [["--stop-signal", "SIGWHAT"], "nvalid signal"],
    [["--tmpfs", "/t:colour=red"], "tmpfs at /t"],
  ])("run %p is refused in words", async (flags, words) => {
    const { code, stderr, stdout } = await docker("run", ...flags, "busybox", "true");
    expect(stderr).toContain(words);
    expect(stdout).toBe("");
    expect([125, 126, 127]).toContain(code);
  });

  test("a name that is taken is a conflict, in the words that scripts match", async () => {
    const id = await ok("create", "--name", "taken", "busybox");
    const { code, stderr } = await docker("run", "--name", "taken", "busybox", "true");
    expect(stderr).toContain(
      `Conflict. The container name "/taken" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`,
    );
    expect(code).toBe(125);
    expect((await docker("create", "--name", "-x", "busybox")).stderr).toContain("Invalid container name (-x)");
  });

  test("an image that is missing is looked for in its registry, and what that says is told", async () => {
    const { code, stderr } = await docker("run", "--rm", "127.0.0.1:1/nobody/nothing:1", "true");
    expect(stderr).toContain("Unable to find image '127.0.0.1:1/nobody/nothing:1' locally");
    expect(stderr).toMatch(/connection refused|ECONNREFUSED|Unable to connect|connect/i);
    expect(code).toBe(125);
    expect((await docker("run", "--pull", "never", "nothing")).stderr).toContain("No such image: nothing:latest");
    expect((await docker("run", "UPPER")).stderr).toContain("must be lowercase");
  });

  test("requests that make no sense are 400 with a sentence", async () => {
    const create = async (body: string) => {
      const headers = { "Content-Type": "application/json" };
      const response = await engine.daemon.api("/containers/create", { method: "POST", headers, body });
      return [response.status, (await response.json()) as { message: string }] as const;
    };
    for (const body of [
      "{",
      "[]",
      '"x"',
      '{"Image":7}',
      '{"Image":"busybox","Cmd":[1]}',
      '{"Image":"busybox","Cmd":["a\\u0000b"]}',
      '{"Image":"busybox","HostConfig":[]}',
    ]) {
      const [status, { message }] = await create(body);
      expect([body, status]).toEqual([body, 400]);
      expect(message).toMatch(/invalid JSON/);
    }
  });

  test("a build is refused before anything is made", async () => {
    expect((await docker("build", "-q", "-")).code).not.toBe(0);
  });
});
