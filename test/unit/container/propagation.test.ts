/** The host's mounts, and what of them travels, as a table. */

import { expect, test } from "bun:test";
import { mountOf, parseMounts } from "../../../src/base/mountinfo.ts";
import { MS } from "../../../src/runtime/ops.ts";
import { argsOf, planOf } from "../../support/plans.ts";

const MOUNTS = parseMounts(
  [
    "20 1 8:1 / / rw - ext4 /dev/sda1 rw",
    "21 20 0:5 / /run rw,nosuid shared:5 - tmpfs tmpfs rw",
    "22 20 0:6 / /mnt/with\\040blank rw master:7 - tmpfs tmpfs rw",
    "23 20 0:7 / /mnt/both rw shared:9 master:7 - tmpfs tmpfs rw",
    "24 23 0:8 / /mnt/both rw - tmpfs tmpfs rw",
  ].join("\n"),
);

test.each<[path: string, point: string, shared: boolean, slave: boolean]>([
  ["/", "/", false, false],
  ["/running", "/", false, false],
  ["/run", "/run", true, false],
  ["/run/x/y", "/run", true, false],
  ["/mnt/with blank/x", "/mnt/with blank", false, true],
  ["/mnt/both/x", "/mnt/both", false, false],
])("mountOf(%p)", (path, point, shared, slave) => {
  expect(mountOf(MOUNTS, path)).toEqual({ point, shared, slave });
});

test("a plan that shares makes private what holds its root, and nothing else", () => {
  const plan = planOf({ HostConfig: { Binds: ["/a:/b:rshared"] } }, { privateMount: "/run" });
  expect(argsOf(plan, "propagation")).toEqual([[String(MS.private), "/run"]]);
});
