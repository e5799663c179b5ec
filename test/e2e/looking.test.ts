/** docker top and docker stats. */

import { expect, test } from "bun:test";
import { e2e } from "../support/e2e.ts";

e2e("looking at a container", (engine) => {
  const { docker, ok, inspect, sleeper } = engine;

  test("top shows the processes of the container, as the host's ps does", async () => {
    const id = await sleeper();
    await ok("exec", "-d", id, "sleep", "999");
    const lines = (await ok("top", id)).split("\n");
    expect(lines[0]).toMatch(/^UID\s+PID\s+PPID\s+C\s+STIME\s+TTY\s+TIME\s+CMD$/);
    expect(lines.slice(1).map((line) => line.split(/\s+/).slice(-2).join(" "))).toEqual(["sleep 1000", "sleep 999"]);
    expect(await ok("top", id, "-o", "pid,args")).toContain(`${await inspect(id, "{{.State.Pid}}")}`);
    const stopped = await ok("create", "busybox");
    expect((await docker("top", stopped)).stderr).toContain("is not running");
    await ok("rm", "-f", id, stopped);
  });

  test("stats shows what a container takes", async () => {
    const id = await ok("run", "-d", "--stop-timeout", "0", "-m", "64m", "busybox", "sh", "-c", "while :; do :; done");
    const format = "{{.CPUPerc}} {{.MemUsage}} {{.NetIO}} {{.BlockIO}} {{.PIDs}} {{.Name}}";
    const name = (await inspect(id, "{{.Name}}")).slice(1);
    const [cpu, ...rest] = (await ok("stats", "--no-stream", "--format", format, id)).split(" ");
    expect(Number.parseFloat(cpu ?? "")).toBeGreaterThan(1);
    expect(rest.join(" ")).toMatch(new RegExp(`^[\\d.]+[KM]iB / 64MiB [\\d.]+k?B / [\\d.]+k?B \\S+ / \\S+ 1 ${name}$`));
    const { networks } = await engine.daemon.json<{ networks: object }>(`/containers/${id}/stats?stream=0&one-shot=1`);
    expect(Object.keys(networks)).toEqual(["eth0"]);
    await ok("pause", id);
    expect(await ok("stats", "--no-stream", "--format", "{{.CPUPerc}}", id)).toBe("0.00%");
    await ok("rm", "-f", id);
  });

  test("stats of a stopped container is a row of zeros", async () => {
    const id = await ok("create", "busybox");
    expect(await ok("stats", "--no-stream", "-a", "--format", "{{.CPUPerc}} {{.PIDs}}", id)).toBe("0.00% 0");
    await ok("rm", id);
  });
});
