/** Health checks under the docker command: what ps, inspect and events show, over deaths of the daemon. */

import { expect, test } from "bun:test";
import { e2e } from "../support/e2e.ts";

e2e("health checks", (engine) => {
  const { docker, ok, inspect } = engine;

  /** Returns when the daemon that runs has told this of a container. */
  const told = async (id: string, action: string, times = 1): Promise<void> => {
    const flags = ["--since", "1", "--filter", `container=${id}`, "--format", "{{.Action}}"];
    await using events = engine.session({}, "events", ...flags);
    await events.until(new RegExp(`(^${action}$[^]*?){${times}}`, "m"));
  };

  const checked = (command: string, ...flags: readonly string[]): Promise<string> =>
    ok(
      ...["run", "-d", "--network", "none", "--stop-timeout", "0", "--health-cmd", command],
      ...["--health-interval", "100ms", "--health-retries", "2", ...flags, "busybox", "sleep", "1000"],
    );

  const ps = (id: string, ...flags: readonly string[]): Promise<string> =>
    ok("ps", "--filter", `id=${id}`, ...flags, "--format", "{{.Status}}");

  test("a container is healthy as long as its check succeeds, and unhealthy when it fails too often", async () => {
    const id = await checked("echo out; echo err >&2; test ! -e /sick");
    await told(id, "health_status: healthy");
    expect(await ps(id, "--filter", "health=healthy")).toMatch(/^Up .+ \(healthy\)$/);
    const log = JSON.parse(await inspect(id, "{{json .State.Health.Log}}"));
    expect(log[0]).toMatchObject({ ExitCode: 0, Output: expect.stringMatching(/^(out\nerr|err\nout)\n$/) });
    await ok("exec", id, "touch", "/sick");
    await told(id, "health_status: unhealthy");
    expect(await ps(id)).toMatch(/ \(unhealthy\)$/);
    expect(await ps(id, "--filter", "health=healthy")).toBe("");
    await ok("rm", "-f", id);
  });

  test("before the first result a container is starting, and without a check it has no health", async () => {
    const id = await checked("true", "--health-interval", "1h");
    expect(await ps(id, "--filter", "health=starting")).toMatch(/ \(health: starting\)$/);
    expect(await inspect(id, "{{json .Config.Healthcheck}}")).toBe(
      '{"Test":["CMD-SHELL","true"],"Interval":3600000000000,"Retries":2}',
    );
    await ok("rm", "-f", id);
    const none = await engine.sleeper();
    expect(await inspect(none, "{{.State.Health}}")).toBe("<nil>");
    await ok("rm", "-f", none);
  });

  test("output is cut, and a check that takes too long is killed", async () => {
    const long = await checked("head -c 9000 /dev/zero | tr '\\0' x");
    await told(long, "health_status: healthy");
    expect(await inspect(long, "{{(index .State.Health.Log 0).Output}}")).toBe(`${"x".repeat(4096)}...`);
    const slow = await checked("echo still; sleep 1000", "--health-timeout", "500ms", "--health-retries", "1");
    await told(slow, "health_status: unhealthy");
    const format = "{{with index .State.Health.Log 0}}{{.ExitCode}} {{.Output}}{{end}}";
    expect(await inspect(slow, format)).toMatch(/^-1 Health check exceeded timeout \(500ms\)(: still\n)?$/);
    await ok("rm", "-f", long, slow);
  });

  test("a daemon that comes later goes on", async () => {
    const id = await checked("test ! -e /sick");
    await told(id, "health_status: healthy");
    await engine.daemon.restart("SIGKILL");
    expect(await inspect(id, "{{.State.Health.Status}}")).toBe("healthy");
    await ok("exec", id, "touch", "/sick");
    await told(id, "health_status: unhealthy");
    await ok("rm", "-f", id);
  });

  test("--restart on-unhealthy starts a container again whose check fails", async () => {
    const id = await checked("false", "--restart", "on-unhealthy:1");
    await told(id, "start", 2);
    await told(id, "health_status: unhealthy", 2);
    expect(await inspect(id, "{{.State.Status}} {{.RestartCount}}")).toBe("running 1");
    expect((await docker("rm", "-f", id)).code).toBe(0);
  });
});
