/** The plan of a container, as a table: what a request has to lead to for the container to be isolated as asked. */

import { describe, expect, test } from "bun:test";
import { DEVICE_NODES, MASKED_PATHS, READONLY_PATHS } from "../../../src/container/isolation.ts";
import { execPlan } from "../../../src/container/plan.ts";
import { CLONE, MS, RLIMIT } from "../../../src/runtime/ops.ts";
import { argsOf, mountAt, namesOf, planOf, requested, V2_TREE } from "../../support/plans.ts";

const DEFAULT = planOf();
const PRIVILEGED = planOf({ HostConfig: { Privileged: true } });
const SYSTEM = MS.nosuid | MS.noexec | MS.nodev;

describe("containerPlan() in order", () => {
  const names = namesOf(DEFAULT);
  const before = (one: string, other: string) =>
    expect([one, names.lastIndexOf(one) < names.indexOf(other)]).toEqual([one, true]);

  test("containerPlan() does what is the host's before the process begins, and ends with the program", () => {
    for (const name of ["stdio", "log", "layer"]) before(name, "clone");
    expect(names.at(-1)).toBe("exec");
    for (const name of ["clone", "root", "wait", "pivot", "session", "user", "caps", "exec"])
      expect(names.filter((each) => each === name).length).toBe(1);
  });

  test("containerPlan() enters its cgroups before it does anything that they limit", () => {
    expect(names.slice(names.indexOf("clone") + 1, names.indexOf("clone") + 4)).toEqual(["cgroup", "cgroup", "cgroup"]);
  });

  test("containerPlan() keeps its mounts from the host before the first one", () => {
    before("propagation", "overlay");
    expect(argsOf(DEFAULT, "propagation")).toEqual([[String(MS.rec | MS.private)]]);
  });

  test("containerPlan() hides paths after they are mounted and before the host is out of reach", () => {
    before("mount", "mask");
    const protect = DEFAULT.findIndex(([name, path]) => name === "readonly" && path === "/proc/sys");
    expect(protect).toBeGreaterThan(names.lastIndexOf("bind"));
    expect(protect).toBeGreaterThan(names.lastIndexOf("sysctl"));
    before("mask", "pivot");
    before("readonly", "pivot");
  });

  test("containerPlan() marks the root as a container's before it is one, so that no link in it leads elsewhere", () => {
    const [path = "", mode] = argsOf(DEFAULT, "file")[0] ?? [];
    expect([path, Number(mode)]).toEqual([`${argsOf(DEFAULT, "root")[0]?.[0]}/.dockerenv`, 0o755]);
    before("file", "root");
  });

  test("containerPlan() gives privileges up last, in the order in which it is possible", () => {
    const last = namesOf(
      planOf(
        {},
        {
          isolation: {
            capabilities: 1n,
            seccomp: { filter: Uint8Array.of(1), flags: 0, profile: {} },
            noNewPrivileges: true,
            apparmor: "",
          },
        },
      ),
    );
    expect(last.slice(last.indexOf("user"))).toEqual(["user", "no-new-privs", "seccomp", "caps", "env", "exec"]);
    before("pivot", "user");
    before("cwd", "user"); // which may be in a place that the user cannot reach by itself
  });

  test("containerPlan() waits for the network before the program, and after the namespace is there", () => {
    before("clone", "wait");
    before("wait", "exec");
    before("loopback", "wait");
  });
});

describe("containerPlan() and namespaces", () => {
  const flags = (HostConfig: object): number => Number(argsOf(planOf({ HostConfig }), "clone")[0]?.[0]);
  const all = CLONE.newNs | CLONE.newPid | CLONE.newIpc | CLONE.newUts | CLONE.newNet;

  test.each<[host: object, shared: number]>([
    [{}, 0],
    [{ Privileged: true }, 0],
    [{ NetworkMode: "none" }, 0],
    [{ NetworkMode: "host" }, CLONE.newNet],
    [{ PidMode: "host" }, CLONE.newPid],
    [{ IpcMode: "host" }, CLONE.newIpc],
    [{ IpcMode: "none" }, 0],
    [{ IpcMode: "shareable" }, 0],
    [{ UTSMode: "host" }, CLONE.newUts],
    [
      { NetworkMode: "host", PidMode: "host", IpcMode: "host", UTSMode: "host" },
      CLONE.newNet | CLONE.newPid | CLONE.newIpc | CLONE.newUts,
    ],
  ])("containerPlan() with %p shares exactly those", (host, shared) => {
    expect(flags(host)).toBe(all & ~shared);
  });

  test("containerPlan() joins the namespaces of another container, and its shared memory", () => {
    const HostConfig = { PidMode: "container:x", IpcMode: "container:x" };
    const plan = planOf({ HostConfig }, { joined: { pid: 7, ipc: 8 } });
    expect(flags(HostConfig)).toBe(all & ~CLONE.newPid & ~CLONE.newIpc);
    const names = namesOf(plan);
    expect(plan.findIndex(([, path]) => path === "/proc/7/ns/pid")).toBeLessThan(names.indexOf("clone"));
    expect(plan.findIndex(([, path]) => path === "/proc/8/ns/ipc")).toBeGreaterThan(names.indexOf("clone"));
    expect(plan.findIndex(([, path]) => path === "/proc/8/ns/ipc")).toBeLessThan(names.indexOf("mount"));
    expect(argsOf(plan, "share")).toEqual([["/proc/8/ns/mnt", "/dev/shm", "/dev/shm"]]);
  });

  test("containerPlan() makes a cgroup namespace, and not when the host's is asked for", () => {
    expect(argsOf(planOf({}, { cgroups: V2_TREE }), "unshare")).toEqual([[String(CLONE.newCgroup)]]);
    expect(argsOf(planOf({ HostConfig: { CgroupnsMode: "private" } }), "unshare")).toEqual([[String(CLONE.newCgroup)]]);
    expect(argsOf(planOf({ HostConfig: { CgroupnsMode: "host" } }), "unshare")).toEqual([]);
    expect(argsOf(planOf({ HostConfig: { CgroupnsMode: "host" } }, { cgroups: V2_TREE }), "unshare")).toEqual([]);
  });

  test("containerPlan() leaves the host's name and network settings alone when they are shared", () => {
    expect(argsOf(planOf({ HostConfig: { UTSMode: "host" } }), "hostname")).toEqual([]);
    const shared = planOf({ HostConfig: { NetworkMode: "host" } });
    expect(argsOf(shared, "loopback")).toEqual([]);
    expect(argsOf(shared, "sysctl")).toEqual([]);
    expect(argsOf(DEFAULT, "hostname")).toEqual([["0123456789ab"]]);
    expect(argsOf(planOf({ Hostname: "ship", Domainname: "sea" }), "domainname")).toEqual([["sea"]]);
  });
});

describe("containerPlan() and file systems", () => {
  test.each([
    ["/proc", "proc", SYSTEM],
    ["/sys", "sysfs", SYSTEM | MS.rdonly],
    ["/dev", "tmpfs", MS.nosuid | MS.strictatime],
    ["/dev/pts", "devpts", MS.nosuid | MS.noexec],
    ["/dev/mqueue", "mqueue", SYSTEM],
    ["/dev/shm", "tmpfs", SYSTEM],
  ])("containerPlan() mounts %s as %s with Docker's flags", (target, type, flags) => {
    const [, actual, , , mask] = mountAt(DEFAULT, target) ?? [];
    expect([actual, Number(mask)]).toEqual([type, flags]);
  });

  test("containerPlan() gives a terminal list of its own, and a console when there is one", () => {
    expect(mountAt(DEFAULT, "/dev/pts")?.[5]).toContain("newinstance");
    expect(argsOf(DEFAULT, "console")).toEqual([]);
    expect(argsOf(planOf({ Tty: true }), "console")).toEqual([["1"]]);
    expect(argsOf(planOf({ Tty: true, OpenStdin: true, StdinOnce: true }), "stdio")).toEqual([["pty", "1", "1"]]);
    expect(argsOf(DEFAULT, "stdio")).toEqual([["pipe", "0", "0"]]);
  });

  test("containerPlan() sizes /dev/shm, shares the host's, or leaves it out", () => {
    expect(mountAt(DEFAULT, "/dev/shm")?.[5]).toBe(`mode=1777,size=${64 << 20}`);
    expect(mountAt(planOf({ HostConfig: { ShmSize: 4096 } }), "/dev/shm")?.[5]).toBe("mode=1777,size=4096");
    expect(mountAt(planOf({ HostConfig: { IpcMode: "host" } }), "/dev/shm")?.slice(0, 2)).toEqual(["bind", "/dev/shm"]);
    expect(mountAt(planOf({ HostConfig: { IpcMode: "none" } }), "/dev/shm")).toBeUndefined();
  });

  test("containerPlan() shows its own cgroups read-only, and writable when privileged", () => {
    const [, , , flags] = mountAt(DEFAULT, "/sys/fs/cgroup/memory") ?? [];
    expect(Number(flags) & MS.rdonly).toBe(MS.rdonly);
    expect(mountAt(DEFAULT, "/sys/fs/cgroup/memory")?.[1]).toBe("/cg/memory/bosun/id");
    expect(Number(mountAt(PRIVILEGED, "/sys/fs/cgroup/memory")?.[3]) & MS.rdonly).toBe(0);
    const [, type, , , v2] = mountAt(planOf({}, { cgroups: V2_TREE }), "/sys/fs/cgroup") ?? [];
    expect([type, Number(v2) & MS.rdonly]).toEqual(["cgroup2", MS.rdonly]);
  });

  test("containerPlan() makes Docker's devices and no other", () => {
    expect(argsOf(DEFAULT, "mknod").map(([path]) => path ?? "")).toEqual(DEVICE_NODES.map(({ path }) => path));
    const loop = { path: "/dev/loop0", type: "b", major: 7, minor: 0, mode: 0o660 } as const;
    expect(argsOf(planOf({}, { devices: [loop] }), "mknod").at(-1)).toEqual([
      "/dev/loop0",
      String(0o060660),
      "7",
      "0",
      "0",
      "0",
    ]);
  });

  test("containerPlan() binds /etc/hosts, hostname and resolv.conf, unless the user binds something there", () => {
    expect(mountAt(DEFAULT, "/etc/hosts")?.[1]).toBe("/containers/id/hosts");
    const own = planOf({ HostConfig: { Binds: ["/mine:/etc/hosts"] } });
    expect(
      argsOf(own, "bind")
        .filter(([, target]) => target === "/etc/hosts")
        .map(([source]) => source),
    ).toEqual(["/mine"]);
    expect(mountAt(own, "/etc/hostname")?.[1]).toBe("/containers/id/hostname");
  });

  test("containerPlan() with a read-only root leaves nothing of its own writable", () => {
    const plan = planOf({ HostConfig: { ReadonlyRootfs: true } });
    expect(argsOf(plan, "remount-ro-root").length).toBe(1);
    expect(namesOf(plan).indexOf("remount-ro-root")).toBeGreaterThan(namesOf(plan).indexOf("pivot"));
    for (const name of ["hosts", "hostname", "resolv.conf"])
      expect(Number(mountAt(plan, `/etc/${name}`)?.[4]) & MS.rdonly).toBe(MS.rdonly);
    expect(argsOf(DEFAULT, "remount-ro-root")).toEqual([]);
  });

  test.each<[spec: string, flags: number, recursive: number]>([
    ["/a:/b", MS.rec, MS.private],
    ["/a:/b:ro", MS.rec, MS.private | MS.rdonly],
    ["/a:/b:rslave", MS.rec, MS.slave],
    ["/a:/b:slave,ro", MS.rec | MS.slave, MS.rdonly],
    ["/a:/b:private", MS.rec | MS.private, 0],
    ["/a:/b:z,cached", MS.rec, MS.private],
  ])("containerPlan() binds %s with flags %p and %p", (spec, flags, recursive) => {
    expect(mountAt(planOf({ HostConfig: { Binds: [spec] } }), "/b")).toEqual([
      "bind",
      "/a",
      "/b",
      String(flags),
      String(recursive),
      "1",
    ]);
  });

  test("containerPlan() with a slave bind lets the host's mounts in, and still none out", () => {
    expect(argsOf(planOf({ HostConfig: { Binds: ["/a:/b:rslave"] } }), "propagation")).toEqual([
      [String(MS.rec | MS.slave)],
    ]);
  });

  test("containerPlan() mounts parents before children, whatever their kind", () => {
    const plan = planOf({ HostConfig: { Binds: ["/x:/a/b/c", "/y:/a"], Tmpfs: { "/a/b": "" } } });
    const targets = plan
      .filter((op) => op[0] === "bind" || op[0] === "mount")
      .map((op) => (op[0] === "bind" ? op[2] : op[3]));
    expect(targets.filter((target) => target?.startsWith("/a"))).toEqual(["/a", "/a/b", "/a/b/c"]);
  });

  test.each<[options: string, flags: number, data: string]>([
    ["", SYSTEM, ""],
    ["size=64m,mode=1777", SYSTEM, "size=64m,mode=1777"],
    ["exec,ro", MS.nosuid | MS.nodev | MS.rdonly, ""],
    ["rw,suid,dev,exec,size=1k", 0, "size=1k"],
  ])("containerPlan() mounts a tmpfs with %p", (options, flags, data) => {
    expect(mountAt(planOf({ HostConfig: { Tmpfs: { "/t": options } } }), "/t")).toEqual([
      "mount",
      "tmpfs",
      "tmpfs",
      "/t",
      String(flags),
      data,
    ]);
  });
});

describe("containerPlan() and what is hidden", () => {
  test("containerPlan() masks and protects Docker's paths", () => {
    expect(argsOf(DEFAULT, "mask").map(([path]) => path ?? "")).toEqual([...MASKED_PATHS]);
    expect(argsOf(DEFAULT, "readonly").map(([path]) => path)).toEqual(["/sys/fs/cgroup", ...READONLY_PATHS]);
  });

  test("containerPlan() hides nothing from a privileged container", () => {
    expect(argsOf(PRIVILEGED, "mask")).toEqual([]);
    expect(argsOf(PRIVILEGED, "readonly")).toEqual([]);
    expect(Number(mountAt(PRIVILEGED, "/sys")?.[4]) & MS.rdonly).toBe(0);
  });

  test("containerPlan() hides what the request says instead, down to nothing", () => {
    const chosen = planOf({ HostConfig: { MaskedPaths: ["/proc/keys"], ReadonlyPaths: [] } });
    expect(argsOf(chosen, "mask")).toEqual([["/proc/keys"]]);
    expect(argsOf(chosen, "readonly")).toEqual([["/sys/fs/cgroup"]]);
    expect(argsOf(planOf({ HostConfig: { MaskedPaths: [], ReadonlyPaths: [] } }), "mask")).toEqual([]);
  });
});

describe("containerPlan() and the process", () => {
  test("containerPlan() gives the same capabilities to all sets but the inheritable and ambient ones", () => {
    expect(argsOf(DEFAULT, "caps")).toEqual([["5", "5", "5", "0", "0"]]);
  });

  test("containerPlan() filters system calls, unless there is no filter", () => {
    expect(argsOf(DEFAULT, "seccomp")).toEqual([["0", "010203"]]);
    expect(
      argsOf(
        planOf({}, { isolation: { capabilities: 0n, seccomp: undefined, noNewPrivileges: false, apparmor: "" } }),
        "seccomp",
      ),
    ).toEqual([]);
    expect(argsOf(DEFAULT, "no-new-privs")).toEqual([]);
  });

  test("containerPlan() runs user, folder, environment and command as merged", () => {
    const plan = planOf({
      User: "bob:staff",
      WorkingDir: "/srv",
      Env: ["A=b"],
      Cmd: ["ls", "-l"],
      HostConfig: { GroupAdd: ["50"] },
    });
    expect(argsOf(plan, "user")).toEqual([["bob:staff", "50"]]);
    expect(argsOf(plan, "exec")).toEqual([["ls", "-l"]]);
    expect(argsOf(plan, "cwd")[0]?.[0]).toBe("/srv");
    expect(argsOf(plan, "env")[0]?.toSorted()).toEqual([
      "A=b",
      "HOSTNAME=0123456789ab",
      expect.stringContaining("PATH="),
    ]);
    expect(argsOf(planOf({ Tty: true }), "env")[0]).toContain("TERM=xterm");
  });

  test("containerPlan() puts an init before the program when it is asked for", () => {
    const plan = planOf({ Cmd: ["ls"] }, { init: "/host/shim" });
    expect(argsOf(plan, "exec")).toEqual([["/sbin/docker-init", "--", "ls"]]);
    expect(mountAt(plan, "/sbin/docker-init")?.slice(0, 2)).toEqual(["bind", "/host/shim"]);
    expect(Number(mountAt(plan, "/sbin/docker-init")?.[4]) & MS.rdonly).toBe(MS.rdonly);
  });

  test("containerPlan() sets limits, OOM score and sysctls", () => {
    const plan = planOf(
      { HostConfig: { OomScoreAdj: 500, Sysctls: { "net.ipv4.ip_forward": "1" } } },
      { ulimits: [{ name: "nofile", soft: 10, hard: -1 }] },
    );
    expect(argsOf(plan, "rlimit")).toEqual([["7", "10", String(2n ** 64n - 1n)]]);
    expect(argsOf(plan, "oom-score")).toEqual([["500"]]);
    expect(argsOf(plan, "sysctl")).toContainEqual(["net.ipv4.ip_forward", "1"]);
    expect(argsOf(plan, "sysctl")).toContainEqual(["net.ipv4.ip_unprivileged_port_start", "0"]);
    expect(argsOf(DEFAULT, "oom-score")).toEqual([]);
  });

  test("containerPlan() writes the log that it is told, or none", () => {
    const rotated = planOf({}, { log: { path: "/l", maxSize: 10, maxFiles: 3, compress: false } });
    expect(argsOf(rotated, "log")[0]?.slice(0, 3)).toEqual(["/l", "10", "3"]);
    expect(argsOf(planOf({}, { log: undefined }), "log")).toEqual([]);
  });
});

describe("execPlan()", () => {
  const { config } = requested({ Cmd: ["sh"], User: "bob" });
  const plan = execPlan({
    process: config,
    hostname: "ship",
    pid: 42,
    groups: [],
    cgroups: V2_TREE,
    runtime: undefined,
    ulimits: [{ name: "nofile", soft: 100, hard: 200 }],
    oomScoreAdj: 500,
    isolation: {
      capabilities: 3n,
      seccomp: { filter: Uint8Array.of(9), flags: 0, profile: {} },
      noNewPrivileges: true,
      apparmor: "",
    },
  });

  test("execPlan() joins every namespace of the container: pid before the process is made, mounts last", () => {
    const joined = argsOf(plan, "join").map(([path]) => path);
    expect(joined.toSorted()).toEqual(
      ["cgroup", "ipc", "mnt", "net", "pid", "uts"].map((name) => `/proc/42/ns/${name}`),
    );
    expect(joined.at(0)).toBe("/proc/42/ns/pid");
    expect(joined.at(-1)).toBe("/proc/42/ns/mnt");
    expect(namesOf(plan).indexOf("join")).toBeLessThan(namesOf(plan).indexOf("clone"));
    expect(argsOf(plan, "clone")).toEqual([["0", "/cg/bosun/id"]]); // it is born there
  });

  test("execPlan() bounds the process as the container's own is", () => {
    expect(argsOf(plan, "rlimit")).toEqual([[String(RLIMIT.nofile), "100", "200"]]);
    expect(argsOf(plan, "oom-score")).toEqual([["500"]]);
    expect(namesOf(plan).indexOf("rlimit")).toBeLessThan(namesOf(plan).indexOf("user")); // which may lack the right
  });

  test("execPlan() enters the container's cgroup and takes its capabilities, filter and user", () => {
    expect(argsOf(plan, "cgroup")).toEqual([]);
    expect(argsOf(plan, "caps")).toEqual([["3", "3", "3", "0", "0"]]);
    expect(argsOf(plan, "seccomp")).toEqual([["0", "09"]]);
    expect(argsOf(plan, "user")).toEqual([["bob"]]);
    expect(namesOf(plan).at(-1)).toBe("exec");
    expect(namesOf(plan).filter((name) => ["mount", "bind", "root", "pivot", "mknod"].includes(name))).toEqual([]);
  });
});
