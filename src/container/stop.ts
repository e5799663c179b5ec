/** Ending a container by signals: stop and kill. */

import { conflict, invalid, kindOf, messageOf, notModified } from "../base/errors.ts";
import { settlesWithin } from "../base/time.ts";
import type { Task } from "../runtime/runtime.ts";
import { signalNumber } from "../runtime/signals.ts";
import type { Life } from "./life.ts";
import type { Pauses } from "./pause.ts";
import type { Container } from "./records.ts";
import { isUp, type State, transition } from "./state.ts";

/** How long a killed process may take to be gone, ms. */
const KILL_GRACE_MS = 10_000;
const DEFAULT_STOP_TIMEOUT_S = 10;
const SIGKILL = 9;

export interface StopOptions {
  /** Undefined: the container's own; -1: never kill. */
  readonly timeoutS?: number;
  /** Name or number. */
  readonly signal?: string;
}

const exited = (state: Extract<State, { readonly phase: "restarting" }>): State =>
  transition(state, { phase: "exited", last: state.last });

/** @throws invalid in Docker's words */
function killSignal(reference: string, signal: string): number {
  try {
    return signalNumber(signal || "SIGKILL");
  } catch (error) {
    throw invalid(`cannot kill container: ${reference}: ${messageOf(error)}`);
  }
}

export class Stops {
  readonly #life: Life;
  readonly #pauses: Pauses;

  constructor(life: Life, pauses: Pauses) {
    this.#life = life;
    this.#pauses = pauses;
  }

  /**
   * Sends the stop signal, then SIGKILL when the time is over. Goes on when the caller leaves.
   * @throws notModified when it does not run
   */
  async stop(reference: string, options: StopOptions): Promise<void> {
    const container = this.#life.get(reference);
    if (!isUp(container.state)) throw notModified("container is already stopped");
    await this.end(container, options);
    this.#life.emit(container, "stop");
  }

  /** As `stop`, without its event. @param byHand  whether somebody wants it to end; else it may start again by its policy */
  async end(container: Container, { timeoutS, signal }: StopOptions, byHand = true): Promise<void> {
    const ended = this.#life.exits.next(container.id);
    const number = signalNumber(signal || container.config.stopSignal || "SIGTERM");
    const seconds = timeoutS ?? container.config.stopTimeoutS ?? DEFAULT_STOP_TIMEOUT_S;
    const task = byHand ? await this.#stopped(container.id) : this.#life.tasks.get(container.id);
    if (task === undefined) return;
    await this.#signal(container, task, number);
    await this.#pauses.resume(container.id);
    if (seconds < 0) await ended;
    else if (!(await settlesWithin(ended, seconds * 1000))) {
      await this.#signal(container, task, SIGKILL);
      if (!(await settlesWithin(ended, KILL_GRACE_MS)))
        throw conflict(`container ${container.id} did not end within ${KILL_GRACE_MS / 1000} seconds of the kill`);
    }
  }

  /**
   * Remembers that somebody wants it to end, so that its policy does not start it again.
   * @returns the task that is to end; undefined when there is none: it waited for its next start, which it will not have
   */
  async #stopped(id: string): Promise<Task | undefined> {
    const life = this.#life;
    await using _ = await life.locks.acquire(id);
    const container = life.records.find(id);
    if (container === undefined || !isUp(container.state)) return undefined;
    const { state } = container;
    life.restarts.forget(id);
    life.settle({ ...container, stopped: true, ...(state.phase === "restarting" && { state: exited(state) }) });
    if (state.phase === "restarting") life.exits.settle(id, { code: state.last.code, error: "" });
    return life.tasks.get(id);
  }

  async #signal(container: Container, task: Task, signal: number): Promise<void> {
    this.#life.emit(container, "kill", { signal: String(signal) });
    await task.kill(signal).catch((error: unknown) => {
      if (kindOf(error) !== "notFound") throw error; // it has just ended
    });
  }

  /** @param signal  name or number; SIGKILL waits until the container has ended. @throws conflict, invalid */
  async kill(reference: string, signal: string): Promise<void> {
    const container = this.#life.get(reference);
    const { id, config, state } = container;
    const number = killSignal(reference, signal);
    if (!isUp(state)) throw conflict(`cannot kill container: ${reference}: container ${id} is not running`);
    const ended = this.#life.exits.next(id);
    const isEnd = endsIt(number, config.stopSignal);
    const task = isEnd ? await this.#stopped(id) : this.#life.tasks.get(id);
    if (task === undefined) return;
    await this.#signal(container, task, number);
    if (isEnd) await this.#pauses.resume(id);
    if (number === SIGKILL) await settlesWithin(ended, KILL_GRACE_MS);
  }
}

/**
 * Whether who sends this signal wants the container to end. So Docker takes every signal to one that names no stop signal of its own: a paused
 * one goes on, and no policy starts it again. Source: Moby, daemon/kill.go.
 */
const endsIt = (signal: number, stopSignal: string): boolean =>
  stopSignal === "" || signal === SIGKILL || signal === signalNumber(stopSignal);
