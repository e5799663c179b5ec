/** Updates over made-up lower rooms: what reaches the cgroup, what is kept, and what is refused. */

import { expect, test } from "bun:test";
import { invalid } from "../../src/base/errors.ts";
import { actionsOf, House } from "../support/house.ts";
import { PATIENCE_MS } from "../support/patience.ts";

const MB = 1 << 20;

test("update changes limits and policy of a container that runs", async () => {
  await using house = await House.open();
  const id = await house.run(["sleep"], { HostConfig: { Memory: 64 * MB, PidsLimit: 10 } });
  const body = { Memory: 32 * MB, PidsLimit: -1, RestartPolicy: { Name: "on-failure", MaximumRetryCount: 4 } };
  const answer = await house.json(`POST /containers/${id}/update`, body);
  expect(answer).toEqual({ status: 200, body: { Warnings: [] } });
  expect(house.cgroups.limits.get(`/bosun/${id}`)).toMatchObject({
    memory: 32 * MB,
    memorySwap: 128 * MB,
    pidsLimit: -1,
  });
  expect((await house.json(`GET /containers/${id}/json`)).body.HostConfig).toMatchObject({
    ...{ Memory: 32 * MB, MemorySwap: 128 * MB, PidsLimit: null },
    RestartPolicy: { Name: "on-failure", MaximumRetryCount: 4 },
  });
  expect((await actionsOf(house)).at(-1)).toBe("container update");
});

test("update of one that does not run counts from its next start on", async () => {
  await using house = await House.open();
  const id = await house.create(["sleep"]);
  expect((await house.json(`POST /containers/${id}/update`, { NanoCpus: 500_000_000 })).status).toBe(200);
  expect(house.cgroups.limits.size).toBe(0);
  await house.json(`POST /containers/${id}/start`);
  expect(house.cgroups.limits.get(`/bosun/${id}`)).toMatchObject({ cpuQuota: 50_000 });
});

test("what the kernel refuses is as if it had not been asked for", async () => {
  await using house = await House.open();
  const id = await house.run(["sleep"], { HostConfig: { CpusetCpus: "0" } });
  const { update } = house.cgroups;
  house.cgroups.update = async (path, limits) => {
    if (limits.cpusetCpus === "99") throw invalid("Cannot set cpuset.cpus");
    await update.call(house.cgroups, path, limits);
  };
  expect((await house.json(`POST /containers/${id}/update`, { CpusetCpus: "99" })).status).toBe(400);
  expect(house.containers.get(id).host.resources.cpusetCpus).toBe("0");
  expect(house.cgroups.limits.get(`/bosun/${id}`)?.cpusetCpus).toBe("0");
});

test("limits of disks and memory are shown as they were asked for", async () => {
  await using house = await House.open();
  const limits = { MemorySwappiness: 0, OomKillDisable: true, BlkioWeight: 300, CgroupParent: "/elsewhere" };
  const id = await house.run(["sleep"], {
    HostConfig: { ...limits, Memory: 64 * MB, DeviceCgroupRules: ["c 7:* r"] },
  });
  expect((await house.json(`GET /containers/${id}/json`)).body.HostConfig).toMatchObject({
    ...limits,
    ...{ MemorySwap: 128 * MB, DeviceCgroupRules: ["c 7:* r"], BlkioDeviceReadBps: null },
  });
  const set = house.cgroups.limits.get(`/elsewhere/${id}`);
  expect(set).toMatchObject({ memorySwappiness: 0, oomKillDisable: true, blkioWeight: 300 });
  expect(set?.devices?.at(-1)).toEqual({ allow: true, type: "c", major: 7, minor: -1, access: "r" });
  expect((await house.json(`POST /containers/${id}/update`, { OomKillDisable: false })).status).toBe(200);
  expect(house.cgroups.limits.get(`/elsewhere/${id}`)?.oomKillDisable).toBe(false);
});

test("a container that has no memory left is told of while it lives, and once", async () => {
  await using house = await House.open();
  const id = await house.run(["sleep"], { HostConfig: { Memory: 64 * MB } });
  const oomKilled = async () => (await house.json(`GET /containers/${id}/json`)).body.State;
  expect(await oomKilled()).toMatchObject({ Running: true, OOMKilled: false });
  const events = house.events.watch({ signal: AbortSignal.timeout(PATIENCE_MS) })[Symbol.asyncIterator]();
  house.cgroups.exhaust(`/bosun/${id}`);
  expect((await events.next()).value).toMatchObject({ action: "oom", id });
  expect(await oomKilled()).toMatchObject({ Running: true, OOMKilled: true });
  house.task(id).end(1);
  expect((await events.next()).value).toMatchObject({ action: "die" });
  expect(await oomKilled()).toMatchObject({ Running: false, OOMKilled: true });
});

test.each<[body: object, status: number, words: string]>([
  [{ RestartPolicy: { Name: "always" } }, 409, "because AutoRemove is enabled for the container"],
  [{ RestartPolicy: { Name: "never" } }, 400, "unknown policy 'never'"],
  [{ Memory: 1 }, 400, "Minimum memory limit allowed is 6MB"],
  [{ MemorySwap: 64 * MB }, 409, "You should always set the Memory limit"],
  [{ BlkioWeight: 5 }, 400, "Range of blkio weight is from 10 to 1000"],
  [{ KernelMemory: 1 << 20 }, 400, "kernel memory has no limit of its own since Linux 5.4"],
  [{ BlkioDeviceReadBps: [{ Path: "/dev/null", Rate: 1 }] }, 400, "/dev/null is not a block device"],
])("update with %p is refused with %d", async (body, status, words) => {
  await using house = await House.open();
  const id = await house.run(["sleep"], { HostConfig: { AutoRemove: true } });
  const answer = await house.json(`POST /containers/${id}/update`, body);
  expect([answer.status, answer.body.message]).toEqual([status, expect.stringContaining(words)]);
});
