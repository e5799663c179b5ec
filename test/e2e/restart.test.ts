/** Restart policies under the docker command, over deaths of the daemon and of the machine. */

import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { join } from "node:path";
import { shimsOf } from "../support/box.ts";
import { e2e } from "../support/e2e.ts";

e2e("restart policies", (engine) => {
  const { docker, ok, inspect, sleeper } = engine;

  /** Returns when the daemon has told this of a container, which it may have done before. */
  const told = async (id: string, action: string, times = 1): Promise<void> => {
    const flags = [
      "--since",
      "1",
      "--filter",
      `container=${id}`,
      "--filter",
      `event=${action}`,
      "--format",
      "{{.Action}}",
    ];
    await using events = engine.session({}, "events", ...flags);
    await events.until(`${action}\n`.repeat(times));
  };

  const failing = (policy: string): Promise<string> =>
    ok("run", "-d", "--network", "none", "--restart", policy, "busybox", "sh", "-c", "exit 3");

  const status = (id: string): Promise<string> => inspect(id, "{{.State.Status}} {{.RestartCount}}");

  test("on-failure starts a container so many times", async () => {
    const id = await failing("on-failure:2");
    await told(id, "die", 3);
    expect(await status(id)).toBe("exited 2");
    expect(
      await inspect(id, "{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}"),
    ).toBe("on-failure:2");
  });

  test("a container that fails all the time is restarting, until it is stopped", async () => {
    const id = await failing("always");
    const shown = () => ok("ps", "--filter", `id=${id}`, "--format", "{{.State}}: {{.Status}}");
    let state = await shown();
    while (!/^restarting: Restarting \(3\) .+ ago$/.test(state)) state = await shown(); // longer each time, while it runs for a moment
    await ok("stop", id);
    expect(await inspect(id, "{{.State.Status}} {{.State.ExitCode}}")).toBe("exited 3");
    await ok("rm", id);
  });

  test("--rm and a policy contradict each other", async () => {
    const { code, stderr } = await docker("run", "--rm", "--restart", "always", "busybox", "true");
    expect([code, stderr]).toEqual([
      125,
      expect.stringContaining("conflicting options: cannot specify both --restart and --rm"),
    ]);
    expect((await docker("create", "--restart", "often", "busybox")).stderr).toContain("unknown policy 'often'");
  });

  test.each<[how: NodeJS.Signals]>([["SIGTERM"], ["SIGKILL"]])(
    "after %s of the daemon comes up what shall",
    async (how) => {
      const [always, unlessStopped, untouched] = await Promise.all([
        sleeper("--restart", "always"),
        sleeper("--restart", "unless-stopped"),
        sleeper("--restart", "unless-stopped"),
      ]);
      const waiting = await failing("on-failure");
      await told(waiting, "die", 3);
      await ok("stop", always, unlessStopped);
      const pid = await inspect(untouched, "{{.State.Pid}}");
      await engine.daemon.restart(how);
      await told(always, "start");
      await told(waiting, "start");
      expect([await status(always), await status(unlessStopped)]).toEqual(["running 0", "exited 0"]);
      expect(await inspect(untouched, "{{.State.Pid}} {{.RestartCount}}")).toBe(`${pid} 0`);
      await ok("rm", "-f", always, unlessStopped, untouched, waiting);
    },
  );

  test("a container that ends while no daemon is there starts again", async () => {
    const id = await sleeper("--restart", "on-failure");
    const pid = Number(await inspect(id, "{{.State.Pid}}"));
    await engine.daemon.stop("SIGKILL");
    process.kill(pid, "SIGKILL");
    await engine.daemon.launch();
    await told(id, "start");
    expect(await status(id)).toBe("running 1");
    await ok("rm", "-f", id);
  });

  test("after a crash of the machine nothing runs that ran, and what has a policy starts", async () => {
    const [lost, always] = await Promise.all([sleeper(), sleeper("--restart", "always")]);
    const pids = await Promise.all([lost, always].map((id) => inspect(id, "{{.State.Pid}}")));
    await engine.daemon.stop("SIGKILL");
    using database = new Database(join(engine.daemon.dataRoot, "bosun.db"));
    database.run(`UPDATE containers SET record = json_set(record, '$.boot', 'another run of the kernel')`);
    for (const pid of pids) process.kill(Number(pid), "SIGKILL");
    while ((await shimsOf(engine.daemon.execRoot)).length > 0); // no process outlives a machine
    await engine.daemon.launch();
    await told(always, "start");
    expect(await inspect(lost, "{{.State.Status}} {{.State.ExitCode}}")).toBe("exited 255");
    expect(await status(always)).toBe("running 1");
    await ok("rm", "-f", lost, always);
  });
});
