import { describe, expect, test } from "bun:test";
import { changeOf, resourceWarnings } from "../../../src/container/limits.ts";
import { type ResourceChange, updatedResources } from "../../../src/container/update.ts";
import { ALL } from "../../fake/cgroups.ts";
import { requested } from "../../support/plans.ts";

const resources = (HostConfig: object) => requested({ HostConfig }).host.resources;
const MB = 1 << 20;

describe("updatedResources()", () => {
  test.each<[before: object, change: ResourceChange, after: object]>([
    [{}, { memory: 64 * MB }, { memory: 64 * MB, memorySwap: 0 }],
    [{ Memory: 64 * MB }, { memory: 32 * MB }, { memory: 32 * MB, memorySwap: 128 * MB }],
    [{ Memory: 64 * MB }, { memorySwap: -1 }, { memory: 64 * MB, memorySwap: -1 }],
    [{ Memory: 64 * MB, MemorySwap: -1 }, { memory: 512 * MB }, { memory: 512 * MB, memorySwap: -1 }],
    [{ CpuShares: 5 }, { cpuShares: 7, cpusetCpus: "0" }, { cpuShares: 7, cpusetCpus: "0" }],
    [{ PidsLimit: 5 }, { pidsLimit: 0 }, { pidsLimit: 0 }],
    [{ NanoCpus: 1e9 }, { nanoCpus: 5e8 }, { nanoCpus: 5e8 }],
  ])("updatedResources(%p, %p)", (before, change, after) => {
    expect(updatedResources(resources(before), change)).toMatchObject(after);
  });

  test.each<[before: object, change: ResourceChange, words: string]>([
    [{ Memory: 64 * MB }, { memory: 256 * MB }, "Memory limit should be smaller than already set memoryswap limit"],
    [{}, { memorySwap: 64 * MB }, "You should always set the Memory limit when using Memoryswap limit"],
    [{ Memory: 64 * MB }, { memorySwap: 32 * MB }, "Minimum memoryswap limit should be larger than memory limit"],
    [{ CpuQuota: 5000 }, { nanoCpus: 1e9 }, "Nano CPUs cannot be updated as CPU Period/Quota has already been set"],
    [{ NanoCpus: 1e9 }, { cpuQuota: 5000 }, "CPU Period/Quota cannot be updated as NanoCPUs has already been set"],
  ])("updatedResources(%p, %p) throws %p", (before, change, words) => {
    expect(() => updatedResources(resources(before), change)).toThrow(words);
  });
});

test("changeOf() lifts what there was and is no more", () => {
  expect(changeOf(resources({ Memory: 64 * MB, PidsLimit: 9, CpuShares: 5 }), resources({}), true)).toEqual({
    memory: -1,
    memorySwap: -1,
    pidsLimit: -1,
  });
  expect(changeOf(resources({}), resources({ PidsLimit: 9 }), true)).toEqual({ pidsLimit: 9 });
});

test("resourceWarnings() names what the host cannot limit", () => {
  const features = { ...ALL, swap: false, pids: false };
  expect(resourceWarnings(resources({ Memory: 64 * MB, PidsLimit: 9, CpuShares: 5 }), features)).toEqual([
    "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
    "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
  ]);
  expect(resourceWarnings(resources({}), features)).toEqual([]);
});
