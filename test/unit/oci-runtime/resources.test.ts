import { describe, expect, test } from "bun:test";
import { resourcesDecoder } from "../../../src/oci-runtime/config.ts";
import { createLimits, limitsOf } from "../../../src/oci-runtime/resources.ts";
import { ALL } from "../../fake/cgroups.ts";
import { failureOf } from "../../support/errors.ts";

const limits = (document: object, version: 1 | 2 = 2, features = ALL) =>
  limitsOf(resourcesDecoder(document, ""), version, features);
const textOf = (document: object, version: 1 | 2, features = ALL): Promise<string> =>
  failureOf(async () => limits(document, version, features));

describe("limitsOf()", () => {
  test("takes what our cgroups have a word for, and no zeros", () => {
    const document = { memory: { limit: 1000, swap: 0 }, cpu: { shares: 0, cpus: "" }, pids: { limit: -1 } };
    expect(limits(document)).toEqual({ memory: 1000, pidsLimit: -1, files: [] });
  });

  test("numbers beyond what JSON can tell mean no limit", () => {
    expect(limits({ memory: { limit: 2 ** 63 } })).toMatchObject({ memory: -1 });
  });

  test("what only one version has becomes its files", () => {
    const document = {
      hugepageLimits: [{ pageSize: "2MB", limit: 4 }],
      blockIO: { throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 7 }] },
    };
    expect(limits(document, 1).files).toEqual([
      { controller: "hugetlb", name: "hugetlb.2MB.limit_in_bytes", value: "4" },
    ]);
    expect(limits({ ...document, unified: { "memory.high": "9" } }, 2).files).toEqual([
      { controller: "hugetlb", name: "hugetlb.2MB.max", value: "4" },
      { controller: "memory", name: "memory.high", value: "9" },
    ]);
  });

  test("refuses what the other version has", async () => {
    expect(await textOf({ unified: { "memory.high": "1" } }, 1)).toBe(
      "invalid: cannot set unified resources: cgroup v2 is needed",
    );
    expect(await textOf({ memory: { swappiness: 1 } }, 2)).toBe(
      "invalid: cgroups of version 2 cannot do memory.swappiness",
    );
  });

  test.each(["../memory.max", "a/b.c", "cgroup"])("a unified resource %s is no file of a cgroup", async (name) => {
    expect(await textOf({ unified: { [name]: "1" } }, 2)).toStartWith("invalid: invalid unified resource");
  });

  test("refuses what this machine would not hold", async () => {
    expect(await textOf({ pids: { limit: 1 } }, 1, { ...ALL, pids: false })).toBe(
      "invalid: cannot set pids limit: this machine has no cgroup for it",
    );
  });
});

test("createLimits() allows no device but the configuration's and those that all have", () => {
  const rule = { allow: true, type: "c", major: 10, minor: 229, access: "rw" } as const;
  const { devices = [] } = createLimits(resourcesDecoder({ devices: [rule] }, ""), 2, ALL);
  expect(devices.slice(0, 2)).toEqual([{ allow: false, type: "a", major: -1, minor: -1, access: "rwm" }, rule]);
  expect(devices).toContainEqual({ allow: true, type: "c", major: 1, minor: 3, access: "rwm" });
});
