/** Processes that join a running container. Kept in memory: an exec is nothing without the client that started it, but readable a while after. */

import type { Duplex } from "node:stream";
import { conflict, notFound } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { Runtime, Task } from "../runtime/runtime.ts";
import type { HostConfig, ProcessConfig } from "./config.ts";
import type { Containers } from "./containers.ts";
import { execFailure } from "./failure.ts";
import type { Launcher } from "./launch.ts";
import { phaseRefusals } from "./pause.ts";
import type { Container } from "./records.ts";
import { couple, parseDetachKeys } from "./stdio.ts";

export interface ExecConfig extends ProcessConfig {
  readonly privileged: boolean;
  /** Docker's spelling; empty for the default. */
  readonly detachKeys: string;
}

export interface Exec {
  readonly id: string;
  readonly containerId: string;
  readonly config: ExecConfig;
  /** 0 before it started. */
  readonly pid: number;
  readonly running: boolean;
  /** Undefined while it has not ended. */
  readonly exitCode: number | undefined;
}

/** How long an exec that ended can still be inspected, ms. Docker's five minutes. */
const KEPT_MS = 5 * 60_000;

/** @param name  as the client calls it. @throws conflict unless processes can join it now */
function checkExec({ id, state }: Container, name: string): void {
  if (state.phase === "paused") throw phaseRefusals.paused(name, "exec");
  if (state.phase === "restarting") throw phaseRefusals.restarting(name);
  if (state.phase !== "running") throw phaseRefusals.notRunning(id);
}

export class Execs {
  readonly #execs = new Map<string, Exec>();
  readonly #tasks = new Map<string, Task>();

  constructor(
    readonly containers: Containers,
    readonly launcher: Launcher,
    readonly runtime: Runtime,
    readonly log: Logger,
  ) {}

  /** @throws notFound */
  get(id: string): Exec {
    const exec = this.#execs.get(id);
    if (!exec) throw notFound(`No such exec instance: ${id}`);
    return exec;
  }

  /** Ids of the execs of a container that have not ended, as its inspect shows them. */
  of(containerId: string): readonly string[] {
    const isShown = (exec: Exec) => exec.containerId === containerId && exec.exitCode === undefined;
    return [...this.#execs.values()].filter(isShown).map(({ id }) => id);
  }

  /** @throws conflict when the container does not run */
  create(reference: string, config: ExecConfig): string {
    const container = this.containers.get(reference);
    checkExec(container, reference);
    const id = newId();
    this.#execs.set(id, { id, containerId: container.id, config, pid: 0, running: false, exitCode: undefined });
    this.#emit(container, "exec_create", id, config);
    return id;
  }

  #emit(container: Container, action: string, execID: string, { entrypoint, cmd }: ExecConfig): void {
    const [program = "", ...args] = [...entrypoint, ...cmd];
    this.containers.emit(container, `${action}: ${program} ${args.join(" ")}`, { execID }); // with a space behind it when it has no arguments, as Docker's
  }

  #change(id: string, change: Partial<Exec>): void {
    const exec = this.#execs.get(id);
    if (exec) this.#execs.set(id, { ...exec, ...change }); // else it is forgotten
  }

  /** @throws conflict when it was started before, or its container has ended */
  check(id: string): Exec {
    const exec = this.get(id);
    if (exec.running || exec.exitCode !== undefined) throw conflict(`exec ${id} has already run`);
    const container = this.containers.get(exec.containerId);
    checkExec(container, container.id);
    this.containers.task(container);
    return exec;
  }

  /**
   * Makes the process and returns when the program runs.
   * @param client  gets the output and gives the input; undefined to run detached
   * @returns `over` settles when the client is through with it; at once when detached
   * @throws invalid when the program cannot be executed; the exec then shows exit code 126 or 127
   */
  async start(
    id: string,
    client: Duplex | undefined,
    consoleSize: HostConfig["consoleSize"],
  ): Promise<{ readonly over: Promise<void> }> {
    const exec = this.check(id);
    const container = this.containers.get(exec.containerId);
    this.#change(id, { running: true });
    await using undo = new AsyncDisposableStack();
    try {
      const task = await this.launcher.createExec(container, id, exec.config, consoleSize);
      undo.defer(async () => {
        await task.kill(9).catch(() => {});
        await task.exited;
        await task.delete();
      });
      const { attachStdin: stdin, attachStdout: stdout, attachStderr: stderr } = exec.config;
      const stream = client && (await task.attach({ stdin, stdout, stderr }));
      await task.go();
      undo.move();
      const recorded = this.#watch(container, id, task);
      this.#emit(container, "exec_start", id, exec.config);
      if (!client || !stream) return { over: Promise.resolve() };
      const detachKeys = exec.config.tty ? parseDetachKeys(exec.config.detachKeys) : undefined;
      const over = couple(client, stream, { stdin, detachKeys }).then(async (end) => {
        if (end === "ended") await recorded; // clients ask for the exit code as soon as the stream ends
        if (end === "detached") this.containers.emit(container, "exec_detach", { execID: id });
      });
      return { over };
    } catch (thrown) {
      const { error, exitCode } = execFailure(thrown, container.id);
      this.#finish(id, exitCode);
      throw error;
    }
  }

  /** @returns when the exit stands in the exec; never rejects */
  async #watch(container: Container, id: string, task: Task): Promise<void> {
    this.#tasks.set(id, task);
    this.#change(id, { pid: task.pid });
    const { code } = await task.exited;
    this.#tasks.delete(id);
    this.#finish(id, code);
    this.containers.emit(container, "exec_die", { execID: id, exitCode: String(code) });
    await task.delete().catch((error) => this.log.warn("exec left its run directory behind", { id, error }));
  }

  /** Ends the process, should it run, and waits for that. */
  async kill(id: string): Promise<void> {
    const task = this.#tasks.get(id);
    await task?.kill(9).catch(() => {}); // it has ended
    await task?.exited;
  }

  /** Nobody will ask for it any more. */
  forget(id: string): void {
    this.#execs.delete(id);
  }

  #finish(id: string, exitCode: number): void {
    this.#change(id, { running: false, exitCode });
    setTimeout(() => this.#execs.delete(id), KEPT_MS).unref();
  }

  /** @throws conflict when it does not run */
  async resize(id: string, rows: number, columns: number): Promise<void> {
    const exec = this.get(id);
    const task = this.#tasks.get(id);
    if (!task) throw conflict(`exec ${exec.id} is not running`);
    await task.resize(rows, columns);
  }

  /** Execs of an earlier daemon run on; nobody can inspect them, but what they leave in the run directory has to go. */
  async restore(): Promise<void> {
    for (const id of await this.runtime.list()) {
      if (!id.includes("/")) continue;
      const task = await this.runtime.find(id);
      void task?.exited
        .then(() => task.delete())
        .catch((error) => this.log.warn("exec left its run directory behind", { id, error }));
    }
  }
}
