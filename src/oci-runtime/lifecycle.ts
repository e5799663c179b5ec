/** create, start, kill, delete. Source: runtime-spec runtime.md, "Lifecycle" and "Operations". */

import { chmodSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { conflict, internal, invalid, messageOf } from "../base/errors.ts";
import { mountOf, parseMounts } from "../base/mountinfo.ts";
import type { CgroupPlace } from "../container/plan.ts";
import type { Cgroups } from "../runtime/cgroup.ts";
import { Handover, parkedPart, startParked } from "../runtime/handover.ts";
import { type Bundle, checkLabels, openBundle, seccompOf } from "./bundle.ts";
import { cgroupPath, makeCgroup } from "./cgroups.ts";
import { type OciResources, resourcesDecoder } from "./config.ts";
import { runHooks } from "./hooks.ts";
import { createPlan, type HookState } from "./plan.ts";
import { type ContainerRecord, isAlive, type States, signalInit, startOf, stateOf } from "./state.ts";

const SIGKILL = 9;
const KILL_TIMEOUT_MS = 10_000;
const KILL_PAUSE_MS = 2;

export interface CreateOptions {
  readonly bundle: string;
  readonly consoleSocket: string | undefined;
  readonly pidFile: string | undefined;
  readonly noPivot: boolean;
  /** Descriptors of ours, from 3 on, that the container gets. */
  readonly preserveFds: number;
  /** The shim stays as the parent of the process. */
  readonly stay: boolean;
}

export const NO_RESOURCES: OciResources = resourcesDecoder({}, "");

/** Whole or not at all: who waits for it reads it at once. */
export function writePidFile(path: string | undefined, pid: number): void {
  if (path !== undefined) writeFileSync(path, String(pid));
}

/** What comes before and after the pid, which only the process itself knows. */
function hookStateOf(state: object): HookState {
  const json = JSON.stringify(state);
  const at = json.indexOf('"pid":-1') + '"pid":'.length;
  return [json.slice(0, at), json.slice(at + "-1".length)];
}

export class Lifecycle {
  constructor(
    readonly states: States,
    readonly cgroups: Cgroups,
    /** Where what is wrong and cannot be helped is told. */
    readonly warn: (message: string) => void,
  ) {}

  /** @returns the shim, of interest while it stays. @throws conflict, invalid, notFound, PlanError; nothing is left behind */
  async create(id: string, options: CreateOptions): Promise<Handover> {
    const bundle = openBundle(options.bundle);
    checkLabels(bundle.process);
    await using undo = new AsyncDisposableStack();
    const directory = this.states.reserve(id);
    undo.defer(() => this.states.forget(id));
    chmodSync(directory, 0o711);
    const path = cgroupPath(bundle.linux.cgroupsPath, id);
    const places = await makeCgroup(this.cgroups, path, bundle.linux.resources ?? NO_RESOURCES);
    undo.defer(() => this.cgroups.remove(path));
    const shim = await this.#begin(id, bundle, places, path, options);
    undo.move();
    return shim;
  }

  async #begin(
    id: string,
    bundle: Bundle,
    cgroups: readonly CgroupPlace[],
    cgroup: string,
    options: CreateOptions,
  ): Promise<Handover> {
    const { config, path, rootfs } = bundle;
    const about = { id, bundle: path, config };
    const plan = createPlan({
      ...bundle,
      bundle: path,
      cgroups,
      seccomp: seccompOf(bundle.linux),
      consoleSocket: options.consoleSocket,
      privateMount: mountOf(parseMounts(readFileSync("/proc/self/mountinfo", "utf8")), rootfs).point,
      noPivot: options.noPivot,
      hookState: (status) => hookStateOf(stateOf(about, status, -1)),
    });
    const directory = this.states.directory(id);
    const shim = await Handover.start({ directory, plan, kept: options.preserveFds, stay: options.stay });
    await using undo = new AsyncDisposableStack();
    undo.defer(() => shim.abandon());
    const pid = await shim.ready();
    const created = new Date().toISOString();
    const owner = process.env.USER ?? "root";
    this.states.save({ ...about, rootfs, pid, start: startOf(pid), created, owner, cgroup, parked: parkedPart(plan) });
    await this.#runCreateHooks(about, pid);
    await shim.go();
    writePidFile(options.pidFile, pid);
    undo.move();
    return shim;
  }

  async #runCreateHooks(about: Pick<ContainerRecord, "id" | "bundle" | "config">, pid: number): Promise<void> {
    const { hooks } = about.config;
    const state = stateOf(about, "creating", pid);
    try {
      await runHooks("prestart", hooks?.prestart, state);
      await runHooks("createRuntime", hooks?.createRuntime, state);
    } catch (error) {
      await this.#runPoststop(about);
      throw error;
    }
  }

  /** Whatever they do, the container is gone. */
  async #runPoststop(about: Pick<ContainerRecord, "id" | "bundle" | "config">): Promise<void> {
    for (const hook of about.config.hooks?.poststop ?? [])
      await runHooks("poststop", [hook], stateOf(about, "stopped", 0)).catch((error) => this.warn(messageOf(error)));
  }

  /** @throws conflict in runc's words unless it was created and not started; PlanError when its program does not run */
  async start(id: string): Promise<void> {
    const record = this.states.load(id);
    const status = await this.states.status(record, this.cgroups);
    if (status === "stopped") throw conflict("cannot start a container that has stopped");
    if (status !== "created") throw conflict("cannot start an already running container");
    const directory = this.states.directory(id);
    const started = await startParked(directory, record.parked);
    rmSync(join(directory, "start.sock"), { force: true });
    if (!started) throw conflict("cannot start a container that has stopped");
    await this.#runPoststart(record);
  }

  async #runPoststart(record: ContainerRecord): Promise<void> {
    try {
      await runHooks("poststart", record.config.hooks?.poststart, stateOf(record, "running", record.pid));
    } catch (error) {
      await this.#end(record);
      throw error;
    }
  }

  /** @param all  every process of it, also when the first has ended. @throws conflict when it does not run */
  async kill(id: string, signal: number, all: boolean): Promise<void> {
    const record = this.states.load(id);
    const ownPids = record.config.linux?.namespaces.some(({ type, path }) => type === "pid" && path === "") ?? false;
    // Without a pid namespace of its own the others do not die with the first.
    if (all || (signal === SIGKILL && !ownPids && isAlive(record))) return this.#signalAll(record, signal);
    if (!signalInit(record, signal)) throw conflict("container not running");
    if (signal === SIGKILL) await this.cgroups.thaw(record.cgroup); // what stands still does not die
  }

  async #signalAll(record: ContainerRecord, signal: number): Promise<void> {
    if (signal === SIGKILL) return this.cgroups.kill(record.cgroup);
    for (const pid of await this.cgroups.processes(record.cgroup)) {
      try {
        process.kill(pid, signal);
      } catch {
        // it has ended
      }
    }
  }

  async #end(record: ContainerRecord): Promise<void> {
    await this.cgroups.kill(record.cgroup);
    signalInit(record, SIGKILL);
    const deadline = Date.now() + KILL_TIMEOUT_MS;
    while (isAlive(record)) {
      if (Date.now() > deadline) throw internal("container init still running");
      await Bun.sleep(KILL_PAUSE_MS);
    }
  }

  /** @param force  whatever it does, and when it is not there. @throws conflict when it runs, notFound */
  async delete(id: string, force: boolean): Promise<void> {
    const record = this.states.load(id);
    const status = await this.states.status(record, this.cgroups);
    if (!force && status !== "stopped" && status !== "created")
      throw conflict(`cannot delete container ${id} that is not stopped: ${status}`);
    if (status !== "stopped") await this.#end(record);
    await this.cgroups.remove(record.cgroup);
    this.states.forget(id);
    await this.#runPoststop(record);
  }

  /** @throws conflict unless it is as wanted */
  async require(id: string, wanted: (status: string) => boolean, refusal: string): Promise<ContainerRecord> {
    const record = this.states.load(id);
    if (!wanted(await this.states.status(record, this.cgroups))) throw conflict(refusal);
    return record;
  }
}

/** @throws invalid */
export function consoleSocketOf(path: string | undefined, terminal: boolean, detached: boolean): string | undefined {
  if (terminal && path === undefined && detached)
    throw invalid("cannot allocate tty if runc will detach without setting console socket");
  if (!terminal && path !== undefined)
    throw invalid("cannot use console socket if runc will not detach or allocate tty");
  return path === undefined ? undefined : resolve(path);
}
