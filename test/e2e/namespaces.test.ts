/** Namespaces that containers share: with the host, and with each other. */

import { expect, test } from "bun:test";
import { readlinkSync } from "node:fs";
import { e2e } from "../support/e2e.ts";

e2e("namespaces", (engine) => {
  const { docker, ok, sh, inspect, sleeper } = engine;
  const namespace = async (id: string, name: string): Promise<string> =>
    readlinkSync(`/proc/${await inspect(id, "{{.State.Pid}}")}/ns/${name}`);

  test("--pid container:X sees X's processes, and its end is not X's", async () => {
    const first = await sleeper("--name", "donor");
    const id = await ok("run", "-d", "--pid", "container:donor", "busybox", "sh", "-c", "sleep 999 & wait");
    expect(await inspect(id, "{{.HostConfig.PidMode}}")).toBe(`container:${first}`);
    expect(await namespace(id, "pid")).toBe(await namespace(first, "pid"));
    expect(await ok("exec", id, "ps", "-o", "args")).toContain("sleep 1000");
    expect(await ok("exec", "donor", "ps", "-o", "args")).toContain("sleep 999");
    expect((await ok("top", id, "-o", "pid,args")).split("\n").filter((line) => line.includes("sleep"))).toHaveLength(
      2,
    );
    expect(await ok("top", "donor", "-o", "pid,args")).not.toContain("999");
    await ok("kill", id);
    await ok("wait", id);
    expect(await inspect("donor", "{{.State.Running}}")).toBe("true");
    expect(await ok("exec", "donor", "ps", "-o", "args")).not.toContain("sleep 999");
  });

  test("the end of X ends those in its pid namespace; a later start joins the new one", async () => {
    const first = await sleeper("--name", "leader");
    const id = await sleeper("--pid", "container:leader");
    const waiting = ok("wait", id);
    await ok("kill", "leader");
    expect(await waiting).toBe("137");
    const refused = await docker("start", id);
    expect(refused.stderr).toContain(`failed to join PID namespace: container ${first} is not running`);
    await ok("start", "leader", id);
    expect(await namespace(id, "pid")).toBe(await namespace("leader", "pid"));
    await ok("rm", "-f", id, first);
  });

  test("--ipc container:X shares X's namespace and /dev/shm when X lets others in", async () => {
    await sleeper("--name", "shared", "--ipc", "shareable");
    await ok("exec", "shared", "sh", "-c", "echo hello > /dev/shm/word");
    const id = await sleeper("--ipc", "container:shared");
    expect(await namespace(id, "ipc")).toBe(await namespace("shared", "ipc"));
    expect(await ok("exec", id, "cat", "/dev/shm/word")).toBe("hello");
    await ok("exec", id, "sh", "-c", "echo back > /dev/shm/word");
    expect(await ok("exec", "shared", "cat", "/dev/shm/word")).toBe("back");
    const further = await sh("cat /dev/shm/word", "--ipc", `container:${id}`);
    expect(further).toBe("back");
    await ok("rm", "-f", "shared");
    expect(await ok("exec", id, "cat", "/dev/shm/word")).toBe("back");
  });

  test.each([
    ["private", "non-shareable IPC (hint: use IpcMode:shareable for the donor container)"],
    ["none", "non-shareable IPC (hint: use IpcMode:shareable for the donor container)"],
  ])("--ipc container:X is refused when X's is %s", async (mode, words) => {
    const donor = await sleeper("--ipc", mode);
    const { code, stderr } = await docker("run", "--rm", "--ipc", `container:${donor}`, "busybox", "true");
    expect(stderr).toContain(`failed to join IPC namespace: container ${donor}: ${words}`);
    expect(code).toBe(125);
  });

  test("--ipc none has no /dev/shm, and --ipc host the host's namespace", async () => {
    expect(await sh("test -e /dev/shm || echo none", "--ipc", "none")).toBe("none");
    expect(await sh("readlink /proc/self/ns/ipc", "--ipc", "host")).toBe(readlinkSync("/proc/self/ns/ipc"));
  });

  test("--pid, --uts and --userns host are the host's", async () => {
    for (const [flag, name] of [
      ["--pid", "pid"],
      ["--uts", "uts"],
      ["--userns", "user"],
    ] as const)
      expect(await sh(`readlink /proc/self/ns/${name}`, flag, "host")).toBe(readlinkSync(`/proc/self/ns/${name}`));
    const id = await sleeper("--pid", "host");
    expect(await ok("exec", id, "readlink", "/proc/self/ns/pid")).toBe(readlinkSync("/proc/self/ns/pid"));
    await ok("rm", "-f", id);
  });

  test("a sysctl of a namespace that is somebody else's is refused", async () => {
    await sleeper("--name", "tuned", "--ipc", "shareable");
    const flags = ["--ipc", "container:tuned", "--sysctl", "kernel.msgmax=9000"];
    expect((await docker("create", ...flags, "busybox")).stderr).toContain("is not in a separate kernel namespace");
  });

  test("a name of the container's own and the host's UTS namespace contradict each other", async () => {
    const { stderr } = await docker("create", "--uts", "host", "-h", "name", "busybox");
    expect(stderr).toContain("conflicting options");
  });
});
