import { describe, expect, test } from "bun:test";
import { parseDeviceRule } from "../../../src/container/device-rules.ts";
import {
  checkRealtime,
  disksChange,
  limitsOf,
  possible,
  resourceWarnings,
  toCgroupParent,
} from "../../../src/container/limits.ts";
import { ALL } from "../../fake/cgroups.ts";
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
    [{ NanoCpus: 500_000_000 }, { cpuQuota: 50_000, cpuPeriod: 100_000 }],
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
    [{ MemorySwappiness: 0 }, { memorySwappiness: 0 }],
    [{ MemorySwappiness: -1, OomKillDisable: false }, {}],
    [{ OomKillDisable: true }, { oomKillDisable: true }],
    [
      { CpuRealtimePeriod: 1_000_000, CpuRealtimeRuntime: 5000, BlkioWeight: 300 },
      { cpuRealtimePeriod: 1_000_000, cpuRealtimeRuntime: 5000, blkioWeight: 300 },
    ],
  ])("limitsOf(%p)", (host, expected) => {
    expect(limits(host)).toEqual({ ...expected, devices: [] });
  });

  test("limitsOf() says nothing of swap on a host that does not count it", () => {
    expect(limits({ Memory: 64 << 20 }, false)).toEqual({ memory: 64 << 20, devices: [] });
  });
});

const resources = (HostConfig: object) => requested({ HostConfig }).host.resources;

describe("what the host lacks", () => {
  const asked = resources({
    ...{ MemorySwappiness: 5, OomKillDisable: true, BlkioWeight: 100 },
    BlkioDeviceReadBps: [{ Path: "/dev/x", Rate: 1 }],
  });
  const lacking = { ...ALL, memorySwappiness: false, oomKillDisable: false, blockWeight: false, readBps: false };

  test("possible() leaves out what cannot be, resourceWarnings() says so in Docker's words", () => {
    expect(possible(asked, lacking)).toEqual(resources({}));
    expect(possible(asked, ALL)).toEqual(asked);
    expect(resourceWarnings(asked, lacking)).toEqual([
      "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
      "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
      "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
      "Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.",
    ]);
  });

  test("resourceWarnings() of a container that would never be killed nor limited", () => {
    expect(resourceWarnings(resources({ OomKillDisable: true }), ALL)).toEqual([
      "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
    ]);
  });

  test.each([
    [{ CpuRealtimePeriod: 5 }, "cpu real-time period"],
    [{ CpuRealtimeRuntime: 5 }, "cpu real-time runtime"],
  ])("checkRealtime(%p) throws where the kernel has no %s", (HostConfig, words) => {
    checkRealtime(resources(HostConfig), ALL);
    expect(() => checkRealtime(resources(HostConfig), { ...ALL, cpuRealtime: false })).toThrow(
      `Your kernel does not support cgroup ${words}`,
    );
  });
});

test.each([
  ["", ""],
  ["/", "/"],
  ["/a/b/", "/a/b"],
  ["/a//b/../c", "/a/c"],
  ["a/b", "a/b"],
])("toCgroupParent(%p) is %p", (text, parent) => {
  expect(toCgroupParent(text)).toBe(parent);
});

test.each(["system.slice", "/a/my.slice", "..", "a/../..", "."])("toCgroupParent(%p) throws", (text) => {
  expect(() => toCgroupParent(text)).toThrow("invalid cgroup parent");
});

describe("parseDeviceRule()", () => {
  test.each([
    ["c 1:3 r", [{ allow: true, type: "c", major: 1, minor: 3, access: "r" }]],
    ["b *:* rwm", [{ allow: true, type: "b", major: -1, minor: -1, access: "rwm" }]],
    [
      "a 7:* m",
      [
        { allow: true, type: "b", major: 7, minor: -1, access: "m" },
        { allow: true, type: "c", major: 7, minor: -1, access: "m" },
      ],
    ],
  ] as const)("parseDeviceRule(%p)", (text, rules) => {
    expect(parseDeviceRule(text)).toEqual([...rules]);
  });

  test.each(["", "c 1:3", "x 1:3 r", "c 1:3 rwx", "c -1:3 r", "c 1:3 r "])("parseDeviceRule(%p) throws", (text) => {
    expect(() => parseDeviceRule(text)).toThrow(`invalid device cgroup rule format: '${text}'`);
  });
});

test("disksChange() lifts what is limited no more", () => {
  const [one, other] = [
    { major: 8, minor: 0, value: 10 },
    { major: 8, minor: 16, value: 20 },
  ];
  expect(disksChange({ readBps: [one, other], writeIops: [one] }, { readBps: [{ ...other, value: 30 }] })).toEqual({
    readBps: [
      { ...one, value: 0 },
      { ...other, value: 30 },
    ],
    writeIops: [{ ...one, value: 0 }],
  });
});
