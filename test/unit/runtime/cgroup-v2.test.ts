/** Version 2 over a folder that looks like its tree: what is written where, and what is heard. */

import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CgroupsV2 } from "../../../src/runtime/cgroup-v2.ts";
import { type Folder, makeFolder } from "../../support/folder.ts";

function treeIn(folder: Folder, controllers: string): CgroupsV2 {
  writeFileSync(join(folder.path, "cgroup.controllers"), controllers);
  mkdirSync(join(folder.path, "box"));
  return new CgroupsV2(folder.path, "0::/own\n");
}

test("features are those of the controllers, without what version 2 has no more", async () => {
  await using folder = await makeFolder();
  const { features } = treeIn(folder, "cpu io memory pids");
  expect(features).toMatchObject({ memory: true, blockWeight: true, readBps: true, cpuset: false });
  expect(features).toMatchObject({ memorySwappiness: false, oomKillDisable: false, cpuRealtime: false });
});

test("update() writes to the file of the scheduler that there is", async () => {
  await using folder = await makeFolder();
  const cgroups = treeIn(folder, "io");
  const text = (name: string) => readFileSync(join(folder.path, "box", name), "utf8");
  await cgroups.update("/box", { blkioWeight: 10 });
  expect(text("io.weight")).toBe("default 1");
  writeFileSync(join(folder.path, "box", "io.bfq.weight"), "default 100");
  await cgroups.update("/box", { blkioWeight: 10, readBps: [{ major: 8, minor: 0, value: 5 }] });
  expect([text("io.bfq.weight"), text("io.max")]).toEqual(["10", "8:0 rbps=5"]);
});

test("entrances() of a relative path are below our own place", async () => {
  await using folder = await makeFolder();
  expect(await treeIn(folder, "").entrances("a/b")).toEqual([join(folder.path, "own/a/b/cgroup.procs")]);
});

test("watchMemory() tells of memory that is used up since it watches, and of each time once", async () => {
  await using folder = await makeFolder();
  const cgroups = treeIn(folder, "memory");
  const write = (text: string) => writeFileSync(join(folder.path, "box", "memory.events"), text);
  write("low 0\noom 3\n");
  let told = 0;
  let next = Promise.withResolvers<void>();
  using _watch = cgroups.watchMemory("/box", () => {
    told++;
    next.resolve();
  });
  write("low 9\noom 3\n");
  write("low 9\noom 4\n");
  await next.promise;
  next = Promise.withResolvers();
  write("low 9\noom 5\n");
  await next.promise;
  expect(told).toBe(2);
});
