/** Our own command for the life of containers, beside docker's where both can be asked the same. */

import { expect, test } from "bun:test";
import { bosunOf } from "../support/bosun.ts";
import { e2e } from "../support/e2e.ts";

e2e("bosun's commands for containers", (engine) => {
  const { ok: docker, sleeper, inspect } = engine;

  const asked = bosunOf(engine);
  const bosun = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await asked(...args);
    return { code, stdout: stdout.trimEnd(), stderr: stderr.trimEnd() };
  };

  test("pause, unpause, restart, rename, kill and wait", async () => {
    const id = await sleeper();
    const status = () => inspect(id, "{{.State.Status}}");
    expect((await bosun("pause", id)).stdout).toBe(id);
    expect(await status()).toBe("paused");
    expect(await bosun("pause", id)).toEqual({
      ...{ code: 1, stdout: "", stderr: `Error response from daemon: Container ${id} is already paused` },
    });
    await bosun("unpause", id);
    expect(await status()).toBe("running");
    expect((await bosun("restart", "-t", "0", id)).stdout).toBe(id);
    expect(await bosun("rename", id, "renamed")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect((await bosun("kill", "-s", "KILL", "renamed")).stdout).toBe("renamed");
    expect((await bosun("wait", "renamed")).stdout).toBe("137");
    expect((await bosun("kill", "renamed")).stderr).toContain("is not running");
    await docker("rm", "renamed");
  });

  test("start and attach give output and exit code", async () => {
    const id = await docker("create", "--network", "none", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3");
    expect(await bosun("start", "-a", id)).toEqual({ code: 3, stdout: "out", stderr: "err" });
    expect(await bosun("start", id)).toEqual({ code: 0, stdout: id, stderr: "" });
    expect((await bosun("attach", await docker("create", "busybox"))).stderr).toBe(
      "cannot attach to a stopped container, start it first",
    );
    const waiting = await docker("run", "-d", "busybox", "sh", "-c", "while [ ! -e /go ]; do sleep 0.02; done; exit 4");
    const attached = bosun("attach", waiting);
    const flags = ["--since", "1", "--filter", `container=${waiting}`, "--filter", "event=attach"];
    await using events = engine.session({}, "events", ...flags);
    await events.until("attach");
    await docker("exec", "-d", waiting, "touch", "/go"); // nobody waits for it: the container's end may be its own
    expect((await attached).code).toBe(4);
    await docker("rm", id, waiting);
  });

  test("create takes limits, namespaces, devices and mounts as run does", async () => {
    const limits = ["-m", "32m", "--memory-reservation", "16m"]; // what every host has
    const shared = [
      "--ipc",
      "shareable",
      "--userns",
      "host",
      "--cgroup-parent",
      "/elsewhere",
      "--device-cgroup-rule",
      "c 7:* r",
    ];
    const mounts = [
      "--mount",
      "type=image,source=busybox,target=/x,image-subpath=bin",
      "--device-read-bps",
      "/dev/null:1mb",
    ];
    const devices = [
      "--device",
      "vendor.com/class=one",
      "--device",
      "/dev/full:/dev/f:r",
      "--gpus",
      '"device=0,1",capabilities=utility',
    ];
    const created = await bosun("create", ...limits, ...shared, ...mounts, ...devices, "busybox", "true");
    expect(created.code).toBe(0);
    const host = JSON.parse(await inspect(created.stdout, "{{json .HostConfig}}"));
    expect(host).toMatchObject({
      ...{ Memory: 32 << 20, MemoryReservation: 16 << 20 },
      ...{ IpcMode: "shareable", UsernsMode: "host", CgroupParent: "/elsewhere", DeviceCgroupRules: ["c 7:* r"] },
      Mounts: [{ Type: "image", Source: "busybox", Target: "/x", ImageOptions: { Subpath: "bin" } }],
      BlkioDeviceReadBps: [{ Path: "/dev/null", Rate: 1 << 20 }],
      Devices: [{ PathOnHost: "/dev/full", PathInContainer: "/dev/f", CgroupPermissions: "r" }],
      DeviceRequests: [
        { Driver: "", Count: 0, DeviceIDs: ["0", "1"], Capabilities: [["gpu", "utility"]] },
        { Driver: "cdi", Count: 0, DeviceIDs: ["vendor.com/class=one"] },
      ],
    });
    expect((await bosun("create", "--device-read-bps", "null:1", "busybox")).code).toBe(125);
    await docker("rm", created.stdout);
  });

  test("run takes a policy and a health check, update changes", async () => {
    const run = ["run", "-d", "--restart", "on-failure:2", "--health-cmd", "true", "--health-interval", "1m30s"];
    const { stdout: id } = await bosun(...run, "busybox", "sleep", "1000");
    const format = "{{.HostConfig.RestartPolicy}} {{.Config.Healthcheck.Test}} {{.Config.Healthcheck.Interval}}";
    expect(await inspect(id, format)).toBe("{on-failure 2} [CMD-SHELL true] 1m30s");
    expect((await bosun("update", "--pids-limit", "9", "--restart", "no", id)).stdout).toBe(id);
    expect(await inspect(id, "{{.HostConfig.RestartPolicy}} {{.HostConfig.PidsLimit}}")).toBe("{no 0} 9");
    expect((await bosun("update", id)).stderr).toContain("you must provide one or more flags when using this command");
    expect((await bosun("run", "--rm", "--restart", "always", "busybox")).stderr).toContain(
      "conflicting options: cannot specify both --restart and --rm",
    );
    await docker("rm", "-f", id);
  });

  test("top and stats say what docker's say", async () => {
    const id = await sleeper("-m", "64m");
    const words = (text: string) => text.split("\n").map((line) => line.trim().split(/\s+/));
    expect(words((await bosun("top", id, "-eo", "pid,comm")).stdout)).toEqual(
      words(await docker("top", id, "-eo", "pid,comm")),
    );
    const stats = ["stats", "--no-stream", "--format", "{{.ID}} {{.Name}} {{.CPUPerc}} {{.NetIO}} {{.PIDs}}", id];
    expect((await bosun(...stats)).stdout).toBe(await docker(...stats));
    const heads = async (text: Promise<string>) => (await text).split("\n")[0]?.split(/ {2,}/);
    expect(await heads(bosun("stats", "--no-stream").then(({ stdout }) => stdout))).toEqual(
      await heads(docker("stats", "--no-stream")),
    );
    await docker("rm", "-f", id);
  });
});
