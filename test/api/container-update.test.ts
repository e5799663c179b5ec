/** Updates over made-up lower rooms: what reaches the cgroup, what is kept, and what is refused. */

import { expect, test } from "bun:test";
import { invalid } from "../../src/base/errors.ts";
import { actionsOf, House } from "../support/house.ts";

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

test.each<[body: object, status: number, words: string]>([
  [{ RestartPolicy: { Name: "always" } }, 409, "because AutoRemove is enabled for the container"],
  [{ RestartPolicy: { Name: "never" } }, 400, "unknown policy 'never'"],
  [{ Memory: 1 }, 400, "Minimum memory limit allowed is 6MB"],
  [{ MemorySwap: 64 * MB }, 409, "You should always set the Memory limit"],
  [{ BlkioWeight: 10 }, 501, "BlkioWeight is not supported yet"],
])("update with %p is refused with %d", async (body, status, words) => {
  await using house = await House.open();
  const id = await house.run(["sleep"], { HostConfig: { AutoRemove: true } });
  const answer = await house.json(`POST /containers/${id}/update`, body);
  expect([answer.status, answer.body.message]).toEqual([status, expect.stringContaining(words)]);
});
