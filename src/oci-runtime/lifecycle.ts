/** What becomes of a container that was created: start, kill, delete. Making one is create.ts. Source: runtime-spec runtime.md, "Lifecycle" and "Operations". */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { conflict, internal, messageOf } from "../base/errors.ts";
import type { Cgroups } from "../runtime/cgroup.ts";
import { startParked } from "../runtime/handover.ts";
import { runHooks } from "./hooks.ts";
import { type About, type ContainerRecord, isAlive, type States, signalInit, stateOf } from "./state.ts";

const SIGKILL = 9;
const KILL_TIMEOUT_MS = 10_000;
const KILL_PAUSE_MS = 2;

export class Lifecycle {
  constructor(
    readonly states: States,
    readonly cgroups: Cgroups,
    /** Where what is wrong and cannot be helped is told. */
    readonly warn: (message: string) => void,
  ) {}

  /** Whatever they do, the container is gone. */
  async runPoststop(about: About): Promise<void> {
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
    await this.runPoststop(record);
  }

  /** @throws conflict unless it is as wanted */
  async require(id: string, wanted: (status: string) => boolean, refusal: string): Promise<ContainerRecord> {
    const record = this.states.load(id);
    if (!wanted(await this.states.status(record, this.cgroups))) throw conflict(refusal);
    return record;
  }
}
