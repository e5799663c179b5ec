import { expect, test } from "bun:test";
import { cgroupLayout } from "../../../src/runtime/cgroup.ts";
import { checkPath, lineage } from "../../../src/runtime/cgroup-files.ts";
import { parseIoStat, settings, weightOf } from "../../../src/runtime/cgroup-v2.ts";

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
  for (const path of ["", "/", "bosun", "/bosun/../x", "/bosun/", "/a//b", "/./a"])
    expect(() => checkPath(path)).toThrow("invalid cgroup");
});

test("lineage() lists a path from the outside in", () => {
  expect(lineage("/a/b/c")).toEqual(["/a", "/a/b", "/a/b/c"]);
});
