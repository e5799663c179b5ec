/** docker pause and unpause: processes that stand still, also while no daemon looks after them. */

import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { e2e } from "../support/e2e.ts";

const TICKING = ["busybox", "sh", "-c", "while :; do echo tick; sleep 0.02; done"];

e2e("pause", (engine) => {
  const { docker, ok, inspect } = engine;

  const ticking = async (): Promise<string> => {
    const id = await ok("run", "-d", "--network", "none", ...TICKING);
    await using follower = engine.session({}, "logs", "-f", id);
    await follower.until("tick");
    return id;
  };

  /** Whether the kernel holds its processes. Source: cgroup-v1/freezer-subsystem.rst, cgroup-v2.rst "cgroup.events". */
  const isFrozen = (id: string): boolean => {
    const at = `${engine.daemon.cgroupParent}/${id}`;
    const v1 = `/sys/fs/cgroup/freezer${at}/freezer.state`;
    return existsSync(v1)
      ? readFileSync(v1, "utf8").trim() === "FROZEN"
      : /^frozen 1$/m.test(readFileSync(`/sys/fs/cgroup${at}/cgroup.events`, "utf8"));
  };

  test("pause holds a container still, unpause lets it go on", async () => {
    const id = await ticking();
    expect(await ok("pause", id)).toBe(id);
    expect(isFrozen(id)).toBe(true);
    expect(await inspect(id, "{{.State.Status}} {{.State.Running}} {{.State.Paused}}")).toBe("paused true true");
    expect(await ok("ps", "--filter", `id=${id}`, "--format", "{{.Status}}")).toMatch(/^Up .+ \(Paused\)$/);
    expect(await ok("ps", "-q", "--no-trunc", "--filter", "status=paused")).toBe(id);
    expect(await ok("info", "--format", "{{.ContainersPaused}}")).toBe("1");
    expect((await docker("pause", id)).stderr).toContain("is already paused");
    expect((await docker("exec", id, "true")).stderr).toContain("is paused, unpause the container before exec");
    expect((await docker("rm", id)).stderr).toContain("container is paused and must be unpaused first");
    expect(await ok("unpause", id)).toBe(id);
    expect(await inspect(id, "{{.State.Status}}")).toBe("running");
    await ok("exec", id, "true");
    await ok("rm", "-f", id);
  });

  test.each<[how: NodeJS.Signals]>([["SIGTERM"], ["SIGKILL"]])(
    "a paused container stays so when the daemon gets %s",
    async (how) => {
      const id = await ticking();
      await ok("pause", id);
      await engine.daemon.stop(how);
      await engine.daemon.launch();
      expect(await inspect(id, "{{.State.Status}}")).toBe("paused");
      expect(isFrozen(id)).toBe(true);
      await ok("unpause", id);
      expect(isFrozen(id)).toBe(false);
      await ok("exec", id, "true");
      await ok("rm", "-f", id);
    },
  );

  test("stop, kill and rm -f end a paused container", async () => {
    for (const command of [["stop", "-t", "0"], ["kill"], ["restart", "-t", "0"], ["rm", "-f"]]) {
      const id = await ticking();
      await ok("pause", id);
      expect(await ok(...command, id)).toBe(id);
      const { stdout } = await docker("inspect", "--format", "{{.State.Status}}", id);
      expect(stdout.trim()).toBe(command[0] === "rm" ? "" : command[0] === "restart" ? "running" : "exited");
      await ok("rm", "-f", id);
    }
  });
});
