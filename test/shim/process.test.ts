/** What the program finds: privileges, limits, descriptors, signals, directory, and how it is found itself. */

import { expect, test } from "bun:test";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import * as op from "../../src/runtime/ops.ts";
import { compileSeccomp } from "../../src/runtime/seccomp.ts";
import { parseSeccompProfile } from "../../src/runtime/seccomp-profile.ts";
import { finish, makeBox } from "../support/box.ts";

const NONE = { inheritable: 0n, ambient: 0n };
const STATUS = (fields: string) => `busybox grep -E '^(${fields}):' /proc/self/status`;

test("caps leaves root exactly what it says", async () => {
  await using box = await makeBox();
  const set = 0xa80425fbn;
  const caps = op.caps({ bounding: set, effective: set, permitted: set, ...NONE });
  const { stdout } = await box.run(STATUS("Cap..."), { after: [caps] });
  expect([...stdout.matchAll(/Cap(\w+):\t0*([0-9a-f]+)/g)].map(([, name, value]) => `${name} ${value}`)).toEqual([
    "Inh 0",
    "Prm a80425fb",
    "Eff a80425fb",
    "Bnd a80425fb",
    "Amb 0",
  ]);
});

test("caps leaves a user nothing but what is ambient", async () => {
  await using box = await makeBox();
  const set = 0x400n;
  const run = async (ambient: bigint) => {
    const caps = op.caps({ bounding: 0x5ffn, effective: set, permitted: set, inheritable: set, ambient });
    return (await box.run(STATUS("CapEff|CapBnd"), { after: [op.user("bob"), caps] })).stdout;
  };
  expect(await run(0n)).toMatch(/CapEff:\t0+\nCapBnd:\t0+5ff\n/);
  expect(await run(set)).toMatch(/CapEff:\t0+400\nCapBnd:\t0+5ff\n/);
});

test("caps that the engine lacks are a failure that says so", async () => {
  await using box = await makeBox();
  const [none, one] = [0n, 1n].map((set) => op.caps({ bounding: set, effective: set, permitted: set, ...NONE }));
  const failed = await box.run("true", { after: [none, one].filter((each) => each !== undefined) }).catch((e) => e);
  expect(failed.message).toBe(
    "Cannot caps: operation not permitted (capabilities that the engine does not have itself)",
  );
});

test("no-new-privs, umask, rlimit and oom-score are the program's", async () => {
  await using box = await makeBox();
  const after = [op.noNewPrivileges(), op.umask(0o077), op.rlimit(op.RLIMIT.nofile, 100, 200), op.oomScore(300)];
  const script = `${STATUS("NoNewPrivs")}; umask; ulimit -Sn; ulimit -Hn; busybox cat /proc/self/oom_score_adj`;
  expect((await box.run(script, { after })).stdout).toBe("NoNewPrivs:\t1\n0077\n100\n200\n300\n");
});

test("umask is 022 unless it is set, whatever the daemon's is", async () => {
  await using box = await makeBox();
  const before = process.umask(0o077);
  try {
    expect((await box.run("umask")).stdout).toBe("0022\n");
  } finally {
    process.umask(before);
  }
});

test("a hard limit that cannot be raised is a failure that says what is", async () => {
  await using box = await makeBox();
  const limits = [
    op.rlimit(op.RLIMIT.nofile, 50, 50),
    op.caps({ bounding: 0n, effective: 0n, permitted: 0n, ...NONE }),
  ];
  const after = [...limits, op.rlimit(op.RLIMIT.nofile, 60, 60)];
  const failed = await box.run("true", { after }).catch((error) => error);
  expect(failed.message).toBe(
    "Cannot rlimit 7: operation not permitted (the hard limit is 50, raising it to 60 needs CAP_SYS_RESOURCE)",
  );
});

test("sysctl sets what belongs to the namespace, by dots or slashes", async () => {
  await using box = await makeBox();
  const after = [
    op.sysctl("net.ipv4.ip_unprivileged_port_start", "77"),
    op.sysctl("net/ipv4/ip_forward", "1"),
    op.sysctl("kernel.shmmni", "1234"),
    op.loopback(),
  ];
  const script =
    "for f in net/ipv4/ip_unprivileged_port_start net/ipv4/ip_forward kernel/shmmni; do busybox cat /proc/sys/$f; done; busybox ifconfig lo | busybox grep -o UP";
  expect((await box.run(script, { after })).stdout).toBe("77\n1\n1234\nUP\n");
  expect(readFileSync("/proc/sys/kernel/shmmni", "utf8")).not.toBe("1234\n");
});

test.each(["../../etc/passwd", "net.nosuch", "", "/etc/passwd"])("sysctl %j is a failure", async (name) => {
  await using box = await makeBox();
  const failed = await box.run("true", { after: [op.sysctl(name, "1")] }).catch((error) => error);
  expect(failed.op).toEqual(["sysctl", name, "1"]);
});

test("the program has stdio and no other descriptor", async () => {
  await using box = await makeBox();
  const { stdout } = await box.run("set -- /proc/self/fd/*; echo $*");
  // 3 is the directory that the shell reads to list them
  expect(stdout).toMatch(/^\/proc\/self\/fd\/0 \/proc\/self\/fd\/1 \/proc\/self\/fd\/2( \/proc\/self\/fd\/3)?\n$/);
});

test("the program has no signal blocked or ignored, though the shim has", async () => {
  await using box = await makeBox();
  const plan = box.plan(["busybox", "grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"]);
  const { stdout } = await finish(await box.runtime.create("one", plan));
  expect(stdout).toBe("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
});

test("the program leads a session of its own, as process 1", async () => {
  await using box = await makeBox();
  const { stdout } = await box.run("busybox cat /proc/1/stat");
  expect(stdout).toMatch(/^1 \(busybox\) \S 0 1 1 /);
});

test("a process that waits cannot be looked into by the container", async () => {
  await using box = await makeBox();
  const task = await box.runtime.create("one", box.plan(["busybox", "true"], { after: [op.user("bob")] }));
  expect(Bun.spawnSync(["stat", "-c", "%u", `/proc/${task.pid}/root`]).stdout.toString()).toBe("0\n");
});

test("seccomp with Docker's profile refuses what it refuses, and lets a shell live", async () => {
  await using box = await makeBox();
  const url = new URL("../../src/runtime/seccomp-default.json", import.meta.url);
  const profile = parseSeccompProfile(await Bun.file(url).text());
  const host = { architecture: "amd64", kernel: "6.18", capabilities: [] };
  const { filter, flags } = compileSeccomp(profile, host);
  // With all capabilities, so that nothing but the filter can refuse.
  const script = `${STATUS("Seccomp")}; busybox mount -t tmpfs x /tmp; busybox unshare -u true; busybox ls / | busybox wc -l`;
  const { stdout, stderr } = await box.run(script, { after: [op.seccomp(filter, flags)] });
  expect(stdout).toMatch(/^Seccomp:\t2\n\d+\n$/);
  expect(stderr).toBe(
    "mount: permission denied (are you root?)\nunshare: unshare(0x4000000): Operation not permitted\n",
  );
});

test("cwd is made where it is missing, as root's, and only if that is wanted", async () => {
  await using box = await makeBox();
  const after = [op.user("bob"), op.cwd("/a/b", true)];
  expect((await box.run("pwd; busybox stat -c '%u %a' /a /a/b", { after })).stdout).toBe("/a/b\n0 755\n0 755\n");
  const failed = await box.run("true", { after: [op.cwd("/nosuch")] }).catch((error) => error);
  expect([failed.code, failed.op]).toEqual(["ENOENT", ["cwd", "/nosuch", "0"]]);
  const file = await box.run("true", { after: [op.cwd("/etc/passwd", true)] }).catch((error) => error);
  expect(file.code).toBe("ENOTDIR");
});

test("readonly root, readonly and masked paths refuse writes", async () => {
  await using box = await makeBox();
  const inside = [op.mount("tmpfs", "tmpfs", "/tmp"), op.mask("/etc"), op.mask("/proc/keys"), op.readonly("/proc/sys")];
  const script =
    "echo x > /new; echo x > /tmp/new && echo tmp; busybox ls /etc; busybox wc -c < /proc/keys; echo 1 > /proc/sys/kernel/shmmni";
  const { stdout, stderr } = await box.run(script, { inside, after: [op.remountReadonlyRoot()] });
  expect(stdout).toBe("tmp\n0\n");
  expect(stderr.match(/Read-only file system/g)).toHaveLength(2);
});

test("file makes an empty file, and leaves what is there, a link, too", async () => {
  await using box = await makeBox();
  writeFileSync(`${box.root}/there`, "kept\n");
  symlinkSync("/etc/nowhere", `${box.root}/link`);
  const inside = ["/new/file", "/there", "/link"].map((path) => op.file(path, 0o755));
  const script =
    "busybox stat -c '%A %s' /new/file; busybox cat /there; busybox readlink /link; busybox test -e /etc/nowhere || echo none";
  const { stdout } = await box.run(script, { inside });
  expect(stdout).toBe("-rwxr-xr-x 0\nkept\n/etc/nowhere\nnone\n");
});

test("bind takes attributes for itself and for all below", async () => {
  await using box = await makeBox();
  const { MS } = op;
  mkdirSync(`${box.path}/source/sub`, { recursive: true });
  const source = `${box.path}/source`;
  const inside = [
    op.mount("tmpfs", "tmpfs", "/tmp"),
    op.mkdir("/tmp/sub"),
    op.bind(source, "/a", { flags: MS.rdonly | MS.nosuid }),
    op.bind(source, "/b", { flags: MS.rec, recursive: MS.rdonly }),
    op.bind(source, "/c", { flags: MS.rec | MS.rdonly }),
  ];
  const script =
    'for d in a b c; do busybox grep -o " /$d [a-z,]*" /proc/mounts; busybox grep " /$d " /proc/mounts | busybox wc -l; done; busybox awk \'$2 ~ /^.[abc]$/ {print $2, $4}\' /proc/mounts';
  const { stdout } = await box.run(script, { inside });
  expect(stdout).toContain("/a ro,nosuid,");
  expect(stdout).toContain("/b ro,");
  expect(stdout).toContain("/c ro,");
});

test.each([
  ["nosuch", "ENOENT", 'exec: "nosuch": executable file not found in $PATH'],
  ["plain", "ENOENT", 'exec: "plain": executable file not found in $PATH'],
  ["/nosuch", "ENOENT", 'exec: "/nosuch": stat /nosuch: no such file or directory'],
  ["/etc", "EISDIR", 'exec: "/etc": is a directory'],
  ["/etc/passwd", "EACCES", 'exec: "/etc/passwd": permission denied'],
  ["/etc/passwd/x", "ENOTDIR", 'exec: "/etc/passwd/x": not a directory'],
  ["/bin/garbage", "ENOEXEC", 'exec: "/bin/garbage": exec format error'],
  ["/bin/orphan", "ENOENT", 'exec: "/bin/orphan": no such file or directory'],
  ["", "ENOENT", 'exec: "": executable file not found in $PATH'],
] as const)("exec of %j is %s", async (program, code, message) => {
  await using box = await makeBox();
  writeFileSync(`${box.root}/bin/plain`, "text");
  writeFileSync(`${box.root}/bin/garbage`, "\x01\x02\x03");
  writeFileSync(`${box.root}/bin/orphan`, "#!/no/interpreter\n");
  for (const name of ["garbage", "orphan"]) chmodSync(`${box.root}/bin/${name}`, 0o755);
  const task = await box.runtime.create("one", box.plan([program]));
  const failed = await task.go().catch((error) => error);
  expect([failed.code, failed.message]).toEqual([code, message]);
});

test("exec finds a program through the container's PATH, and by a relative path", async () => {
  await using box = await makeBox();
  mkdirSync(`${box.root}/opt/hello`, { recursive: true });
  mkdirSync(`${box.root}/opt/second`);
  symlinkSync("/bin/busybox", `${box.root}/opt/second/hello`);
  const run = async (program: string, PATH: string) => {
    const plan = box.plan([program, "echo", "x"], { env: [`PATH=${PATH}`], after: [op.cwd("/opt")] });
    return (await finish(await box.runtime.create("one", plan))).stdout;
  };
  // a directory of that name comes first; busybox says what it was called as
  expect(await run("busybox", "/nosuch:/opt:/bin")).toBe("x\n");
  expect(await run("../bin/busybox", "")).toBe("x\n");
  const { stderr } = await finish(
    await box.runtime.create("two", box.plan(["hello"], { env: ["PATH=/opt:/opt/second"] })),
  );
  expect(stderr).toContain("hello");
});

test("exec without PATH finds nothing", async () => {
  await using box = await makeBox();
  const task = await box.runtime.create("one", box.plan(["busybox"], { env: [] }));
  expect((await task.go().catch((error) => error)).code).toBe("ENOENT");
});
