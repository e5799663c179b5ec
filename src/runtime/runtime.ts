/**
 * Port: processes.
 *
 * A *task* is a container's first process, or one that joined it later (an exec), together with the shim that is its parent,
 * keeps its stdio and outlives the daemon. A task goes through: `create` runs its plan up to the `wait` operation and returns with the
 * process standing there, namespaces made; `go` lets it continue to the user's program; `exited` settles when it has ended
 * and its output is flushed; `delete` forgets it.
 */

import type { Duplex } from "node:stream";
import type { Plan } from "./ops.ts";

/** How a process ended. */
export interface Exit {
  /** Exit code as Docker counts: the program's own, or 128 + signal. */
  readonly code: number;
  /** Set when a signal ended it. */
  readonly signal?: number;
  readonly at: Date;
}

/** A plan that stopped: which operation, and why. `PlanError.op` is for composing the user's message. */
export class PlanError extends Error {
  override readonly name = "PlanError";
  constructor(
    readonly op: readonly string[],
    /** As `ENOENT`. */
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export interface AttachOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

export interface Task {
  /** Host pid of the process. */
  readonly pid: number;

  /** Lets the process pass `wait` and run the program. @throws PlanError when an operation or the exec fails; the task is then gone. */
  go(): Promise<void>;

  /**
   * Couples with the task's stdio. May be called between `create` and `go`, and then misses nothing. What is written goes to stdin, its end
   * closes this client's stdin; what is read is Docker's 8-byte frames, or raw bytes with a terminal. Ends when the task has ended
   * and everything is read. @throws notFound when the task has ended
   */
  attach(options: AttachOptions): Promise<Duplex>;

  /** @throws invalid when there is no terminal */
  resize(rows: number, columns: number): Promise<void>;

  /** Signals the process. @throws notFound when it has ended */
  kill(signal: number): Promise<void>;

  /** Settles when the process has ended and all of its output is in the log. Never rejects: a shim that vanished counts as SIGKILL. */
  readonly exited: Promise<Exit>;

  /** Yields whenever the log has grown or was rotated, or only when it was rotated (coalesced, once at first); ends when the task does. */
  logChanges(signal?: AbortSignal, what?: "all" | "rotations"): AsyncIterable<void>;

  /** Removes what is left in the run directory. Call after `exited`. Idempotent. */
  delete(): Promise<void>;
}

export interface Runtime {
  /**
   * @param id  names the run directory: a container's id, or `<container>/<exec>`
   * @throws PlanError; nothing is left behind. conflict when the task exists and has not ended, notFound when the one that is to be
   * joined has ended
   */
  create(id: string, plan: Plan): Promise<Task>;

  /**
   * A task that survived a daemon, or that ended meanwhile (`exited` is then settled), or that a dying daemon never finished making
   * (it counts as killed). @returns undefined when there is none.
   */
  find(id: string): Promise<Task | undefined>;

  /** Ids of every task that has a run directory. */
  list(): Promise<readonly string[]>;

  /** Runs a plan without a process of its own (no `clone`): host mounts, unmounts. @throws PlanError */
  run(plan: Plan): Promise<void>;
}
