import { describe, expect, test } from "bun:test";
import { type CgroupLimits, cgroupLayout } from "../../../src/runtime/cgroup.ts";
import { checkPath, directoryIn, lineage, ownPlaces } from "../../../src/runtime/cgroup-files.ts";
import { blockSettings, weightsOf } from "../../../src/runtime/cgroup-v1-disks.ts";
import { diskWeightOf, parseIoStat, settings, weightOf } from "../../../src/runtime/cgroup-v2.ts";

const V1 = `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset,clone_children
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/lib/x,name=systemd
50 31 0:29 / /mnt/again\\040here rw,relatime - cgroup cgroup rw,cpu,cpuacct
`;

const V1_HIERARCHIES = [
  { mount: "/sys/fs/cgroup/cpu,cpuacct", controllers: ["cpu", "cpuacct"] },
  { mount: "/sys/fs/cgroup/cpuset", controllers: ["cpuset"] },
  { mount: "/sys/fs/cgroup/systemd", controllers: ["name=systemd"] },
];

test("cgroupLayout() finds the hierarchies of v1, each once", () => {
  expect(cgroupLayout(V1)).toEqual({ version: 1, hierarchies: V1_HIERARCHIES });
});

test("cgroupLayout() finds the v2 tree beside v1", () => {
  const text = `${V1}41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n`;
  expect(cgroupLayout(text)).toEqual({
    version: 1,
    hierarchies: V1_HIERARCHIES,
    unified: "/sys/fs/cgroup/unified",
  });
});

test("cgroupLayout() finds v2 alone, and unescapes its path", () => {
  expect(cgroupLayout("30 23 0:26 / /sys/fs/c\\040g rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n")).toEqual({
    version: 2,
    mount: "/sys/fs/c g",
  });
});

test("cgroupLayout() is undefined when there is no cgroup file system", () => {
  expect(cgroupLayout("27 1 254:0 / / rw - ext4 /dev/vda rw\n")).toBeUndefined();
});

test.each([
  [2, 1],
  [1024, 39],
  [262144, 10000],
  [0, 1],
])("weightOf(%d) is %d", (shares, weight) => {
  expect(weightOf(shares)).toBe(weight);
});

test.each([
  [{}, 0, []],
  [{ memory: 64, memorySwap: 128 }, 0, ["memory.max=64", "memory.swap.max=64"]],
  [{ memorySwap: 128 }, 100, ["memory.swap.max=28"]],
  [{ memory: -1, memorySwap: -1 }, 0, ["memory.max=max", "memory.swap.max=max"]],
  [{ cpuQuota: 50_000 }, 0, ["cpu.max=50000 100000"]],
  [{ cpuPeriod: 1000 }, 0, ["cpu.max=max 1000"]],
  [{ pidsLimit: 0 }, 0, ["pids.max=max"]],
  [{ cpusetCpus: "0-1", cpusetMems: "" }, 0, ["cpuset.cpus=0-1"]],
] as const)("settings(%j) are the files of v2", (limits, memoryNow, files) => {
  expect(settings(limits, memoryNow).map(([name, value]) => `${name}=${value}`)).toEqual([...files]);
});

test("parseIoStat() reads a line per device", () => {
  expect(parseIoStat("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n8:16 \n")).toEqual([
    { major: 8, minor: 0, readBytes: 1, writeBytes: 2, reads: 3, writes: 4 },
  ]);
});

test("checkPath() takes only what lies below the root", () => {
  expect(checkPath("/bosun/a")).toBe("/bosun/a");
  expect(checkPath("bosun/a")).toBe("bosun/a");
  for (const path of ["", "/", "..", "a/../b", "/bosun/../x", "/bosun/", "/a//b", "/./a"])
    expect(() => checkPath(path)).toThrow("invalid cgroup");
});

test("lineage() lists a path from the outside in", () => {
  expect(lineage("/a/b/c")).toEqual(["/a", "/a/b", "/a/b/c"]);
  expect(lineage("a/b")).toEqual(["a", "a/b"]);
  expect(lineage("/")).toEqual([]);
});

test("directoryIn() puts relative paths below our own place, which is another in every tree", () => {
  const own = ownPlaces("4:memory:/daemon.service\n1:cpu,cpuacct:/\n0::/user\n");
  const place = (controller: string) => own.get(controller) ?? "";
  expect(directoryIn("/cg/memory", place("memory"), "a/b")).toBe("/cg/memory/daemon.service/a/b");
  expect(directoryIn("/cg/cpu", place("cpuacct"), "a")).toBe("/cg/cpu/a");
  expect(directoryIn("/cg/unified", place(""), "a")).toBe("/cg/unified/user/a");
  expect(directoryIn("/cg/memory", place("memory"), "/a")).toBe("/cg/memory/a");
});

describe("limits of disks", () => {
  const disk = (value: number) => [{ major: 8, minor: 16, value }];
  const written = (limits: CgroupLimits, bfq = false) => settings(limits, 0, bfq).map((pair) => pair.join("="));

  test.each([
    [10, 1],
    [500, 4950],
    [1000, 10_000],
  ])("diskWeightOf(%d) is %d", (weight, expected) => {
    expect(diskWeightOf(weight)).toBe(expected);
  });

  test("blockSettings() writes a line per disk and limit on v1, weights where the scheduler has them", () => {
    const limits = { blkioWeight: 300, blockWeights: disk(0), readBps: disk(7), writeIops: disk(0) };
    const lines = (root: readonly string[]) =>
      blockSettings(
        limits,
        weightsOf((_, file) => file === undefined || root.includes(file)),
      ).map((pair) => pair.join("="));
    const throttles = ["blkio.throttle.read_bps_device=8:16 7", "blkio.throttle.write_iops_device=8:16 0"];
    expect(lines([])).toEqual(throttles);
    expect(lines(["blkio.weight"])).toEqual(["blkio.weight=300", "blkio.weight_device=8:16 0", ...throttles]);
    expect(lines(["blkio.bfq.io_serviced"])).toEqual([
      ...["blkio.bfq.weight=300", "blkio.bfq.weight_device=8:16 default"],
      ...throttles,
    ]);
  });

  test("settings() writes a line per disk and limit on v2", () => {
    expect(written({ readBps: disk(1), writeBps: disk(2), readIops: disk(3), writeIops: disk(0) })).toEqual([
      "io.max=8:16 rbps=1",
      "io.max=8:16 wbps=2",
      "io.max=8:16 riops=3",
      "io.max=8:16 wiops=max",
    ]);
    expect(written({ blkioWeight: 1000, blockWeights: disk(10) })).toEqual([
      "io.weight=default 10000",
      "io.weight=8:16 1",
    ]);
    expect(written({ blkioWeight: 1000, blockWeights: disk(0) }, true)).toEqual([
      "io.bfq.weight=1000",
      "io.bfq.weight=8:16 default",
    ]);
  });
});
