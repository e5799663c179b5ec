/** A container's life: create, start, stop, kill, restart, wait, rename, rm; how ps and inspect show it. */

import { expect, test } from "bun:test";
import { e2e } from "../support/e2e.ts";

const NEVER = "0001-01-01T00:00:00Z";

e2e("a container's life", (engine) => {
  const { docker, ok, inspect, sleeper } = engine;

  const names = async (...flags: readonly string[]): Promise<string[]> => {
    const text = await ok("ps", "--format", "{{.Names}}", ...flags);
    return text === "" ? [] : text.split("\n").toSorted();
  };

  /** Runs a script in the background, until it says `up`: before that, process 1 may not hear signals yet. */
  const started = async (script: string, ...options: readonly string[]): Promise<string> => {
    const entrypoint = options.includes("--entrypoint") ? [] : ["busybox", "sh"];
    const id = await ok("run", "-d", ...options, ...entrypoint, "-c", script);
    await using follower = engine.session({}, "logs", "-f", id);
    await follower.until("up\n");
    return id;
  };

  test("create makes a container that does not run, and start runs it", async () => {
    const id = await ok("create", "--name", "made", "busybox", "sleep", "100");
    expect(await inspect(id, "{{.Name}} {{.State.Status}} {{.State.Pid}} {{.State.StartedAt}}")).toBe(
      `/made created 0 ${NEVER}`,
    );
    expect(await ok("ps", "-a", "--filter", "name=made", "--format", "{{.Status}}")).toBe("Created");
    expect(await ok("start", "made")).toBe("made");
    expect(await inspect(id, "{{.State.Status}} {{.State.Running}} {{.State.FinishedAt}}")).toBe(
      `running true ${NEVER}`,
    );
    expect(await ok("ps", "--filter", "name=made", "--format", "{{.Status}}")).toMatch(/^Up /);
    expect(await ok("start", "made")).toBe("made"); // twice is no error
  });

  test("stop sends the stop signal, waits, and then kills", async () => {
    const polite = await started("trap 'exit 9' TERM; echo up; while :; do sleep 0.02; done");
    await ok("stop", polite);
    expect(await inspect(polite, "{{.State.Status}} {{.State.ExitCode}}")).toBe("exited 9");
    expect(await ok("stop", polite)).toBe(polite); // twice is no error

    const deaf = await ok("run", "-d", "busybox", "sleep", "100"); // process 1 without a handler hears no SIGTERM
    const before = Date.now();
    await ok("stop", "-t", "1", deaf);
    expect(Date.now() - before).toBeWithin(900, 9500); // by itself it would wait for ten seconds
    expect(await inspect(deaf, "{{.State.ExitCode}}")).toBe("137");
  });

  test("stop takes signal and timeout from the container, or from the request", async () => {
    const script = "trap 'exit 1' TERM; trap 'exit 2' USR1; trap 'exit 3' USR2; echo up; while :; do sleep 0.02; done";
    const own = await started(script, "--stop-signal", "SIGUSR1");
    await ok("stop", own);
    expect(await inspect(own, "{{.State.ExitCode}} {{.Config.StopSignal}}")).toBe("2 SIGUSR1");
    const asked = await started(script);
    await ok("stop", "--signal", "USR2", asked);
    expect(await inspect(asked, "{{.State.ExitCode}}")).toBe("3");
    const image = await started(script, "--entrypoint", "sh", "opinionated:1");
    await ok("stop", image);
    expect(await inspect(image, "{{.State.ExitCode}}")).toBe("2");
    const short = await ok("run", "-d", "--stop-timeout", "0", "busybox", "sleep", "100");
    await ok("stop", short);
    expect(await inspect(short, "{{.State.ExitCode}} {{.Config.StopTimeout}}")).toBe("137 0");
  });

  test.each([
    ["HUP", 1],
    ["SIGUSR1", 10],
    ["12", 12],
    ["usr2", 12],
  ])("kill -s %s sends that signal", async (signal, number) => {
    const script = 'for s in 1 10 12; do trap "exit $((40 + $s))" $s; done; echo up; while :; do sleep 0.02; done';
    const id = await ok("run", "-d", "busybox", "sh", "-c", script);
    await using follower = engine.session({}, "logs", "-f", id);
    await follower.until("up");
    await ok("kill", "-s", signal, id);
    expect(await ok("wait", id)).toBe(String(40 + number));
  });

  test("kill without a signal ends the container before it returns", async () => {
    const id = await sleeper();
    await ok("kill", id);
    expect(await inspect(id, "{{.State.Status}} {{.State.ExitCode}} {{.State.Pid}}")).toBe("exited 137 0");
    const again = await docker("kill", id);
    expect(again.stderr).toContain(`cannot kill container: ${id}: container ${id} is not running`);
    expect((await docker("kill", "-s", "NONSENSE", await sleeper())).stderr).toMatch(/invalid signal/i);
  });

  test("wait prints the exit code, of a container that runs or that has ended", async () => {
    const id = await ok("run", "-d", "-i", "busybox", "sh", "-c", "read line; exit 6");
    const waiting = ok("wait", id);
    await using session = engine.session({}, "attach", id);
    session.write("\n");
    expect(await waiting).toBe("6");
    expect(await ok("wait", id)).toBe("6");
  });

  test("wait on the next exit outlasts a container that has not started", async () => {
    const id = await ok("create", "busybox", "sh", "-c", "exit 5");
    const response = await engine.daemon.api(`/containers/${id}/wait?condition=next-exit`, { method: "POST" });
    expect(response.status).toBe(200); // the headers are here, the container is not even started
    await ok("start", id);
    expect(await response.json()).toEqual({ StatusCode: 5 });
  });

  test("restart ends the program and starts it again with all that it has written", async () => {
    const script = "trap 'exit 0' TERM; echo run >> /runs; cat /runs | wc -l; while :; do sleep 0.02; done";
    const id = await ok("run", "-d", "busybox", "sh", "-c", script);
    await using follower = engine.session({}, "logs", "-f", id);
    await follower.until("1\n");
    const pid = await inspect(id, "{{.State.Pid}}");
    expect(await ok("restart", id)).toBe(id);
    await using again = engine.session({}, "logs", "-f", id);
    await again.until("2\n");
    expect(await inspect(id, "{{.State.Running}}")).toBe("true");
    expect(await inspect(id, "{{.State.Pid}}")).not.toBe(pid);
    await ok("stop", id);
    await ok("restart", id); // one that does not run is started
    await using third = engine.session({}, "logs", "-f", id);
    await third.until("3\n");
  });

  test("rename changes the name and frees the old one", async () => {
    const id = await ok("create", "--name", "before", "busybox");
    await ok("rename", "before", "after");
    expect(await inspect("after", "{{.Id}} {{.Name}}")).toBe(`${id} /after`);
    expect((await docker("inspect", "before")).code).toBe(1);
    await ok("create", "--name", "before", "busybox");
    const clash = await docker("rename", "before", "after");
    expect(clash.stderr).toContain(`The container name "/after" is already in use by container "${id}"`);
    expect((await docker("rename", "before", "not/valid")).stderr).toContain("Invalid container name");
  });

  test("rm removes what does not run, and rm -f what does", async () => {
    const id = await sleeper("--name", "stubborn");
    const refused = await docker("rm", "stubborn");
    expect(refused.stderr).toContain(
      'cannot remove container "stubborn": container is running: stop the container before removing or force remove',
    );
    expect(refused.code).toBe(1);
    expect(await ok("rm", "-f", "stubborn")).toBe("stubborn");
    expect((await docker("inspect", id)).code).toBe(1);
    const ended = await ok("create", "busybox");
    expect(await ok("rm", ended)).toBe(ended);
    expect((await docker("rm", ended)).stderr).toContain(`No such container: ${ended}`);
  });

  test("containers are found by id, by its beginning, and by name with or without a slash", async () => {
    const id = await ok("create", "--name", "found", "busybox");
    for (const reference of [id, id.slice(0, 12), id.slice(0, 5), "found", "/found"])
      expect(await inspect(reference, "{{.Id}}")).toBe(id);
  });

  test("ps lists what runs, ps -a everything, and filters choose", async () => {
    await engine.clear();
    const up = await sleeper("--name", "up", "--label", "kind=a", "--label", "side");
    await docker("run", "--name", "down", "--label", "kind=b", "busybox", "sh", "-c", "exit 4");
    const old = await ok("create", "--name", "made", "--network", "none", "--expose", "80", "opinionated:1");
    await sleeper("--name", "up-too", "-v", "/tmp:/mnt");
    expect(await names()).toEqual(["up", "up-too"]);
    expect(await names("-a")).toEqual(["down", "made", "up", "up-too"]);
    expect(await names("-n", "2")).toEqual(["made", "up-too"]);
    expect(await names("-l")).toEqual(["up-too"]);
    const cases: readonly (readonly [string, readonly string[]])[] = [
      ["status=exited", ["down"]],
      ["status=created", ["made"]],
      ["status=running", ["up", "up-too"]],
      ["exited=4", ["down"]],
      ["label=kind", ["down", "up"]],
      ["label=kind=a", ["up"]],
      ["label=side", ["up"]],
      ["name=up", ["up", "up-too"]],
      ["name=^/?up$", ["up"]],
      [`id=${up.slice(0, 12)}`, ["up"]],
      ["ancestor=opinionated:1", ["made"]],
      ["network=none", ["made", "up", "up-too"]],
      ["network=bridge", ["down"]],
      ["volume=/mnt", ["up-too"]],
      ["expose=80", ["made"]],
      ["before=made", ["down", "up"]],
      [`since=${old}`, ["up-too"]],
      ["health=none", ["down", "made", "up", "up-too"]],
    ];
    for (const [filter, expected] of cases)
      expect([filter, ...(await names("-a", "--filter", filter))]).toEqual([filter, ...expected]);
    expect(await names("-a", "--filter", "status=exited", "--filter", "status=created")).toEqual(["down", "made"]);
    expect(await names("-a", "--filter", "label=kind", "--filter", "status=running")).toEqual(["up"]);
    expect((await docker("ps", "--filter", "colour=red")).stderr).toContain("invalid filter 'colour'");
  });

  test("ps shows id, image, command, state and size", async () => {
    const id = await ok("run", "-d", "--name", "row", "busybox", "sh", "-c", "echo 12345 > /file; sleep 100");
    await using follower = engine.session({}, "exec", id, "sh", "-c", "while [ ! -s /file ]; do :; done; echo written");
    await follower.until("written");
    const row = await ok(
      "ps",
      "--no-trunc",
      "--filter",
      "name=row",
      "--format",
      "{{.ID}}|{{.Image}}|{{.Command}}|{{.State}}|{{.Networks}}",
    );
    expect(row).toBe(`${id}|busybox|"sh -c 'echo 12345 > /file; sleep 100'"|running|bridge`);
    expect(await ok("ps", "-s", "--filter", "name=row", "--format", "{{.Size}}")).toMatch(/^\d[\d.]*k?B \(virtual \d/);
  });

  test("inspect tells what was asked for, in Docker's fields", async () => {
    const flags = [
      "-e",
      "A=b",
      "-w",
      "/srv",
      "-h",
      "ship",
      "-u",
      "bob",
      "-t",
      "-i",
      "--read-only",
      "-m",
      "64m",
      "--cpus",
      "0.5",
    ];
    const more = [
      "--pids-limit",
      "50",
      "--cap-add",
      "NET_ADMIN",
      "--cap-drop",
      "MKNOD",
      "--tmpfs",
      "/cache:size=1m",
      "-v",
      "/tmp:/host:ro",
    ];
    const id = await ok(
      "create",
      "--name",
      "full",
      ...flags,
      ...more,
      "--entrypoint",
      "/bin/sh",
      "busybox",
      "-c",
      "true",
    );
    const [document] = JSON.parse(await ok("inspect", "full"));
    expect(document).toMatchObject({
      Id: id,
      Name: "/full",
      Path: "/bin/sh",
      Args: ["-c", "true"],
      Platform: "linux",
      RestartCount: 0,
      State: {
        Status: "created",
        Running: false,
        Paused: false,
        Restarting: false,
        OOMKilled: false,
        Dead: false,
        ExitCode: 0,
      },
      Config: {
        Hostname: "ship",
        User: "bob",
        Tty: true,
        OpenStdin: true,
        Env: ["PATH=/usr/local/bin:/bin", "A=b"],
        Cmd: ["-c", "true"],
        Entrypoint: ["/bin/sh"],
        WorkingDir: "/srv",
        Image: "busybox",
      },
      HostConfig: {
        NetworkMode: "bridge",
        ReadonlyRootfs: true,
        Memory: 64 << 20,
        NanoCpus: 500_000_000,
        PidsLimit: 50,
        CapAdd: ["CAP_NET_ADMIN"],
        CapDrop: ["CAP_MKNOD"],
        Tmpfs: { "/cache": "size=1m" },
        Binds: ["/tmp:/host:ro"],
        Privileged: false,
        AutoRemove: false,
        RestartPolicy: { Name: "no", MaximumRetryCount: 0 },
        LogConfig: { Type: "json-file", Config: {} },
      },
      Mounts: [{ Type: "bind", Source: "/tmp", Destination: "/host", Mode: "ro", RW: false, Propagation: "rprivate" }],
      LogPath: `${engine.daemon.dataRoot}/containers/${id}/${id}-json.log`,
    });
    expect(document.Image).toBe(await ok("image", "inspect", "--format", "{{.Id}}", "busybox"));
    expect(Date.parse(document.Created)).toBeGreaterThan(Date.now() - 60_000);
  });

  test("inspect tells times and exit of a container that has ended", async () => {
    const id = await ok("run", "-d", "busybox", "sh", "-c", "exit 2");
    await ok("wait", id);
    const state = JSON.parse(await inspect(id, "{{json .State}}"));
    expect(state).toMatchObject({ Status: "exited", Running: false, ExitCode: 2, Pid: 0, Error: "" });
    expect(Date.parse(state.FinishedAt)).toBeGreaterThanOrEqual(Date.parse(state.StartedAt));
    expect(await ok("ps", "-a", "--filter", `id=${id}`, "--format", "{{.Status}}")).toMatch(/^Exited \(2\) .+ ago$/);
  });

  test("diff tells what a container has changed", async () => {
    const id = await ok("run", "-d", "busybox", "sh", "-c", "echo x > /srv/new; rm /etc/motd; echo y >> /etc/group");
    await ok("wait", id);
    expect((await ok("diff", id)).split("\n").toSorted()).toEqual([
      "A /srv/new",
      "C /etc",
      "C /etc/group",
      "C /srv",
      "D /etc/motd",
    ]);
  });

  test("diff tells nothing of what was made to mount on, when the image lacks it", async () => {
    const id = await ok("run", "-d", "--init", "bosun/hello");
    await ok("wait", id);
    expect(await ok("diff", id)).toBe("");
  });

  test("container prune removes what does not run", async () => {
    await engine.clear();
    const running = await sleeper();
    const ended = await ok("create", "busybox");
    expect(await ok("container", "prune", "-f")).toContain(ended);
    expect(await ok("ps", "-aq", "--no-trunc")).toBe(running);
  });

  test("many containers at once start, run and go", async () => {
    const all = Array.from({ length: 12 }, (_, at) =>
      docker("run", "--rm", "busybox", "sh", "-c", `echo ${at}; exit ${at}`),
    );
    for (const [at, result] of (await Promise.all(all)).entries())
      expect(result).toEqual({ code: at, stdout: `${at}\n`, stderr: "" });
  });

  test("start, stop and rm of one container at the same time end in one of the states that are possible", async () => {
    for (let round = 0; round < 5; round++) {
      const id = await ok("create", "--stop-timeout", "0", "busybox", "sleep", "100");
      await Promise.all([docker("start", id), docker("stop", id), docker("start", id), docker("kill", id)]);
      expect(await inspect(id, "{{.State.Status}}")).toMatch(/^(created|running|exited)$/);
      await Promise.all([docker("rm", "-f", id), docker("rm", "-f", id), docker("start", id)]);
      expect((await docker("inspect", id)).code).toBe(1);
    }
  });
});
