/** The runtime on other OCI runtimes: Debian's runc where it is there, which judges us, and else ours by its command line. */

import { join } from "node:path";
import { builtFile } from "../../src/base/built.ts";
import { openCgroups } from "../../src/runtime/cgroup.ts";
import { viaRuntime } from "../../src/runtime/ops-oci.ts";
import { OciRuntime } from "../../src/runtime/runtime-oci.ts";
import { ShimRuntime } from "../../src/runtime/runtime-shim.ts";
import { Runtimes } from "../../src/runtime/runtimes.ts";
import type { OtherRuntime } from "../support/box.ts";
import { RUNTIMES } from "../support/oci.ts";
import { runtimeSuite } from "./runtime.ts";

for (const [name, path] of RUNTIMES.slice(-1)) {
  const programs = { [name]: { path, args: [] } };
  const open: OtherRuntime["open"] = (shims, folder) =>
    new Runtimes(
      shims,
      new OciRuntime({ shims, root: join(folder, "oci"), programs, cgroupMounts: openCgroups().mounts }),
    );
  runtimeSuite(
    `OciRuntime: ${name}`,
    ({ runRoot, path: folder }) => open(new ShimRuntime({ runRoot, program: builtFile("bosun-shim") }), folder),
    { open, first: [viaRuntime(name, [{ allow: true, type: "a", major: -1, minor: -1, access: "rwm" }])] },
  );
}
