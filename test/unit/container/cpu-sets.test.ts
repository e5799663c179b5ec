import { expect, test } from "bun:test";
import { checkCpuSets, hostCpuSets, parseCpuSet } from "../../../src/container/cpu-sets.ts";
import { UNLIMITED } from "../../../src/container/resources.ts";

test.each<[text: string, members: readonly number[] | undefined]>([
  ["0", [0]],
  ["0-2,7", [0, 1, 2, 7]],
  ["", undefined],
  ["x", undefined],
  ["1-", undefined],
  ["2-1", undefined],
  ["0,,1", undefined],
  ["0-99999999999", undefined],
])("parseCpuSet(%p)", (text, members) => {
  expect(parseCpuSet(text)).toEqual(members && new Set(members));
});

test.each<[asked: object, message: string]>([
  [{ cpusetCpus: "x" }, "Invalid value x for cpuset cpus: invalid format: x"],
  [{ cpusetMems: "0-" }, "Invalid value 0- for cpuset mems: invalid format: 0-"],
  [{ cpusetCpus: "3-5" }, "Requested CPUs are not available - requested 3-5, available: 0-3"],
  [{ cpusetMems: "1" }, "Requested memory nodes are not available - requested 1, available: 0"],
])("checkCpuSets() refuses %p", (asked, message) => {
  expect(() => checkCpuSets({ ...UNLIMITED, ...asked }, { cpus: "0-3", mems: "0" })).toThrow(message);
});

test("checkCpuSets() takes what this host has", () => {
  const { cpus, mems } = hostCpuSets();
  checkCpuSets({ ...UNLIMITED, cpusetCpus: cpus, cpusetMems: mems }, { cpus, mems });
  checkCpuSets(UNLIMITED, { cpus, mems });
});
