/** The runs of a container: from its start, by hand or by its policy, to the end of its process and what follows from that. */

import { bootId } from "../base/boot.ts";
import { conflict, notModified } from "../base/errors.ts";
import type { Exit, Task } from "../runtime/runtime.ts";
import type { Connections } from "./connections.ts";
import { outOfMemory, startFailure } from "./failure.ts";
import type { Life } from "./life.ts";
import { MemoryWatch } from "./memory-watch.ts";
import { type Container, NOWHERE } from "./records.ts";
import type { Removal } from "./removal.ts";
import { startsAgain } from "./restart.ts";
import { started } from "./restore.ts";
import { type Ended, isLive, isUp, NEVER, transition } from "./state.ts";
import type { StopOptions, Stops } from "./stop.ts";
import { traceStart } from "./trace.ts";

export interface RunParts {
  readonly connections: Connections;
  readonly stops: Stops;
  readonly removal: Removal;
}

export class Runs implements Disposable {
  readonly #life: Life;
  readonly #parts: RunParts;
  readonly #memory: MemoryWatch;
  /** Being restarted: their end does not remove them, though they were created with --rm. */
  readonly #restarting = new Set<string>();

  constructor(life: Life, parts: RunParts) {
    this.#life = life;
    this.#parts = parts;
    this.#memory = new MemoryWatch(life);
  }

  /** @throws notModified when it runs already; invalid, internal when its process cannot be made: nothing is left behind then */
  async start(reference: string): Promise<void> {
    const { id } = this.#life.get(reference);
    await using _ = await this.#life.locks.acquire(id);
    const container = this.#life.get(id);
    const { phase } = container.state;
    if (phase === "paused") throw conflict("cannot start a paused container, try unpause instead");
    if (isUp(container.state)) throw notModified("container is already running");
    if (phase === "removing" || phase === "dead")
      throw conflict("container is marked for removal and cannot be started");
    this.#life.restarts.forget(id);
    const { stopped: _stopped, ...fresh } = container;
    const error = await this.#tryLaunch({ ...fresh, restartCount: 0 }, false);
    if (error) throw error;
  }

  /** By its policy: after its end, or with the daemon. One that somebody has started, stopped or removed meanwhile is theirs. */
  async startAgain(id: string): Promise<void> {
    await using _ = await this.#life.locks.acquire(id);
    const container = this.#life.records.find(id);
    if (container === undefined || container.stopped) return;
    const { phase } = container.state;
    if (phase === "restarting" || phase === "exited") await this.#tryLaunch(container, true); // a failure stands in its state, and in the log
  }

  /** @param early  see Launcher.create. @returns what it failed with */
  async #tryLaunch(container: Container, early: boolean): Promise<Error | undefined> {
    try {
      await this.#launch(container, early);
      return undefined;
    } catch (error) {
      return this.#startFailed(container, error);
    }
  }

  async #launch(container: Container, early: boolean): Promise<void> {
    const { launcher, records, log } = this.#life.options;
    await using undo = new AsyncDisposableStack();
    undo.defer(() => this.#life.cleanup(container.id));
    const trace = traceStart(this.#life.options.traces ? log : undefined);
    const { task, ...places } = await launcher.create(container, early, trace);
    undo.defer(async () => {
      await task.kill(9).catch(() => {});
      await task.exited;
      await task.delete();
    });
    using _begun = await this.#life.attachments.begin(container.id, task);
    trace.step("output");
    const starting = records.save({ ...container, ...places, starting: new Date().toISOString(), boot: bootId() });
    trace.step("record");
    await task.go();
    trace.step("program");
    const running = records.save(started(starting, task.pid));
    undo.move();
    this.watch(running, task);
    await this.#parts.connections.relink(running.id);
    this.#life.networkEvent(running, "connect");
    this.#life.emit(running, "start");
    trace.step("told");
    trace.end(container.id);
    log.debug("container started", { id: container.id, pid: task.pid });
  }

  async #startFailed(container: Container, thrown: unknown): Promise<Error> {
    const { error, exitCode } = startFailure(thrown);
    this.#life.options.log.warn("container did not start", { id: container.id, error });
    const now = new Date().toISOString();
    const last: Ended = { code: exitCode, startedAt: NEVER, finishedAt: now, oomKilled: false, error: error.message };
    const phase = container.state.phase === "created" ? "created" : "exited";
    this.#life.settle({ ...container, state: { phase, last }, ...NOWHERE });
    this.#life.attachments.dismiss(container.id);
    this.#life.exits.settle(container.id, { code: exitCode, error: "" }); // the caller of start has the message
    if (container.host.autoRemove) await this.#parts.removal.removeAutomatically(container.id);
    this.#life.releaseLayers();
    return error;
  }

  /** From here on the process's end is this container's. */
  watch(container: Container, task: Task): void {
    this.#life.tasks.set(container.id, task);
    this.#life.options.logs.watch(container, task);
    this.#life.onPhase(container.id);
    this.#memory.begin(container);
    const { id } = container;
    const { log } = this.#life.options;
    void task.exited
      .then((exit) => this.#ended(id, task, exit))
      .catch((error) => log.error("cannot finish a container's end", { id, error }));
  }

  /** The exit is written before its last trace goes: whenever the daemon dies, the next one finds the one or the other. */
  async #ended(id: string, task: Task, exit: Exit): Promise<void> {
    {
      await using _ = await this.#life.locks.acquire(id);
      const container = this.#life.records.find(id);
      if (!container || this.#life.tasks.get(id) !== task) return;
      this.#life.tasks.delete(id);
      this.#memory.end(id);
      const wasTold = isLive(container.state) && container.state.oomKilled === true;
      const oomKilled = wasTold || (await this.#life.options.cgroups.oomKilled(id));
      if (oomKilled && !wasTold) this.#life.emit(container, "oom");
      const ended = endedBy(container, exit, oomKilled);
      const isWritten = this.#life.settle(ended);
      await this.#life.cleanup(id);
      if (isWritten) await task.delete();
      await this.#tellEnd(container, ended, exit);
    }
    this.#life.releaseLayers();
  }

  /** What follows from an end that is written down. */
  async #tellEnd(container: Container, ended: Container, { code, at }: Exit): Promise<void> {
    const { id, state, host } = ended;
    const ranMs = Math.max(0, at.getTime() - Date.parse(state.last?.startedAt ?? NEVER));
    this.#life.emit(ended, "die", { exitCode: String(code), execDuration: String(Math.round(ranMs / 1000)) });
    this.#life.networkEvent(container, "disconnect");
    this.#life.onPhase(id);
    this.#life.exits.settle(id, { code, error: "" });
    if (state.phase === "restarting") this.#life.restarts.schedule(id, ranMs);
    else if (host.autoRemove && !this.#restarting.has(id)) await this.#parts.removal.removeAutomatically(id);
  }

  async restart(reference: string, options: StopOptions): Promise<void> {
    const container = this.#life.get(reference);
    this.#restarting.add(container.id);
    try {
      if (isUp(container.state)) await this.#parts.stops.end(container, options);
    } finally {
      this.#restarting.delete(container.id);
    }
    await this.start(container.id);
    this.#life.emit(container, "restart");
  }

  [Symbol.dispose](): void {
    this.#memory[Symbol.dispose]();
  }
}

/** A container whose process has ended: it waits for its next start where its policy says so. */
function endedBy(container: Container, exit: Exit, oomKilled: boolean): Container {
  const startedAt = isLive(container.state) ? container.state.startedAt : NEVER;
  const error = oomKilled ? outOfMemory(exit, container.host.resources) : "";
  const last: Ended = { code: exit.code, startedAt, finishedAt: exit.at.toISOString(), oomKilled, error };
  const isAgain = startsAgain(container, exit.code);
  return {
    ...container,
    ...NOWHERE,
    state: transition(container.state, { phase: isAgain ? "restarting" : "exited", last }),
    restartCount: container.restartCount + Number(isAgain),
    // as Docker shows it: nobody looks after its health any more
    ...(container.health && { health: { ...container.health, status: "unhealthy" } }),
  };
}
