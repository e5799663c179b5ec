import { expect, test } from "bun:test";
import { readdirSync, statSync } from "node:fs";
import { makeSkeleton, onSkeleton } from "../../../src/container/skeleton.ts";
import type { Mount } from "../../../src/store/snapshot.ts";
import { makeFolder } from "../../support/folder.ts";

test("a skeleton is made, and made again where it is there", async () => {
  await using folder = await makeFolder();
  for (let times = 0; times < 2; times++) makeSkeleton(`${folder.path}/skeleton`);
  expect(readdirSync(`${folder.path}/skeleton`, { recursive: true }).map(String).toSorted()).toEqual([
    ...[".dockerenv", "dev", "etc", "etc/hostname", "etc/hosts", "etc/resolv.conf", "proc", "sys"],
  ]);
  expect(statSync(`${folder.path}/skeleton/etc/hosts`)).toMatchObject({ mode: 0o100755, size: 0 });
});

const layer: Mount = { type: "layer", index: "/l/erofs", device: "/l/tar", target: "/run/l" };
const overlay = (count: number): Mount => ({
  ...{ type: "overlay", target: "/run/rootfs", upper: "/s/diff", work: "/s/work" },
  lower: Array.from({ length: count }, (_, at) => `/run/${at}`),
});

test("what is written to stands on it, below all layers", () => {
  const [first, second] = onSkeleton([layer, overlay(2)], "/run/skeleton");
  expect(first).toEqual(layer);
  expect(second).toMatchObject({ lower: ["/run/0", "/run/1", "/run/skeleton"] });
});

test.each<[string, Mount]>([
  ["a root that is bound", { type: "bind", source: "/s/fs", target: "/run/rootfs", readonly: false }],
  ["what is read only", { type: "overlay", lower: ["/run/0", "/s/diff"], target: "/run/rootfs" }],
  ["as many layers as the kernel takes", overlay(500)],
])("%s stays as it is", (_, mount) => {
  expect(onSkeleton([mount], "/run/skeleton")).toEqual([mount]);
});
