/** Both generations of cgroups against the kernel, as far as this host has them. */

import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Cgroups, cgroupLayout, type DeviceRule } from "../../src/runtime/cgroup.ts";
import { CgroupsV1 } from "../../src/runtime/cgroup-v1.ts";
import { CgroupsV2 } from "../../src/runtime/cgroup-v2.ts";
import { failureOf } from "../support/errors.ts";

const PARENT = `/bosun-test-${process.pid}`;

const layout = cgroupLayout(readFileSync("/proc/self/mountinfo", "utf8"));
const unified = layout?.version === 2 ? layout.mount : layout?.unified;
const implementations: [string, Cgroups][] = [
  ...(layout?.version === 1 ? [["CgroupsV1", new CgroupsV1(layout)] satisfies [string, Cgroups]] : []),
  ...(unified === undefined ? [] : [["CgroupsV2", new CgroupsV2(unified)] satisfies [string, Cgroups]]),
];

/** Docker's, in short. */
const DEVICES: readonly DeviceRule[] = [
  { allow: false, type: "a", major: -1, minor: -1, access: "rwm" },
  { allow: true, type: "c", major: -1, minor: -1, access: "m" },
  { allow: true, type: "c", major: 1, minor: 3, access: "rwm" },
];

/** A shell in the cgroup; says a line when it is in. */
async function enter(entrances: readonly string[], script: string) {
  const child = Bun.spawn(["sh", "-c", `for f in "$@"; do echo 0 > "$f"; done; ${script}`, "sh", ...entrances], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  return child;
}

const firstLine = async (stream: ReadableStream<Uint8Array>): Promise<string> => {
  const reader = stream.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  return Buffer.from(value ?? []).toString();
};

test("this host has cgroups", () => {
  expect(implementations.length).toBeGreaterThan(0);
});

describe.each(implementations)("%s", (_, cgroups) => {
  afterAll(() => cgroups.remove(PARENT));
  const path = (name: string) => `${PARENT}/${name}`;

  test("create() makes what a process can enter, processes() finds it", async () => {
    const entrances = await cgroups.create(path("enter"), {});
    const child = await enter(entrances, "echo in; sleep 1000");
    expect(await firstLine(child.stdout)).toBe("in\n");
    expect(await cgroups.processes(path("enter"))).toContain(child.pid);
    expect(readFileSync(`/proc/${child.pid}/cgroup`, "utf8")).toContain(path("enter"));
    await cgroups.remove(path("enter"));
    expect(await child.exited).toBe(137);
  });

  test("create() makes what a process can enter also when the cgroup above is new, or was never finished", async () => {
    const parent = path("above");
    const both = await Promise.all(["a", "b"].map((name) => cgroups.create(`${parent}/${name}`, {})));
    const half = path("half");
    for (const entrance of both.flat())
      mkdirSync(dirname(dirname(entrance)).replace(parent, half), { recursive: true });
    for (const entrances of [...both, await cgroups.create(`${half}/c`, {})]) {
      const child = await enter(entrances, "exit 0");
      expect([await child.exited, await child.stderr.text()]).toEqual([0, ""]);
    }
    await Promise.all([parent, half].map((each) => cgroups.remove(each)));
  });

  test("remove() by several at once is as by one", async () => {
    for (let round = 0; round < 30; round++) {
      const entrances = await cgroups.create(path("together"), {});
      const child = await enter(entrances, "echo in; sleep 1000");
      expect(await firstLine(child.stdout)).toBe("in\n");
      await Promise.all(Array.from({ length: 4 }, () => cgroups.remove(path("together"))));
      expect(await child.exited).toBe(137);
    }
  });

  test("remove() kills what is in it, below it, and is idempotent", async () => {
    // With controllers, version 2 has processes in the leaves only. Source: Linux, admin-guide/cgroup-v2, "No Internal Process Constraint"
    const isLeaf = cgroups.version === 2 && cgroups.features.memory;
    const outer = await enter(await cgroups.create(path(isLeaf ? "tree/outer" : "tree"), {}), "echo in; sleep 1000");
    const inner = await enter(await cgroups.create(path("tree/inner"), {}), "echo in; sleep 1000");
    await Promise.all([firstLine(outer.stdout), firstLine(inner.stdout)]);
    await cgroups.remove(path("tree"));
    await cgroups.remove(path("tree"));
    expect(await Promise.all([outer.exited, inner.exited])).toEqual([137, 137]);
    expect(await cgroups.processes(path("tree"))).toEqual([]);
  });

  test("freeze() stops its processes, thaw() lets them go on", async () => {
    const child = await enter(await cgroups.create(path("freeze"), {}), "echo in; while :; do :; done");
    await firstLine(child.stdout);
    await cgroups.freeze(path("freeze"));
    const ticks = () => readFileSync(`/proc/${child.pid}/stat`, "utf8").split(" ").slice(13, 15).join(" ");
    const before = ticks();
    await Bun.sleep(50);
    expect(ticks()).toBe(before);
    await cgroups.thaw(path("freeze"));
    while (ticks() === before) await Bun.sleep(5);
    await cgroups.remove(path("freeze"));
    expect(await child.exited).toBe(137);
  });

  test("kill() ends processes that are frozen", async () => {
    const child = await enter(await cgroups.create(path("kill"), {}), "echo in; sleep 1000");
    await firstLine(child.stdout);
    await cgroups.freeze(path("kill"));
    await cgroups.kill(path("kill"));
    expect(await child.exited).toBe(137);
    await cgroups.remove(path("kill"));
  });

  test("create() takes a path that is relative to our own place", async () => {
    const name = PARENT.slice(1);
    const entrances = await cgroups.create(`${name}/relative`, {});
    const own = readFileSync("/proc/self/cgroup", "utf8").split("\n");
    for (const entrance of entrances) {
      const mount = cgroups.mounts.find((one) => entrance.startsWith(`${one}/`)) ?? "";
      const path = dirname(entrance).slice(mount.length, -`/${name}/relative`.length);
      expect(own.some((line) => line.endsWith(`:${path === "" ? "/" : path}`))).toBe(true);
    }
    await cgroups.remove(name);
  });

  test("create() takes weights of disks, and real-time within what the cgroup above has", async () => {
    const { features } = cgroups;
    const [disk] = readdirSync("/sys/block").map((name) =>
      readFileSync(`/sys/block/${name}/dev`, "utf8").trim().split(":"),
    );
    const [major = 0, minor = 0] = (disk ?? []).map(Number);
    if (features.cpuRealtime) {
      await cgroups.create(PARENT, { cpuRealtimeRuntime: 50_000 });
      await cgroups.create(path("limits"), { cpuRealtimePeriod: 500_000, cpuRealtimeRuntime: 20_000 });
      await cgroups.remove(path("limits"));
      const tooMuch = cgroups.create(path("limits"), { cpuRealtimeRuntime: 900_000 });
      expect(await failureOf(() => tooMuch)).toStartWith("invalid");
    }
    if (features.blockWeight) await cgroups.create(path("limits"), { blkioWeight: 300 });
    if (features.readBps && disk) {
      const limit = [{ major, minor, value: 1 << 20 }];
      await cgroups.create(path("limits"), { readBps: limit, writeIops: limit });
      await cgroups.update(path("limits"), { readBps: [{ major, minor, value: 0 }] });
      const text = (await cgroups.entrances(path("limits")))
        .map((entrance) => join(dirname(entrance), "blkio.throttle.read_bps_device"))
        .flatMap((file) => (existsSync(file) ? [readFileSync(file, "utf8")] : []));
      expect(text.join("")).toBe("");
    }
    await cgroups.remove(path("limits"));
  });

  test("watchMemory() tells of memory that is used up, and of nothing else", async () => {
    if (!cgroups.features.memory) return; // v2 beside v1 has no controllers
    const limits = { memory: 8 << 20, ...(cgroups.features.swap && { memorySwap: 8 << 20 }) };
    const entrances = await cgroups.create(path("memory"), limits);
    const { promise, resolve } = Promise.withResolvers<void>();
    let told = 0;
    using _watch = cgroups.watchMemory(path("memory"), () => {
      told++;
      resolve();
    });
    const child = await enter(entrances, "echo in; read go; tail /dev/zero; read end");
    expect(await firstLine(child.stdout)).toBe("in\n");
    expect(told).toBe(0);
    child.stdin.write("go\n");
    await child.stdin.flush();
    await promise;
    expect(child.exitCode).toBeNull();
    child.kill("SIGKILL");
    await cgroups.remove(path("memory"));
  });

  test("create() with device rules refuses other devices", async () => {
    const entrances = await cgroups.create(path("devices"), { devices: DEVICES });
    const script = "cat /dev/null && echo null; head -c1 /dev/zero || echo refused";
    const child = await enter(entrances, script);
    expect(await child.stdout.text()).toBe("null\nrefused\n");
    await cgroups.remove(path("devices"));
  });

  test("create() and update() refuse paths outside of ours", async () => {
    expect(await failureOf(() => cgroups.create("/a/../../b", {}))).toStartWith("invalid: invalid cgroup");
    expect(await failureOf(() => cgroups.remove("/"))).toStartWith("invalid: invalid cgroup");
  });

  test("stats() of nothing is notFound", async () => {
    expect(await failureOf(() => cgroups.stats(path("nosuch")))).toStartWith("notFound: ");
  });

  test("stats() counts time", async () => {
    const child = await enter(await cgroups.create(path("stats"), {}), "echo in; while :; do :; done");
    await firstLine(child.stdout);
    const first = (await cgroups.stats(path("stats"))).cpu.total;
    while ((await cgroups.stats(path("stats"))).cpu.total <= first) await Bun.sleep(10);
    await cgroups.remove(path("stats"));
  });

  describe.if(cgroups.features.memory && cgroups.features.pids)("limits", () => {
    test("a program that takes more memory than allowed is killed, and counted", async () => {
      const limits = { memory: 16 << 20, ...(cgroups.features.swap ? { memorySwap: 16 << 20 } : {}) };
      const entrances = await cgroups.create(path("memory"), limits);
      expect((await cgroups.stats(path("memory"))).memory.limit).toBe(16 << 20);
      const child = await enter(entrances, "exec tail /dev/zero");
      expect(await child.exited).toBe(137);
      expect(await cgroups.oomKills(path("memory"))).toBeGreaterThan(0);
      await cgroups.remove(path("memory"));
    });

    test("a program cannot have more processes than allowed", async () => {
      const child = await enter(await cgroups.create(path("pids"), { pidsLimit: 2 }), "(sleep 0 & sleep 0 & wait); :");
      expect(await child.stderr.text()).toContain("fork");
      await cgroups.remove(path("pids"));
    });

    test("update() raises and lowers memory with swap in the order that the kernel wants", async () => {
      const MiB = 1 << 20;
      await cgroups.create(path("swap"), { memory: 32 * MiB, memorySwap: 64 * MiB });
      for (const [memory, memorySwap] of [
        [128, 256],
        [16, 24],
        [512, -1],
        [-1, -1],
        [64, 64],
      ].map((pair) => pair.map((value) => (value < 0 ? value : value * MiB)))) {
        await cgroups.update(path("swap"), { memory: memory ?? 0, memorySwap: memorySwap ?? 0 });
        const { limit } = (await cgroups.stats(path("swap"))).memory;
        expect(limit).toBe(memory === -1 ? undefined : memory);
      }
      await cgroups.remove(path("swap"));
    });

    test("create() leaves nothing when a limit is refused", async () => {
      expect(await failureOf(() => cgroups.create(path("bad"), { cpusetCpus: "999" }))).toStartWith(
        "invalid: Cannot set cpuset.cpus",
      );
      const [entrance = ""] = await cgroups.entrances(path("bad"));
      expect(existsSync(entrance)).toBe(false);
    });
  });
});
