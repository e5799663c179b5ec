import { describe, expect, test } from "bun:test";
import { configDecoder } from "../../../src/oci-runtime/config.ts";
import { createPlan, type PlanInput } from "../../../src/oci-runtime/plan.ts";
import { exampleConfig } from "../../../src/oci-runtime/spec.ts";
import { CLONE, MS, type Plan } from "../../../src/runtime/ops.ts";

interface Parts {
  readonly linux?: object;
  readonly process?: object;
  readonly [name: string]: unknown;
}

function planOf({ linux = {}, process = {}, ...parts }: Parts, input: Partial<PlanInput> = {}): Plan {
  const standard = configDecoder(exampleConfig(), "");
  const config = configDecoder(
    {
      ...standard,
      ...parts,
      linux: { ...standard.linux, ...linux },
      process: { ...standard.process, terminal: false, ...process },
    },
    "",
  );
  if (config.linux === undefined || config.process === undefined) throw new Error("the example is not whole");
  return createPlan({
    config,
    linux: config.linux,
    process: config.process,
    bundle: "/b",
    rootfs: "/b/rootfs",
    cgroups: [{ directory: "/sys/fs/cgroup/x", entrance: "/sys/fs/cgroup/x/tasks", name: "" }],
    seccomp: undefined,
    consoleSocket: undefined,
    privateMount: "/",
    noPivot: false,
    hookState: (status) => [`{"status":"${status}","pid":`, "}"],
    ...input,
  });
}

const names = (plan: Plan): string[] => plan.map(([name]) => name);
const named = (plan: Plan, name: string) => plan.filter(([each]) => each === name).map(([, ...args]) => args);

describe("createPlan()", () => {
  test("parks before it gives up what would hinder that, and pivots before it is the user", () => {
    const order = names(planOf({ process: { noNewPrivileges: true } }));
    const place = (name: string) => order.indexOf(name);
    const wanted = [
      "stdio",
      "clone",
      "cgroup",
      "propagation",
      "root",
      "wait",
      "pivot",
      "user",
      "find",
      "park",
      "no-new-privs",
      "caps",
      "exec",
    ];
    expect(wanted.map(place)).toEqual(wanted.map(place).toSorted((one, other) => one - other));
    expect(wanted.map(place)).not.toContain(-1);
  });

  test("with a user namespace cgroups and limits come before clone, and devices are bound", () => {
    const mapping = [{ containerID: 0, hostID: 1000, size: 1 }];
    const namespaces = ["pid", "mount", "uts", "user"].map((type) => ({ type }));
    const plan = planOf({ linux: { namespaces, uidMappings: mapping, gidMappings: mapping } });
    const order = names(plan);
    expect(order.indexOf("cgroup")).toBeLessThan(order.indexOf("clone"));
    expect(order.indexOf("rlimit")).toBeLessThan(order.indexOf("clone"));
    expect(named(plan, "map")).toEqual([["0 1000 1\n", "0 1000 1\n"]]);
    expect(order).not.toContain("mknod");
    expect(named(plan, "clone")).toEqual([[String(CLONE.newPid | CLONE.newNs | CLONE.newUts | CLONE.newUser)]]);
  });

  test("a root that shares its mounts does not share with the host", () => {
    const plan = planOf({ linux: { rootfsPropagation: "rshared" } }, { privateMount: "/var" });
    expect(named(plan, "propagation")).toEqual([[String(MS.private), "/var"]]);
    expect(named(plan, "attributes")).toContainEqual(["/", String(MS.shared), "0", "1"]);
  });

  test("hooks inside get the state around their own pid", () => {
    const hooks = {
      createContainer: [{ path: "/h", args: ["h", "x"], env: ["A=b"], timeout: 3 }],
      startContainer: [{ path: "/s" }],
    };
    expect(named(planOf({ hooks }), "hook")).toEqual([
      ["3", '{"status":"creating","pid":', "}", "/h", "2", "h", "x", "A=b"],
      ["0", '{"status":"created","pid":', "}", "/s", "1", "/s"],
    ]);
  });

  test("a /dev that is the host's is left as it is", () => {
    const mounts = [{ destination: "/dev/", source: "/dev", options: ["rbind"] }];
    expect(names(planOf({ mounts }))).not.toContain("mknod");
  });

  test("a device of the configuration's stands for the standard one", () => {
    const devices = [{ type: "c", path: "/dev/null", major: 1, minor: 3, fileMode: 0o600, uid: 7 }];
    const nulls = named(planOf({ linux: { devices } }), "mknod").filter(([path]) => path === "/dev/null");
    expect(nulls).toEqual([["/dev/null", String(0o020600), "1", "3", "7", "0"]]);
  });
});
