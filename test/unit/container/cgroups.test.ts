import { describe, expect, test } from "bun:test";
import { limitsOf } from "../../../src/container/cgroups.ts";
import { requested } from "../../support/plans.ts";

const limits = (HostConfig: object, hasSwap = true) => limitsOf(requested({ HostConfig }).host.resources, [], hasSwap);

describe("limitsOf()", () => {
  test.each<[host: object, limits: object]>([
    [{}, {}],
    [{ Memory: 64 << 20 }, { memory: 64 << 20, memorySwap: 128 << 20 }],
    [
      { Memory: 64 << 20, MemorySwap: 64 << 20 },
      { memory: 64 << 20, memorySwap: 64 << 20 },
    ],
    [
      { Memory: 64 << 20, MemorySwap: -1 },
      { memory: 64 << 20, memorySwap: -1 },
    ],
    [{ MemoryReservation: 32 << 20 }, { memoryReservation: 32 << 20 }],
    [{ NanoCpus: 1_500_000_000 }, { cpuQuota: 150_000, cpuPeriod: 100_000 }],
    [{ NanoCpus: 10_000_000 }, { cpuQuota: 1000, cpuPeriod: 100_000 }],
    [
      { CpuQuota: 5000, CpuPeriod: 20_000 },
      { cpuQuota: 5000, cpuPeriod: 20_000 },
    ],
    [
      { CpuShares: 512, CpusetCpus: "0-1", CpusetMems: "0" },
      { cpuShares: 512, cpusetCpus: "0-1", cpusetMems: "0" },
    ],
    [{ PidsLimit: 50 }, { pidsLimit: 50 }],
    [{ PidsLimit: -1 }, {}],
    [{ PidsLimit: 0 }, {}],
  ])("limitsOf(%p)", (host, expected) => {
    expect(limits(host)).toEqual({ ...expected, devices: [] });
  });

  test("limitsOf() says nothing of swap on a host that does not count it", () => {
    expect(limits({ Memory: 64 << 20 }, false)).toEqual({ memory: 64 << 20, devices: [] });
  });
});
