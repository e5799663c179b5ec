/** Docker's `user[:group]`, by the container's own tables. */

import { expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import * as op from "../../src/runtime/ops.ts";
import { makeBox } from "../support/box.ts";

const SHOW = "busybox grep -E '^(Uid|Gid|Groups):' /proc/self/status; echo $HOME";

/** `uid gid groups home` */
const parse = (stdout: string): string =>
  stdout
    .replaceAll(/(?:Uid|Gid):\t(\d+)\t\1\t\1\t\1\n/g, "$1 ")
    .replace(/Groups:\t(.*?) \n/, "[$1] ")
    .trim();

test.each([
  ["", [], "0 0 [0] /root"],
  ["root", [], "0 0 [0] /root"],
  ["bob", [], "1000 1001 [50 51 1001] /home/bob"],
  ["1000", [], "1000 1001 [50 51 1001] /home/bob"],
  ["bob:staff", [], "1000 50 [50] /home/bob"],
  ["bob:7", [], "1000 7 [7] /home/bob"],
  ["bob:", [], "1000 1001 [50 51 1001] /home/bob"],
  [":staff", [], "0 50 [50] /root"],
  ["4242", [], "4242 0 [0] /"],
  ["4242:4243", [], "4242 4243 [4243] /"],
  ["twice", [], "1500 1500 [1500] /first"],
  ["bob:staff", ["wheel", "99", "50"], "1000 50 [50 51 99] /home/bob"],
  ["4242", ["wheel"], "4242 0 [0 51] /"],
] as const)("user %j with groups %j is %s", async (spec, groups, want) => {
  await using box = await makeBox();
  const { stdout } = await box.run(SHOW, { after: [op.user(spec, groups)] });
  expect(parse(stdout)).toBe(want);
});

test.each([
  ["nosuch", [], "unable to find user nosuch: no matching entries in passwd file"],
  ["bob:nosuch", [], "unable to find group nosuch: no matching entries in group file"],
  ["bob", ["nosuch"], "unable to find group nosuch: no matching entries in group file"],
  ["-1", [], "unable to find user -1: no matching entries in passwd file"],
  ["4294967295", [], "uids and gids must be in range 0-2147483647"],
  ["bob:3000000000", [], "uids and gids must be in range 0-2147483647"],
] as const)("user %j with groups %j fails", async (spec, groups, message) => {
  await using box = await makeBox();
  const failed = await box.run("true", { after: [op.user(spec, groups)] }).catch((error) => error);
  expect([failed.code, failed.message]).toEqual(["EINVAL", message]);
});

test("user works without tables, and HOME is then /", async () => {
  await using box = await makeBox();
  rmSync(`${box.root}/etc/passwd`);
  rmSync(`${box.root}/etc/group`);
  expect(parse((await box.run(SHOW, { after: [op.user("0:5")] })).stdout)).toBe("0 5 [5] /");
});

test("user reads tables with very long and broken lines", async () => {
  await using box = await makeBox();
  const members = Array.from({ length: 5000 }, (_, index) => `user${index}`).join(",");
  writeFileSync(`${box.root}/etc/group`, `:::\nbad:x:abc:bob\nbig:x:60:${members},bob\nlast:x:61:bob`);
  expect(parse((await box.run(SHOW, { after: [op.user("bob")] })).stdout)).toBe("1000 1001 [60 61 1001] /home/bob");
});

test("HOME that is given stays, an empty one does not", async () => {
  await using box = await makeBox();
  const home = async (...env: string[]) =>
    (await box.run("busybox env | busybox grep HOME", { after: [op.user("bob")], env: ["PATH=/bin", ...env] })).stdout;
  expect(await home("HOME=/elsewhere")).toBe("HOME=/elsewhere\n");
  expect(await home("HOME=")).toBe("HOME=/home/bob\n");
});

test("a user that is not root may open /dev/stdout", async () => {
  await using box = await makeBox();
  const { stdout, code } = await box.run("echo opened > /dev/stdout", { after: [op.user("bob")] });
  expect([stdout, code]).toEqual(["opened\n", 0]);
});
