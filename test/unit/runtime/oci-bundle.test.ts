import { describe, expect, test } from "bun:test";
import { toBundle } from "../../../src/runtime/oci-bundle.ts";
import * as op from "../../../src/runtime/ops.ts";
import { CLONE, MS, type Plan, RLIMIT, S_IF, UNLIMITED } from "../../../src/runtime/ops.ts";
import { seccompProfile, viaRuntime } from "../../../src/runtime/ops-oci.ts";
import { failureOf } from "../../support/errors.ts";

const made: Plan = [
  viaRuntime("other", [{ allow: true, type: "c", major: 1, minor: -1, access: "rw" }]),
  op.stdio("pty"),
  op.layer("/i", "/d", "/l"),
  op.clone(CLONE.newNs | CLONE.newPid),
  op.cgroup("/sys/fs/cgroup/pids/a/b/cgroup.procs"),
  op.join("/proc/7/ns/net", CLONE.newNet),
  op.unshare(CLONE.newCgroup),
  op.overlay("/root", { lower: ["/l", "/m"] }),
  op.root("/root"),
  op.mount("proc", "proc", "/proc", MS.nosuid),
  op.mount("tmpfs", "tmpfs", "/sys/fs/cgroup", MS.noexec, "mode=755"),
  op.readonly("/sys/fs/cgroup"),
  op.bind("/sys/fs/cgroup/pids/a/b", "/sys/fs/cgroup/pids"),
  op.bind("/from", "/to", { flags: MS.rec | MS.private, recursive: MS.rdonly }),
  op.mknod("/dev/x", { mode: S_IF.chr | 0o600, major: 1, minor: 2 }),
  op.console(true),
  op.hostname("box"),
  op.sysctl("net.x", "1"),
  op.mask("/secret"),
  op.readonly("/proc/sys"),
  op.wait(),
  op.pivot(),
  op.remountReadonlyRoot(),
  op.session(),
  op.rlimit(RLIMIT.nofile, 5, UNLIMITED),
  op.cwd("/w", true),
  op.user("bob", ["staff"]),
  seccompProfile({ defaultAction: "SCMP_ACT_ALLOW" }),
  op.caps({ bounding: 0b100001n, effective: 1n, permitted: 1n, inheritable: 0n, ambient: 0n }),
  op.env(["A=@b@"]),
  op.exec("sh", "-c", '"quoted"'),
];

const bundleOf = (plan: Plan) =>
  toBundle(plan, (procs) => procs.replace("/sys/fs/cgroup/pids", "").replace("/cgroup.procs", ""));
const configOf = (plan: Plan) => {
  const [before, after] = bundleOf(plan).document;
  return JSON.parse(`${before}{"uid":1}${after}`);
};

describe("toBundle()", () => {
  test("leaves stdio, layers and the root to the shim", () => {
    const { outside, inside, root, terminal, user } = bundleOf(made);
    expect(outside.map(([name]) => name)).toEqual(["stdio", "layer"]);
    expect(inside.map(([name]) => name)).toEqual(["overlay"]);
    expect([root, terminal, user]).toEqual(["/root", true, { spec: "bob", groups: ["staff"] }]);
  });

  test("tells the rest as a configuration", () => {
    const { process, mounts, linux, root, hostname } = configOf(made);
    expect([root, hostname]).toEqual([{ path: "/root", readonly: true }, "box"]);
    expect(process).toMatchObject({
      user: { uid: 1 },
      cwd: "/w",
      env: ["A=@b@"],
      args: ["sh", "-c", '"quoted"'],
      terminal: true,
    });
    expect(process.capabilities).toMatchObject({
      bounding: ["CAP_CHOWN", "CAP_KILL"],
      effective: ["CAP_CHOWN"],
      ambient: [],
    });
    expect(mounts).toEqual([
      { destination: "/proc", type: "proc", source: "proc", options: ["nosuid"] },
      { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["noexec", "ro"] },
      { destination: "/to", type: "bind", source: "/from", options: ["rbind", "ro", "private"] },
    ]);
    expect(linux).toMatchObject({
      cgroupsPath: "/a/b",
      namespaces: [{ type: "pid" }, { type: "mount" }, { type: "network", path: "/proc/7/ns/net" }, { type: "cgroup" }],
      devices: [{ type: "c", path: "/dev/x", major: 1, minor: 2, fileMode: 0o600 }],
      resources: { devices: [{ allow: true, type: "c", major: 1, access: "rw" }] },
      sysctl: { "net.x": "1" },
      maskedPaths: ["/secret"],
      readonlyPaths: ["/proc/sys"],
      seccomp: { defaultAction: "SCMP_ACT_ALLOW" },
    });
  });

  test("limits keep all of their 64 bits", () => {
    expect(bundleOf(made).document[1]).toContain(
      '"rlimits":[{"type":"RLIMIT_NOFILE","soft":5,"hard":18446744073709551615}]',
    );
  });

  test("a process that joins others is told alone", () => {
    const plan: Plan = [
      op.stdio("pipe"),
      op.join("/proc/7/ns/pid", CLONE.newPid),
      op.clone(0),
      op.wait(),
      op.exec("true"),
    ];
    expect(bundleOf(plan)).toMatchObject({ root: undefined, terminal: false });
    expect(configOf(plan)).toEqual({
      user: { uid: 1 },
      rlimits: [],
      cwd: "/",
      env: [],
      terminal: false,
      args: ["true"],
    });
  });

  test.each<[what: string, ops: Plan]>([
    ["share", [op.share("/proc/7/ns/mnt", "/dev/shm", "/dev/shm")]],
    ["seccomp", [op.seccomp(Uint8Array.of(1))]],
    ["a part of /v", [op.root("/r"), op.bind("/v", "/t", { below: "part" })]],
  ])("refuses %s", async (what, ops) => {
    expect(await failureOf(async () => bundleOf(ops))).toMatch(new RegExp(`^notImplemented: ${what}`));
  });
});
