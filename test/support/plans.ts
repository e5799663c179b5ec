/** From a request's JSON to a plan, as the engine goes, with the host's part made up. */

import { toContainerRequest, toHostConfig } from "../../src/api/create-request.ts";
import { Document } from "../../src/api/document.ts";
import { type ContainerConfig, type HostConfig, mergeConfig } from "../../src/container/config.ts";
import { containerPlan, type PlanInput } from "../../src/container/plan.ts";
import type { Op, Plan } from "../../src/runtime/ops.ts";

/** What containers get that ask for nothing else. */
export const HOST_DEFAULTS = {
  shmSize: 64 << 20,
  log: { driver: "json-file", options: {} },
  ipc: "private",
  cgroupns: "private",
  runtime: "bosun",
  ownRuntimes: ["bosun", "runc"],
  network: "bridge",
  runtimes: ["other"],
} as const;

/** @param body  of POST /containers/create; the image is `busybox` unless it says otherwise */
export function requested(body: Readonly<Record<string, unknown>> = {}): {
  config: ContainerConfig;
  host: HostConfig;
} {
  const document = new Document({ Image: "busybox", ...body });
  const host = toHostConfig(document.document("HostConfig"), HOST_DEFAULTS);
  const config = mergeConfig({ Cmd: ["sh"] }, toContainerRequest(document), "0123456789ab");
  return { config, host };
}

const V1_TREES = ["cpu", "memory", "devices"].map((name) => ({
  directory: `/cg/${name}/bosun/id`,
  entrance: `/cg/${name}/bosun/id/tasks`,
  name,
}));
export const V2_TREE = [{ directory: "/cg/bosun/id", entrance: "/cg/bosun/id/cgroup.procs", name: "" }];

/** @param more  what else the plan is made from */
export function planOf(body: Readonly<Record<string, unknown>> = {}, more: Partial<PlanInput> = {}): Plan {
  const { config, host } = requested(body);
  return containerPlan({
    config,
    host,
    binds: host.binds,
    rootMounts: [
      { type: "layer", index: "/layers/a/erofs", device: "/layers/a/tar", target: "/run/layers/a" },
      { type: "overlay", target: "/run/rootfs", lower: ["/run/layers/a"], upper: "/snap/diff", work: "/snap/work" },
    ],
    rootfs: "/run/rootfs",
    privateMount: undefined,
    log: { path: "/containers/id/id-json.log", maxSize: 0, maxFiles: 1, compress: false },
    cgroups: V1_TREES,
    joined: {},
    isolation: {
      capabilities: 0b101n,
      seccomp: { filter: Uint8Array.of(1, 2, 3), flags: 0, profile: {} },
      noNewPrivileges: false,
      apparmor: "",
    },
    devices: [],
    deviceRules: [],
    ulimits: [],
    folder: "/containers/id",
    hooks: [],
    hookState: ["", ""],
    init: undefined,
    ...more,
  });
}

/** The arguments of every operation of that name, in order. */
export const argsOf = (plan: Plan, name: string): readonly (readonly string[])[] =>
  plan.filter(([each]) => each === name).map(([, ...args]) => args);

export const namesOf = (plan: Plan): readonly string[] => plan.map(([name]) => name);

/** The operation that puts something at `target`, whatever its kind. */
export const mountAt = (plan: Plan, target: string): Op | undefined =>
  plan.findLast((op) => (op[0] === "mount" && op[3] === target) || (op[0] === "bind" && op[2] === target));
