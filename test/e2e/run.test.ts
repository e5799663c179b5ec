/** `docker run`: what a program finds when it starts, what comes out of it, and how its end is told. */

import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { e2e } from "../support/e2e.ts";

e2e("docker run", (engine) => {
  const { docker, dockerWith, ok, sh, inspect } = engine;

  test("run prints what the program prints, each on its stream", async () => {
    expect(await docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")).toEqual({
      code: 0,
      stdout: "out\n",
      stderr: "err\n",
    });
  });

  test.each([
    ["exit 0", 0],
    ["exit 7", 7],
    ["exit 255", 255],
    ["sh -c 'kill -TERM $$'; exit $?", 143],
  ])("run exits as the program does when it runs: %s", async (script, code) => {
    expect((await docker("run", "--rm", "busybox", "sh", "-c", script)).code).toBe(code);
  });

  test("run exits with 137 when the first process itself is killed", async () => {
    await using session = engine.session(
      {},
      "run",
      "--rm",
      "--name",
      "victim",
      "busybox",
      "sh",
      "-c",
      "echo up; sleep 99",
    );
    await session.until("up");
    await ok("kill", "victim");
    expect(await session.exited).toBe(137);
  });

  test("run -d prints the id and leaves the program running", async () => {
    const id = await ok("run", "-d", "--name", "background", "busybox", "sleep", "100");
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    expect(await inspect("background", "{{.Id}} {{.State.Running}}")).toBe(`${id} true`);
  });

  test("run keeps the container, and run --rm does not", async () => {
    await docker("run", "--name", "kept", "busybox", "sh", "-c", "exit 3");
    expect(await ok("ps", "-a", "--filter", "name=^/kept$", "--format", "{{.Status}}")).toMatch(/^Exited \(3\) /);
    await docker("run", "--rm", "--name", "gone", "busybox", "sh", "-c", "exit 3");
    expect(await ok("ps", "-aq", "--filter", "name=^/gone$")).toBe("");
  });

  test("run -d --rm removes the container when the program ends", async () => {
    const id = await ok("run", "-d", "--rm", "-i", "busybox", "cat");
    const removed = await engine.daemon.api(`/containers/${id}/wait?condition=removed`, { method: "POST" });
    await ok("kill", id); // the answer's headers are here: somebody waits
    expect(await removed.json()).toEqual({ StatusCode: 137 });
    expect((await docker("inspect", id)).code).toBe(1);
  });

  test("run gives the program Docker's environment", async () => {
    const lines = (await ok("run", "--rm", "-h", "ship", "-e", "A=1 2", "-e", "EMPTY=", "busybox", "env")).split("\n");
    expect(lines.toSorted()).toEqual(["A=1 2", "EMPTY=", "HOME=/root", "HOSTNAME=ship", "PATH=/usr/local/bin:/bin"]);
  });

  test("run -e takes the value of the client's own variable when it is given none", async () => {
    const flags = ["run", "--rm", "-e", "MINE", "-e", "NOBODYS", "busybox"];
    const { stdout } = await dockerWith({ env: { MINE: "mine" } }, ...flags, "env");
    expect(stdout).toContain("\nMINE=mine\n");
    expect(stdout).not.toContain("NOBODYS");
  });

  test("run gives the program a HOME of its user's", async () => {
    expect(await sh("echo $HOME", "-u", "bob")).toBe("/home/bob");
    expect(await sh("echo $HOME", "-u", "4711")).toBe("/");
    expect(await sh("echo $HOME", "-u", "bob", "-e", "HOME=/elsewhere")).toBe("/elsewhere");
  });

  test.each([
    [["-u", "bob"], "1000 1001", "50 1001"],
    [["-u", "bob:root"], "1000 0", "0"],
    [["-u", "1000"], "1000 1001", "50 1001"],
    [["-u", "1234:5678"], "1234 5678", "5678"],
    [["-u", "1234"], "1234 0", "0"],
    [["-u", "bob", "--group-add", "nobody", "--group-add", "777"], "1000 1001", "50 777 1001 65534"],
    [[], "0 0", "0"],
  ])("run %p makes it uid, gid and groups of the image's files", async (flags, ids, groups) => {
    const [uid, gid, all = ""] = (await sh("id -u; id -g; id -G", ...flags)).split("\n");
    expect(`${uid} ${gid}`).toBe(ids);
    expect(
      all
        .split(" ")
        .toSorted((one, other) => Number(one) - Number(other))
        .join(" "),
    ).toBe(groups);
  });

  test("run -w starts the program there, and makes the folder when it is missing", async () => {
    expect(await sh("pwd")).toBe("/");
    expect(await sh("pwd", "-w", "/srv")).toBe("/srv");
    expect(await sh("pwd; stat -c '%U %a' .", "-w", "/new/deep")).toBe("/new/deep\nroot 755");
  });

  test("run -h names the container, which else is called by the beginning of its id", async () => {
    expect(await sh("hostname; cat /etc/hostname", "-h", "ship")).toBe("ship\nship");
    const id = await ok("run", "-d", "busybox", "hostname");
    await ok("wait", id);
    expect(await ok("logs", id)).toBe(id.slice(0, 12));
    expect(await sh("hostname; cat /proc/sys/kernel/domainname", "-h", "ship", "--domainname", "sea.example")).toBe(
      "ship\nsea.example",
    );
  });

  test("run takes entrypoint, command, user, folder and environment from the image", async () => {
    expect(await ok("run", "--rm", "opinionated:1")).toBe("entry word");
    expect(await ok("run", "--rm", "opinionated:1", "other", "words")).toBe("entry other words");
    const flags = ["--rm", "-e", "PLACE=request", "--entrypoint", "sh", "opinionated:1"];
    expect(await ok("run", ...flags, "-c", "echo $GREETING $PLACE $(pwd) $(whoami)")).toBe("hello request /srv bob");
  });

  test("run --entrypoint drops the image's command", async () => {
    expect(await ok("run", "--rm", "--entrypoint", "/bin/echo", "opinionated:1")).toBe("");
    const { code, stderr } = await docker("run", "--rm", "--entrypoint", "", "opinionated:1");
    expect(stderr).toContain("no command specified");
    expect(code).toBe(125);
  });

  test("run -i hands standard input over byte by byte, to its end", async () => {
    const bytes = randomBytes(5 << 20);
    const { stdout } = await dockerWith({ stdin: bytes }, "run", "--rm", "-i", "busybox", "sha256sum");
    expect(stdout.split(" ")[0]).toBe(new Bun.CryptoHasher("sha256").update(bytes).digest("hex"));
  });

  test("run -i gives back byte by byte what a program copies", async () => {
    const bytes = randomBytes(3 << 20).toString("hex");
    const { stdout } = await dockerWith({ stdin: bytes }, "run", "--rm", "-i", "busybox", "cat");
    expect(stdout === bytes).toBe(true);
  });

  test("run without -i gives an empty standard input", async () => {
    const { stdout } = await dockerWith({ stdin: "words" }, "run", "--rm", "busybox", "wc", "-c");
    expect(stdout.trim()).toBe("0");
  });

  test("run --init puts an init before the program, which reaps orphans and passes signals on", async () => {
    const script = "cat /proc/1/comm; echo pid $$";
    expect(await sh(script, "--init")).toMatch(/^docker-init\npid [2-9]\d*$/);
    expect(await sh(script)).toBe("sh\npid 1");
    const orphan =
      "(sleep 0.05 & echo $! > /orphan); while [ -e /proc/$(cat /orphan) ]; do usleep 1000; done; echo gone";
    expect(await sh(orphan, "--init")).toBe("gone"); // a zombie would stay
    const id = await ok("run", "-d", "--init", "busybox", "sleep", "100");
    await ok("stop", "-t", "20", id); // sleep has no handler: as process 1 it would not end by SIGTERM
    expect(await inspect(id, "{{.State.ExitCode}}")).toBe("143");
  });

  test("run --cidfile writes the id, and --label and --annotation are kept", async () => {
    const path = engine.daemon.path("cid");
    await ok(
      "run",
      "-d",
      "--cidfile",
      path,
      "--label",
      "a=b",
      "--label",
      "empty",
      "--annotation",
      "x=y",
      "busybox",
      "true",
    );
    const id = readFileSync(path, "utf8");
    const labels = JSON.parse(await inspect(id, "{{json .Config.Labels}}"));
    expect(labels).toEqual({ a: "b", empty: "" });
    expect(JSON.parse(await inspect(id, "{{json .HostConfig.Annotations}}"))).toEqual({ x: "y" });
  });

  test("run inherits the image's labels, and the request's win", async () => {
    const id = await ok("create", "--label", "shared=request", "opinionated:1");
    expect(JSON.parse(await inspect(id, "{{json .Config.Labels}}"))).toEqual({
      "org.example.kind": "opinionated",
      shared: "request",
    });
  });

  test("run starts the program with umask 022 and no signal ignored or blocked", async () => {
    const status = await sh("umask; grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status");
    expect(status.split(/\s+/).slice(0, 1)).toEqual(["0022"]);
    expect(await ok("run", "--rm", "busybox", "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")).toBe(
      "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000",
    );
  });

  test("run runs the image that is built in, without a network", async () => {
    expect(await ok("run", "--rm", "--network", "none", "bosun/hello")).not.toBe("");
  });

  test("run of a program that writes more than anybody reads at once loses nothing", async () => {
    const { stdout } = await docker("run", "--rm", "busybox", "seq", "1", "300000");
    const lines = stdout.split("\n");
    expect(lines.length).toBe(300_001);
    expect(lines.every((line, at) => line === (at === 300_000 ? "" : String(at + 1)))).toBe(true);
  });
});
