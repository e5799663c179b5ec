/** Making a container up to where its program would run. Source: runtime-spec runtime.md, "Create". */

import { readFileSync } from "node:fs";
import { mountOf, parseMounts } from "../base/mountinfo.ts";
import type { CgroupPlace } from "../container/plan.ts";
import { Handover, parkedPart } from "../runtime/handover.ts";
import { type Bundle, checkLabels, openBundle, seccompOf } from "./bundle.ts";
import { checkTerminal, type ProcessIo, writePidFile } from "./calling.ts";
import { cgroupPath, makeCgroup } from "./cgroups.ts";
import { type OciResources, resourcesDecoder } from "./config.ts";
import { runHooks } from "./hooks.ts";
import type { Lifecycle } from "./lifecycle.ts";
import { createPlan, type HookState } from "./plan.ts";
import { type About, startOf, stateOf } from "./state.ts";

export interface CreateOptions extends ProcessIo {
  readonly bundle: string;
  readonly noPivot: boolean;
}

const NO_RESOURCES: OciResources = resourcesDecoder({}, "");

/** What comes before and after the pid, which only the process itself knows. */
function hookStateOf(state: object): HookState {
  const json = JSON.stringify(state);
  const at = json.indexOf('"pid":-1') + '"pid":'.length;
  return [json.slice(0, at), json.slice(at + "-1".length)];
}

async function runCreateHooks(lifecycle: Lifecycle, about: About, pid: number): Promise<void> {
  const { hooks } = about.config;
  const state = stateOf(about, "creating", pid);
  try {
    await runHooks("prestart", hooks?.prestart, state);
    await runHooks("createRuntime", hooks?.createRuntime, state);
  } catch (error) {
    await lifecycle.runPoststop(about);
    throw error;
  }
}

interface Placed {
  readonly about: About;
  readonly bundle: Bundle;
  readonly cgroup: string;
  readonly places: readonly CgroupPlace[];
}

const planOf = ({ about, bundle, places }: Placed, { consoleSocket, noPivot }: CreateOptions) =>
  createPlan({
    ...bundle,
    bundle: bundle.path,
    cgroups: places,
    seccomp: seccompOf(bundle.linux),
    consoleSocket,
    privateMount: mountOf(parseMounts(readFileSync("/proc/self/mountinfo", "utf8")), bundle.rootfs).point,
    noPivot,
    hookState: (status) => hookStateOf(stateOf(about, status, -1)),
  });

async function begin(lifecycle: Lifecycle, placed: Placed, options: CreateOptions): Promise<Handover> {
  const { about, cgroup, bundle } = placed;
  const { states } = lifecycle;
  const plan = planOf(placed, options);
  const shim = await Handover.start({ ...options, directory: states.directory(about.id), plan });
  await using undo = new AsyncDisposableStack();
  undo.defer(() => shim.abandon());
  const pid = await shim.ready();
  const made = { created: new Date().toISOString(), owner: process.env.USER ?? "root" };
  const parked = parkedPart(plan);
  states.save({ ...about, ...made, rootfs: bundle.rootfs, pid, start: startOf(pid), cgroup, parked });
  await runCreateHooks(lifecycle, about, pid);
  await shim.go();
  writePidFile(options.pidFile, pid);
  undo.move();
  return shim;
}

/** @returns the shim, of interest while it stays. @throws conflict, invalid, notFound, PlanError; nothing is left behind */
export async function create(lifecycle: Lifecycle, id: string, options: CreateOptions): Promise<Handover> {
  const bundle = openBundle(options.bundle);
  checkLabels(bundle.process);
  checkTerminal(bundle.process.terminal, options);
  await using undo = new AsyncDisposableStack();
  lifecycle.states.reserve(id);
  undo.defer(() => lifecycle.states.forget(id));
  const cgroup = cgroupPath(bundle.linux.cgroupsPath, id);
  const places = await makeCgroup(lifecycle.cgroups, cgroup, bundle.linux.resources ?? NO_RESOURCES);
  undo.defer(() => lifecycle.cgroups.remove(cgroup)); // with all that is in it
  const about = { id, bundle: bundle.path, config: bundle.config };
  const shim = await begin(lifecycle, { about, bundle, cgroup, places }, options);
  undo.move();
  return shim;
}
