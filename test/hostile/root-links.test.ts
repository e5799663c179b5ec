/** Images whose paths are links to the host: whatever a plan makes, mounts or hides stays inside the root. */

import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as op from "../../src/runtime/ops.ts";
import { PlanError } from "../../src/runtime/runtime.ts";
import { type Box, makeBox } from "../support/box.ts";

const { MS, S_IF } = op;

/** A directory of the host that no container may change, outside of the root. */
function makeOutside(box: Box): string {
  const outside = join(box.path, "outside");
  mkdirSync(join(outside, "sub"), { recursive: true });
  writeFileSync(join(outside, "file"), "host\n");
  return outside;
}

const snapshot = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();

function link(box: Box, path: string, goal: string): void {
  rmSync(join(box.root, path), { recursive: true, force: true });
  symlinkSync(goal, join(box.root, path));
}

const GOALS = (outside: string) => [outside, `../../../../../../..${outside}`];

test.each([0, 1])("bind, mkdir, mknod and symlink through a link to the host stay in the root (%#)", async (index) => {
  await using box = await makeBox();
  const outside = makeOutside(box);
  const before = snapshot(outside);
  link(box, "evil", GOALS(outside)[index] ?? "");
  writeFileSync(join(box.path, "source"), "bound\n");
  const inside = [
    op.bind(join(box.path, "source"), "/evil/sub/resolv.conf"),
    op.mkdir("/evil/made/deep"),
    op.mknod("/evil/null", { mode: S_IF.chr | 0o666, major: 1, minor: 3 }),
    op.symlink("x", "/evil/link"),
    op.mount("tmpfs", "tmpfs", "/evil/tmp"),
  ];
  const { stdout } = await box.run("busybox cat /evil/sub/resolv.conf; busybox ls /evil", { inside });
  expect(stdout).toBe("bound\nlink\nmade\nnull\nsub\ntmp\n");
  expect(snapshot(outside)).toEqual(before);
});

test("a link through /proc to a process's root is not followed at all", async () => {
  await using box = await makeBox();
  link(box, "evil", `/proc/1/root${makeOutside(box)}`);
  const failed = await box.run("true", { inside: [op.mkdir("/evil/x")] }).catch((error) => error);
  expect(failed.code).toBe("ELOOP");
});

test("a file bound onto a link to a host's file covers what the link means inside", async () => {
  await using box = await makeBox();
  const outside = makeOutside(box);
  link(box, "etc/resolv.conf", join(outside, "file"));
  writeFileSync(join(box.path, "source"), "bound\n");
  const inside = [op.bind(join(box.path, "source"), "/etc/resolv.conf")];
  const { stdout } = await box.run("busybox cat /etc/resolv.conf", { inside });
  expect(stdout).toBe("bound\n");
  expect(readFileSync(join(outside, "file"), "utf8")).toBe("host\n");
});

test("a link that leads nowhere is followed, and its goal made, inside", async () => {
  await using box = await makeBox();
  link(box, "etc/resolv.conf", "../run/systemd/resolve/stub.conf");
  link(box, "run", "/var/run");
  writeFileSync(join(box.path, "source"), "bound\n");
  const inside = [op.bind(join(box.path, "source"), "/etc/resolv.conf")];
  const { stdout } = await box.run("busybox cat /var/run/systemd/resolve/stub.conf", { inside });
  expect(stdout).toBe("bound\n");
  expect(existsSync(join(box.root, "var"))).toBe(false); // only in the upper layer
});

test("/dev as a link to the host's is a directory of the root", async () => {
  await using box = await makeBox();
  const outside = makeOutside(box);
  const before = snapshot(outside);
  link(box, "dev", outside);
  const { stdout } = await box.run("busybox test -c /dev/null && echo device");
  expect(stdout).toBe("device\n");
  expect(snapshot(outside)).toEqual(before);
});

test.each(["proc", "sys"])("/%s as a link is refused, since its masks could be swapped away", async (name) => {
  await using box = await makeBox();
  link(box, name, "/tmp");
  const inside = [op.mount(name === "sys" ? "sysfs" : name, name, `/${name}`)];
  const failed = await box.run("true", { inside }).catch((error) => error);
  expect(failed).toBeInstanceOf(PlanError);
  expect(failed.code).toBe("ELOOP");
});

test("mask and readonly through links hide what is inside", async () => {
  await using box = await makeBox();
  const outside = makeOutside(box);
  link(box, "evil", outside);
  mkdirSync(join(box.root, outside, "sub"), { recursive: true });
  writeFileSync(join(box.root, outside, "file"), "inside\n");
  const inside = [op.mask("/evil/file"), op.mask("/evil/sub"), op.readonly("/evil")];
  const script = `busybox cat ${outside}/file; echo x > ${outside}/new; busybox touch ${outside}/sub/x`;
  const { stdout, stderr } = await box.run(script, { inside });
  expect(stdout).toBe("");
  expect(stderr.match(/Read-only file system/g)).toHaveLength(2);
  expect(readFileSync(join(outside, "file"), "utf8")).toBe("host\n");
});

test("links in a circle end with ELOOP", async () => {
  await using box = await makeBox();
  link(box, "a", "/b");
  link(box, "b", "/a");
  const failed = await box.run("true", { inside: [op.mkdir("/a/x")] }).catch((error) => error);
  expect(failed.code).toBe("ELOOP");
});

test("links that lead nowhere, in a circle, end with ELOOP", async () => {
  await using box = await makeBox();
  link(box, "a", "b/../a2");
  link(box, "a2", "c/../a");
  const failed = await box.run("true", { inside: [op.mkdir("/a/x")] }).catch((error) => error);
  expect(failed.code).toBe("ELOOP");
});

test("/etc/passwd as a link to the host's, as a fifo or as a directory is no table", async () => {
  await using box = await makeBox();
  for (const make of [
    () => link(box, "etc/passwd", "/proc/1/root/etc/passwd"),
    () => Bun.spawnSync(["mkfifo", join(box.root, "etc/passwd")]),
    () => mkdirSync(join(box.root, "etc/passwd")),
  ]) {
    rmSync(join(box.root, "etc/passwd"), { recursive: true, force: true });
    make();
    const failed = await box.run("true", { after: [op.user("daemon")] }).catch((error) => error);
    expect(failed.message).toBe("unable to find user daemon: no matching entries in passwd file");
    const { stdout } = await box.run("busybox grep Uid: /proc/self/status", { after: [op.user("77")] });
    expect(stdout).toBe("Uid:\t77\t77\t77\t77\n");
  }
});

test("cwd through a link to the host is a directory of the root", async () => {
  await using box = await makeBox();
  const outside = makeOutside(box);
  link(box, "evil", outside);
  const { stdout } = await box.run("busybox pwd; busybox ls -a", { after: [op.cwd("/evil", true)] });
  expect(stdout).toBe(`${outside}\n.\n..\n`);
});

test("a container's /dev/null that is something else masks nothing", async () => {
  await using box = await makeBox();
  const inside = [
    op.mount("tmpfs", "tmpfs", "/dev", 0, "mode=755"),
    op.mknod("/dev/null", { mode: S_IF.chr | 0o666, major: 1, minor: 5 }),
    op.mask("/etc/passwd"),
  ];
  const failed = await box.run("true", { inside }).catch((error) => error);
  expect([failed.code, failed.op]).toEqual(["ENODEV", ["mask", "/etc/passwd"]]);
});

test("a terminal is taken from a devpts only", async () => {
  await using box = await makeBox();
  const stdio = op.stdio("pty", { stdin: true });
  const inside = [
    op.mount("tmpfs", "tmpfs", "/dev/pts"),
    op.mknod("/dev/pts/ptmx", { mode: S_IF.chr, major: 5, minor: 2 }),
  ];
  const failed = await box.run("true", { stdio, inside }).catch((error) => error);
  expect(failed.op).toEqual(["console", "1"]);
  expect(["ENODEV", "EIO", "ENOENT"]).toContain(failed.code);
});

test("nothing of a container is mounted on the host", async () => {
  await using box = await makeBox();
  const task = await box.runtime.create(
    "one",
    box.plan(["busybox", "true"], { inside: [op.mount("tmpfs", "t", "/tmp", MS.shared)] }),
  );
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(box.path);
  expect(readFileSync(`/proc/${task.pid}/mountinfo`, "utf8")).not.toContain("/dev/vda");
});
