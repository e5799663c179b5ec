/** Operations on the host's side, and the calls of the C library. */

import { expect, test } from "bun:test";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { builtFile } from "../../src/base/built.ts";
import { fileSystemOf, lockFile } from "../../src/base/files.ts";
import { exchangeNetlink, NETLINK } from "../../src/base/netlink.ts";
import { sealedCopy, signalProcess } from "../../src/base/processes.ts";
import * as op from "../../src/runtime/ops.ts";
import { type Box, finish, makeBox } from "../support/box.ts";

const mountsOf = (path: string): string[] =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(` ${path} `));

/** An EROFS image made by its own tools, its data on a device of its own. */
function makeLayer(box: Box): { index: string; device: string; target: string } {
  const [tree, index, device] = [`${box.path}/tree`, `${box.path}/index`, `${box.path}/device`];
  mkdirSync(tree);
  writeFileSync(`${tree}/file`, "from the layer\n".repeat(1000));
  const made = Bun.spawnSync(["mkfs.erofs", "--quiet", "--chunksize=4096", `--blobdev=${device}`, index, tree]);
  if (made.exitCode !== 0) throw new Error(made.stderr.toString());
  return { index, device, target: `${box.path}/layers/one/mount` };
}

test("layer mounts an index with its device, once, however many ask at the same time", async () => {
  await using box = await makeBox();
  const { index, device, target } = makeLayer(box);
  await Promise.all(Array.from({ length: 8 }, () => box.runtime.run([op.layer(index, device, target)])));
  expect(mountsOf(target)).toHaveLength(1);
  expect(mountsOf(target)[0]).toMatch(/ ro,.* - erofs /);
  expect(readFileSync(`${target}/file`, "utf8")).toBe("from the layer\n".repeat(1000));
});

test("layer is the lower directory of containers, and may be unmounted under them", async () => {
  await using box = await makeBox();
  const { index, device, target } = makeLayer(box);
  const inside = [op.overlay("/tmp", { lower: [target, box.root] })];
  const task = await box.runtime.create(
    "one",
    box.plan(["busybox", "wc", "-c", "/tmp/file"], { before: [op.layer(index, device, target)], inside }),
  );
  await box.runtime.run([op.umount(target)]);
  expect(mountsOf(target)).toEqual([]);
  expect((await finish(task)).stdout).toBe("15000 /tmp/file\n");
});

test("layer fails, and mounts nothing, when its device is missing", async () => {
  await using box = await makeBox();
  const { index, target } = makeLayer(box);
  const failed = await box.runtime.run([op.layer(index, "/nosuch", target)]).catch((error) => error);
  expect([failed.op, failed.code]).toEqual([["layer", index, "/nosuch", target], "ENOENT"]);
  expect(mountsOf(target)).toEqual([]);
});

test("umount is idempotent", async () => {
  await using box = await makeBox();
  const target = `${box.path}/mount`;
  await box.runtime.run([op.mount("tmpfs", "x", target)]);
  expect(mountsOf(target)).toHaveLength(1);
  await box.runtime.run([op.umount(target), op.umount(target), op.umount(`${box.path}/nosuch`)]);
  expect(mountsOf(target)).toEqual([]);
});

test("sealedCopy() is executable, and cannot be changed", () => {
  const fd = sealedCopy(builtFile("hello"));
  try {
    const path = `/proc/self/fd/${fd}`;
    expect(readFileSync(path).equals(readFileSync(builtFile("hello")))).toBe(true);
    expect(Bun.spawnSync([`/proc/${process.pid}/fd/${fd}`]).stdout.toString()).toContain("Hello from Bosun");
    expect(() => writeSync(fd, "x")).toThrow("EPERM");
    expect(() => {
      const again = openSync(path, "r+");
      try {
        writeSync(again, "x");
      } finally {
        closeSync(again);
      }
    }).toThrow();
  } finally {
    closeSync(fd);
  }
});

test("lockFile() keeps another process out until it is closed", async () => {
  await using box = await makeBox();
  const path = `${box.path}/lock`;
  const fd = lockFile(path);
  const tryLock = () => Bun.spawnSync(["flock", "--nonblock", path, "true"]).exitCode;
  expect(tryLock()).toBe(1);
  expect(lockFile(path)).toBeUndefined();
  closeSync(fd ?? -1);
  expect(tryLock()).toBe(0);
});

test("signalProcess() signals only what is still meant", async () => {
  const child = Bun.spawn(["sleep", "1000"]);
  expect(signalProcess(child.pid, 9, () => false)).toBe(false);
  expect(signalProcess(child.pid, 9, () => true)).toBe(true);
  await child.exited;
  expect(child.signalCode).toBe("SIGKILL");
  expect(signalProcess(2 ** 22 - 1, 9, () => true)).toBe(false);
});

test("fileSystemOf() agrees with df", () => {
  const { totalBytes } = fileSystemOf("/");
  const df = Bun.spawnSync(["df", "--block-size=1", "--output=size", "/"]).stdout.toString();
  expect(totalBytes).toBe(Number(df.split("\n")[1]));
  expect(() => fileSystemOf("/nosuch")).toThrow("ENOENT");
});

/** `struct nlmsghdr` and an empty `struct ifinfomsg`: all links. */
function linkDump(): Uint8Array {
  const request = Buffer.alloc(32);
  request.writeUInt32LE(32, 0);
  request.writeUInt16LE(18, 4); // RTM_GETLINK
  request.writeUInt16LE(0x301, 6); // NLM_F_REQUEST | NLM_F_DUMP
  return request;
}

/** @returns how many links a dump names */
function countLinks(answer: Uint8Array): number {
  const bytes = Buffer.from(answer);
  let count = 0;
  for (let at = 0; at < bytes.length; at += (bytes.readUInt32LE(at) + 3) & ~3)
    if (bytes.readUInt16LE(at + 4) === 16) count++;
  return count;
}

test("exchangeNetlink() talks in our namespace and in a container's", async () => {
  await using box = await makeBox();
  const linksHere = () => readFileSync("/proc/net/dev", "utf8").trim().split("\n").length - 2;
  const before = linksHere();
  const ours = countLinks(exchangeNetlink(NETLINK.route, linkDump()));
  expect(ours).toBeOneOf([before, linksHere()]); // others' come and go
  const task = await box.runtime.create("one", box.plan(["busybox", "true"]));
  const theirs = readFileSync(`/proc/${task.pid}/net/dev`, "utf8").trim().split("\n").length - 2;
  expect(countLinks(exchangeNetlink(NETLINK.route, linkDump(), task.pid))).toBe(theirs);
  expect(() => exchangeNetlink(NETLINK.route, linkDump(), 2 ** 22 - 1)).toThrow("ENOENT");
});
