/** Limits: what the kernel was told, as the host's cgroup files say, and that it acts. */

import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openCgroups } from "../../src/runtime/cgroup.ts";
import { e2e } from "../support/e2e.ts";
import { cgroupsBelow } from "../support/leftovers.ts";

e2e("resources", (engine) => {
  const { docker, ok, sh, inspect, sleeper } = engine;

  /** A file of the container's cgroup; `v1` is `controller/file`. Found through the process, not by how the engine names its cgroups. */
  const cgroupFile = async (id: string, v1: string, v2: string): Promise<string> => {
    const pid = await inspect(id, "{{.State.Pid}}");
    const lines = readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().split("\n");
    const [controller = "", file = ""] = v1.split("/");
    const own = lines.map((line) => line.split(":")).find(([, names]) => names?.split(",").includes(controller));
    const mounts = readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .map((line) => line.split(" "));
    const mount = mounts.find((fields) => {
      const kind = fields.indexOf("-") + 1;
      return own
        ? fields[kind] === "cgroup" && fields[kind + 2]?.split(",").includes(controller)
        : fields[kind] === "cgroup2";
    });
    const path = own?.[2] ?? lines.find((line) => line.startsWith("0::"))?.slice(3) ?? "";
    return readFileSync(join(mount?.[4] ?? "", path, own ? file : v2), "utf8").trim();
  };

  /** Any disk of the host's: limits are the container's. */
  const blockDevice = () => {
    const [name] = readdirSync("/sys/block").filter((one) => existsSync(`/dev/${one}`));
    if (name === undefined) return undefined;
    return { path: `/dev/${name}`, numbers: readFileSync(`/sys/block/${name}/dev`, "utf8").trim() };
  };

  test("the container is below the parent that the daemon was told", async () => {
    const pid = await inspect(await sleeper(), "{{.State.Pid}}");
    for (const line of readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().split("\n"))
      if (!line.startsWith("0::")) expect(line.split(":")[2]).toStartWith(`${engine.daemon.cgroupParent}/`);
  });

  test("-m limits memory, and as much swap again", async () => {
    const id = await sleeper("-m", "32m");
    expect(await cgroupFile(id, "memory/memory.limit_in_bytes", "memory.max")).toBe(String(32 << 20));
  });

  test("a program that takes more memory than it may is killed, and inspect says why", async () => {
    const id = await ok(
      "run",
      "-d",
      "-m",
      "16m",
      "--memory-swap",
      "16m",
      "busybox",
      "sh",
      "-c",
      "tail /dev/zero; exit $?",
    );
    await ok("wait", id);
    const [code, killed] = (await inspect(id, "{{.State.ExitCode}} {{.State.OOMKilled}}")).split(" ");
    expect(killed).toBe("true");
    expect(code).toBe("137");
    expect(await inspect(id, "{{.State.Error}}")).toBe(
      "out of memory: the kernel killed a process in the container (limit: 16777216 bytes)",
    );
    await using events = engine.session(
      {},
      "events",
      "--since",
      "1",
      "--filter",
      `container=${id}`,
      "--filter",
      "event=oom",
    );
    await events.until("oom");
  });

  test("--cpus, --cpu-shares and --cpuset-cpus reach the scheduler", async () => {
    const id = await sleeper("--cpus", "0.5", "--cpu-shares", "512", "--cpuset-cpus", "0");
    expect(await cgroupFile(id, "cpu/cpu.cfs_quota_us", "cpu.max")).toMatch(/^50000( 100000)?$/);
    expect(await cgroupFile(id, "cpu/cpu.shares", "cpu.weight")).toMatch(/^(512|20)$/);
    expect(await cgroupFile(id, "cpuset/cpuset.cpus", "cpuset.cpus")).toBe("0");
    expect(await ok("exec", id, "awk", "/^Cpus_allowed_list/ { print $2 }", "/proc/self/status")).toBe("0");
    const quota = await sleeper("--cpu-period", "50000", "--cpu-quota", "10000");
    expect(await cgroupFile(quota, "cpu/cpu.cfs_quota_us", "cpu.max")).toMatch(/^10000( 50000)?$/);
  });

  test("update changes the limits of a container that runs, and what it starts with next", async () => {
    const id = await sleeper("-m", "64m", "--pids-limit", "20");
    expect(await ok("update", "-m", "32m", "--memory-swap", "64m", "--cpus", "0.5", "--pids-limit", "-1", id)).toBe(id);
    const limits = async () => [
      await cgroupFile(id, "memory/memory.limit_in_bytes", "memory.max"),
      (await cgroupFile(id, "cpu/cpu.cfs_quota_us", "cpu.max")).split(" ")[0],
      await cgroupFile(id, "pids/pids.max", "pids.max"),
    ];
    expect(await limits()).toEqual([String(32 << 20), "50000", "max"]);
    await ok("update", "--restart", "unless-stopped", "-c", "256", id);
    expect(await inspect(id, "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.CpuShares}}")).toBe(
      "unless-stopped 256",
    );
    expect((await docker("update", "-m", "1g", id)).stderr).toContain("already set memoryswap limit");
    expect((await docker("update", "--cpuset-cpus", "999", id)).code).toBe(1);
    await ok("restart", "-t", "0", id);
    expect(await limits()).toEqual([String(32 << 20), "50000", "max"]);
    await ok("rm", "-f", id);
  });

  test("--pids-limit stops a fork bomb", async () => {
    const id = await sleeper("--pids-limit", "20");
    expect(await cgroupFile(id, "pids/pids.max", "pids.max")).toBe("20");
    const { stderr } = await docker(
      "run",
      "--rm",
      "--pids-limit",
      "10",
      "busybox",
      "sh",
      "-c",
      "for i in $(seq 20); do sleep 1 & done; exit 0",
    );
    expect(stderr).toContain("can't fork");
  });

  test("--ulimit sets soft and hard limits", async () => {
    expect(await sh("ulimit -Sn; ulimit -Hn; ulimit -c", "--ulimit", "nofile=512:1024", "--ulimit", "core=0")).toBe(
      "512\n1024\n0",
    );
    const wrong = await docker("create", "--ulimit", "nofile=2048:1024", "busybox");
    expect(wrong.code).not.toBe(0);
  });

  test("--oom-score-adj and --memory-reservation reach the kernel", async () => {
    const id = await sleeper("--oom-score-adj", "500", "--memory-reservation", "16m");
    expect(await ok("exec", id, "cat", "/proc/1/oom_score_adj")).toBe("500");
    expect(await cgroupFile(id, "memory/memory.soft_limit_in_bytes", "memory.low")).toBe(String(16 << 20));
  });

  test.each([
    [["-m", "1m"], "Minimum memory limit allowed is 6MB"],
    [["-m", "64m", "--memory-swap", "32m"], "Minimum memoryswap limit should be larger than memory limit"],
    [["--cpus", "4000"], "range of CPUs is from 0.01 to"],
    [["--cpuset-cpus", "999"], "Requested CPUs are not available - requested 999"],
  ])("%p is refused in words", async (flags, words) => {
    const { code, stderr } = await docker("run", "--rm", ...flags, "busybox", "true");
    expect(stderr).toContain(words);
    expect(code).toBe(125);
  });

  test("--memory-swappiness, --oom-kill-disable and --cgroup-parent", async () => {
    const parent = `${engine.daemon.cgroupParent}-other`;
    const flags = ["--cgroup-parent", parent, "-m", "32m"];
    const { stdout, stderr } = await docker(
      "run",
      "-d",
      "--memory-swappiness",
      "10",
      "--oom-kill-disable",
      ...flags,
      "busybox",
      "sleep",
      "1000",
    );
    const id = stdout.trim();
    const pid = await inspect(id, "{{.State.Pid}}");
    expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toContain(`${parent}/${id}`);
    const isFirst = (await ok("info", "-f", "{{.CgroupVersion}}")) === "1";
    if (isFirst) {
      expect(stderr).not.toContain("OomKillDisable");
      expect(await cgroupFile(id, "memory/memory.swappiness", "memory.max")).toBe("10");
      expect(await cgroupFile(id, "memory/memory.oom_control", "memory.max")).toContain("oom_kill_disable 1");
    } else expect(stderr).toContain("Your kernel does not support OomKillDisable. OomKillDisable discarded.");
    expect(await inspect(id, "{{.HostConfig.MemorySwap}} {{.HostConfig.CgroupParent}}")).toBe(`${64 << 20} ${parent}`);
    expect(await ok("exec", id, "echo", "in")).toBe("in");
    await ok("rm", "-f", id);
    expect(await cgroupsBelow(parent)).toEqual([]);
    await openCgroups().remove(parent);
  });

  test("--cgroup-parent without a slash is below the daemon's own cgroup", async () => {
    const name = `bosun-test-${engine.daemon.id}-relative`;
    const id = await ok("run", "-d", "--cgroup-parent", name, "busybox", "sleep", "1000");
    const pid = await inspect(id, "{{.State.Pid}}");
    const places = (text: string) =>
      text
        .trim()
        .split("\n")
        .map((line) => line.split(":"));
    const own = places(readFileSync(`/proc/${engine.daemon.pid}/cgroup`, "utf8"));
    for (const [number, , path] of places(readFileSync(`/proc/${pid}/cgroup`, "utf8"))) {
      const daemons = own.find(([one]) => one === number)?.[2] ?? "";
      expect(path).toBe(join(daemons, name, id));
    }
    await ok("rm", "-f", id);
    await openCgroups().remove(name);
  });

  test("a container out of memory that lives on is told of at once", async () => {
    const script = "(tail /dev/zero); echo survived; sleep 1000";
    const id = await ok("run", "-d", "-m", "16m", "--memory-swap", "16m", "busybox", "sh", "-c", script);
    const chosen = ["--filter", `container=${id}`, "--filter", "event=oom"];
    await using events = engine.session({}, "events", "--since", "1", ...chosen);
    await events.until("container oom");
    expect(await inspect(id, "{{.State.Running}} {{.State.OOMKilled}}")).toBe("true true");
    await ok("rm", "-f", id);
  });

  test("--device-cgroup-rule allows what it names", async () => {
    const open = (...flags: string[]) =>
      docker("run", "--rm", ...flags, "busybox", "sh", "-c", "mknod /tmp/node c 250 250 && head -c 0 /tmp/node");
    expect((await open()).stderr).toContain("not permitted");
    expect((await open("--device-cgroup-rule", "c 250:* r")).stderr).toContain("No such device"); // the next who is asked
    expect((await docker("create", "--device-cgroup-rule", "c 1:1", "busybox")).code).not.toBe(0);
  });

  test("--device-write-bps and the like limit a disk, also when they are updated", async () => {
    const disk = blockDevice();
    if (disk === undefined) return; // nothing to limit
    const flags = ["--device-write-bps", `${disk.path}:1mb`, "--device-read-iops", `${disk.path}:50`];
    const id = await sleeper(...flags);
    const [bps, iops] = ["blkio/blkio.throttle.write_bps_device", "blkio/blkio.throttle.read_iops_device"];
    expect(await cgroupFile(id, bps, "io.max")).toContain(`${disk.numbers} `);
    expect(await cgroupFile(id, bps, "io.max")).toContain("1048576");
    expect(await cgroupFile(id, iops, "io.max")).toContain("50");
    expect(await inspect(id, "{{json .HostConfig.BlkioDeviceWriteBps}}")).toBe(
      JSON.stringify([{ Path: disk.path, Rate: 1 << 20 }]),
    );
    const body = { BlkioDeviceWriteBps: [{ Path: disk.path, Rate: 2 << 20 }] };
    expect((await engine.daemon.post(`/containers/${id}/update`, body)).status).toBe(200);
    expect(await cgroupFile(id, bps, "io.max")).toContain("2097152");
    await ok("rm", "-f", id);
  });

  test("--cgroupns says whether the container sees its place among the host's", async () => {
    const seen = async (...flags: string[]) => (await sh("cat /proc/self/cgroup", ...flags)).split("\n");
    for (const line of await seen("--cgroupns", "private")) expect(line).toEndWith(":/");
    expect((await seen("--cgroupns", "host")).some((line) => line.includes(engine.daemon.cgroupParent))).toBe(true);
  });

  test("info warns of exactly what the host lacks", async () => {
    const { Warnings, ...info } = JSON.parse(await ok("info", "-f", "{{json .}}"));
    const lacks = (what: string) => (Warnings ?? []).includes(`WARNING: No ${what} support`);
    expect(lacks("memory limit")).toBe(!info.MemoryLimit);
    expect(lacks("swap limit")).toBe(!info.SwapLimit);
    expect(lacks("oom kill disable")).toBe(!info.OomKillDisable && info.CgroupVersion === "1");
    expect(lacks("cpu cfs quota")).toBe(!info.CpuCfsQuota);
    const isLimited = existsSync("/sys/fs/cgroup/blkio/blkio.throttle.read_bps_device");
    if (info.CgroupVersion === "1") expect(lacks("blkio throttle.read_bps_device")).toBe(!isLimited);
  });

  test("the container sees its own cgroup and cannot change it", async () => {
    const id = await sleeper("-m", "32m");
    const shown = await ok(
      "exec",
      id,
      "sh",
      "-c",
      "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max",
    );
    expect(shown).toBe(String(32 << 20));
    const { stderr } = await docker(
      "exec",
      id,
      "sh",
      "-c",
      "echo 1 > /sys/fs/cgroup/pids/pids.max || echo 1 > /sys/fs/cgroup/pids.max",
    );
    expect(stderr).toMatch(/Read-only file system|nonexistent/);
  });
});
