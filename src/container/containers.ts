/**
 * The life of a container, from create to remove: the only writer of State.
 *
 * What holds kernel resources is in launch.ts; here is who may do what when. A container's lock is held while its state changes, never
 * while somebody waits for its process to end.
 */

import type { Duplex } from "node:stream";
import type { Digest } from "../base/digest.ts";
import { conflict, invalid, kindOf, messageOf, notFound, notModified } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import { Locks } from "../base/lock.ts";
import type { Logger } from "../base/logger.ts";
import type { ImageConfig, Platform } from "../base/oci.ts";
import { settlesWithin } from "../base/time.ts";
import type { Events } from "../events.ts";
import type { Exit, Task } from "../runtime/runtime.ts";
import { signalNumber } from "../runtime/signals.ts";
import type { Snapshotter } from "../store/snapshot.ts";
import { Attachments, type AttachRequest } from "./attachments.ts";
import { type ContainerRequest, type HostConfig, mergeConfig, topOf } from "./config.ts";
import { startFailure } from "./failure.ts";
import { checkPlatform, warningsOf } from "./image.ts";
import type { Launcher } from "./launch.ts";
import { randomName } from "./names.ts";
import { type Container, checkName, type Records } from "./records.ts";
import { type Ended, NEVER, transition } from "./state.ts";
import type { CouplingEnd } from "./stdio.ts";
import { type WaitResult, Waits } from "./waits.ts";

export interface ContainerImage {
  readonly id: Digest;
  readonly config: ImageConfig;
}

export interface ContainersOptions {
  readonly records: Records;
  readonly launcher: Launcher;
  readonly snapshotter: Snapshotter;
  readonly events: Events;
  readonly log: Logger;
  /** @throws notFound in Docker's words, on which clients pull */
  readonly findImage: (reference: string, platform: Platform | undefined) => Promise<ContainerImage>;
  /** Told when a container no longer uses an image, which may have been removed by force before. */
  readonly released: (imageId: Digest) => Promise<void>;
}

export type WaitCondition = "not-running" | "next-exit" | "removed";

/** How long a killed process may take to be gone, ms. */
const KILL_GRACE_MS = 10_000;
const DEFAULT_STOP_TIMEOUT_S = 10;
/** How often a forced removal kills a container that others keep starting. */
const REMOVAL_ATTEMPTS = 3;

export class Containers {
  readonly #options: ContainersOptions;
  readonly #locks = new Locks();
  readonly #tasks = new Map<string, Task>();
  /** Settled when the process has ended and the state says so. */
  readonly #exits = new Waits();
  readonly #removals = new Waits();
  /** Being created: files of theirs are there, and no record yet. */
  readonly #creating = new Set<string>();
  /** Being restarted: their end does not remove them, though they were created with --rm. */
  readonly #restarting = new Set<string>();
  readonly #attachments: Attachments;

  constructor(options: ContainersOptions) {
    this.#options = options;
    this.#attachments = new Attachments(options.log);
  }

  get records(): Records {
    return this.#options.records;
  }

  get(reference: string): Container {
    return this.records.get(reference);
  }

  /** Whether files of this name are somebody's: a container's, or one's that is being created. */
  owns(id: string): boolean {
    return this.#creating.has(id) || this.records.find(id) !== undefined;
  }

  /** Whether a container runs, or is about to. */
  isLive(id: string): boolean {
    return this.#locks.isHeld(id) || this.#tasks.has(id);
  }

  /** The task of a running container. @throws conflict */
  task(container: Container): Task {
    const task = this.#tasks.get(container.id);
    if (!task) throw conflict(`container ${container.id} is not running`);
    return task;
  }

  /** Yields while the container writes its log, ends when it has ended. */
  async *logChanges({ id }: Container, signal: AbortSignal): AsyncGenerator<void> {
    const task = this.#tasks.get(id);
    if (task) yield* task.logChanges(signal);
  }

  /** For images: who uses one. */
  usersOf(imageId: Digest): readonly { readonly id: string; readonly running: boolean }[] {
    return this.records
      .all()
      .filter((container) => container.imageId === imageId)
      .map(({ id, state }) => ({ id, running: state.phase === "running" }));
  }

  /** Tells an event of a container; an exec's events are its container's. */
  emit(container: Container, action: string, attributes: Readonly<Record<string, string>> = {}): void {
    const { config, id, name } = container;
    const all = { ...config.labels, ...attributes, image: config.image, name };
    this.#options.events.emit("container", action, id, all);
  }

  /** Nothing is mounted, no process exists afterwards. @throws notFound, conflict, invalid */
  async create(
    name: string | undefined,
    request: ContainerRequest,
    host: HostConfig,
    platform?: Platform,
  ): Promise<{ readonly id: string; readonly warnings: readonly string[] }> {
    const { records, snapshotter, launcher } = this.#options;
    const image = await this.#options.findImage(request.image, platform);
    checkPlatform(request.image, image.config, platform);
    const id = newId();
    const chosen = name === undefined ? randomName((taken) => records.isTaken(taken)) : checkName(name);
    await using _ = await this.#locks.acquire(`name:${chosen}`);
    records.checkFree(chosen);
    const config = mergeConfig(image.config.config, request, launcher.defaultHostname(id, host));
    const container: Container = {
      id,
      name: chosen,
      created: new Date().toISOString(),
      imageId: image.id,
      config,
      host,
      state: { phase: "created" },
      restartCount: 0,
      endpoint: undefined,
    };
    await launcher.check(container);
    this.#creating.add(id);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => void this.#creating.delete(id));
    undo.defer(() => records.remove(id));
    await records.writeFiles(id, { "config.v2.json": container.config, "hostconfig.json": container.host });
    undo.defer(() => snapshotter.removeSnapshot(id));
    await snapshotter.prepare(id, image.config.rootfs.diff_ids, topOf(host));
    records.save(container);
    undo.move();
    this.#creating.delete(id);
    this.emit(container, "create");
    return { id, warnings: warningsOf(image.config, platform) };
  }

  /** @throws notModified when it runs already; invalid, internal when its process cannot be made: nothing is left behind then */
  async start(reference: string): Promise<void> {
    const { id } = this.get(reference);
    await using _ = await this.#locks.acquire(id);
    const container = this.get(id);
    if (container.state.phase === "running") throw notModified("container is already running");
    if (container.state.phase === "removing" || container.state.phase === "dead")
      throw conflict("container is marked for removal and cannot be started");
    try {
      await this.#launch(container);
    } catch (error) {
      throw await this.#startFailed(container, error);
    }
  }

  async #launch(container: Container): Promise<void> {
    const { launcher, records, log } = this.#options;
    await using undo = new AsyncDisposableStack();
    undo.defer(() => this.#cleanup(container.id));
    const { task, endpoint } = await launcher.create(container);
    undo.defer(async () => {
      await task.kill(9).catch(() => {});
      await task.exited;
      await task.delete();
    });
    await this.#attachments.begin(container.id, task);
    const starting = records.save({ ...container, endpoint, starting: new Date().toISOString() });
    await task.go();
    const running = records.save(started(starting, task.pid));
    undo.move();
    this.#watch(running, task);
    this.#networkEvent(running, "connect");
    this.emit(running, "start");
    log.debug("container started", { id: container.id, pid: task.pid });
  }

  async #startFailed(container: Container, thrown: unknown): Promise<Error> {
    const { error, exitCode } = startFailure(thrown);
    this.#options.log.warn("container did not start", { id: container.id, error });
    const now = new Date().toISOString();
    const last: Ended = { code: exitCode, startedAt: NEVER, finishedAt: now, oomKilled: false, error: error.message };
    const phase = container.state.phase === "created" ? "created" : "exited";
    this.#settle({ ...container, state: { phase, last }, endpoint: undefined });
    this.#attachments.dismiss(container.id);
    this.#exits.settle(container.id, { code: exitCode, error: "" }); // the caller of start has the message
    if (container.host.autoRemove) await this.#removeAutomatically(container.id);
    this.#releaseLayers();
    return error;
  }

  /** Remembers what has happened. @returns whether it is written, too */
  #settle(container: Container): boolean {
    const error = this.records.settle(container);
    if (error) this.#options.log.error("cannot write a container's state", { id: container.id, error });
    return error === undefined;
  }

  async #cleanup(id: string): Promise<void> {
    const { launcher, log } = this.#options;
    await launcher.cleanup(id).catch((error) => log.error("clean-up failed", { id, error }));
  }

  async #removeAutomatically(id: string): Promise<void> {
    await this.#remove(id).catch((error) => this.#options.log.error("automatic removal failed", { id, error }));
  }

  /** Nobody waits for it: a layer that stays mounted costs a little, and the next one that ends tries again. */
  #releaseLayers(): void {
    const { launcher, log } = this.#options;
    void launcher.releaseLayers().catch((error) => log.warn("layers stay mounted", { error: messageOf(error) }));
  }

  #networkEvent({ id, host, endpoint }: Container, action: "connect" | "disconnect"): void {
    if (endpoint)
      this.#options.events.emit("network", action, endpoint.networkId, {
        container: id,
        name: host.namespaces.network,
        type: this.#options.launcher.networkType(host.namespaces.network),
      });
  }

  /** From here on the process's end is this container's. */
  #watch(container: Container, task: Task): void {
    this.#tasks.set(container.id, task);
    const { id } = container;
    const { log } = this.#options;
    void task.exited
      .then((exit) => this.#ended(id, task, exit))
      .catch((error) => log.error("cannot finish a container's end", { id, error }));
  }

  /** The exit is written before its last trace goes: whenever the daemon dies, the next one finds the one or the other. */
  async #ended(id: string, task: Task, exit: Exit): Promise<void> {
    const { launcher } = this.#options;
    {
      await using _ = await this.#locks.acquire(id);
      const container = this.records.find(id);
      if (!container || this.#tasks.get(id) !== task) return;
      this.#tasks.delete(id);
      const oomKilled = await launcher.oomKilled(id);
      const startedAt = container.state.phase === "running" ? container.state.startedAt : NEVER;
      const last: Ended = { code: exit.code, startedAt, finishedAt: exit.at.toISOString(), oomKilled, error: "" };
      const state = transition(container.state, { phase: "exited", last });
      const ended = { ...container, state, endpoint: undefined };
      const isWritten = this.#settle(ended);
      await this.#cleanup(id);
      if (isWritten) await task.delete();
      const seconds = Math.round((exit.at.getTime() - Date.parse(startedAt)) / 1000);
      this.emit(ended, "die", { exitCode: String(exit.code), execDuration: String(Math.max(0, seconds)) });
      this.#networkEvent(container, "disconnect");
      this.#exits.settle(id, { code: exit.code, error: "" });
      if (container.host.autoRemove && !this.#restarting.has(id)) await this.#removeAutomatically(id);
    }
    this.#releaseLayers();
  }

  /** @returns a promise that settles when the condition holds; it is registered before this returns */
  wait(reference: string, condition: WaitCondition): Promise<WaitResult> {
    const { id, state } = this.get(reference);
    if (condition === "removed") return this.#removals.next(id);
    if (condition === "not-running" && state.phase !== "running")
      return Promise.resolve({ code: state.last?.code ?? 0, error: state.last?.error ?? "" });
    return this.#exits.next(id);
  }

  /**
   * Sends the stop signal, then SIGKILL when the time is over. Goes on when the caller leaves.
   * @param timeoutS  undefined: the container's own; -1: never kill
   * @throws notModified when it does not run
   */
  async stop(reference: string, options: { readonly timeoutS?: number; readonly signal?: string } = {}): Promise<void> {
    const container = this.get(reference);
    if (container.state.phase !== "running") throw notModified("container is already stopped");
    await this.#stop(container, options);
    this.emit(container, "stop");
  }

  async #stop(container: Container, { timeoutS, signal }: { timeoutS?: number; signal?: string }): Promise<void> {
    const task = this.task(container);
    const ended = this.#exits.next(container.id);
    const number = signalNumber(signal || container.config.stopSignal || "SIGTERM");
    const seconds = timeoutS ?? container.config.stopTimeoutS ?? DEFAULT_STOP_TIMEOUT_S;
    await this.#signal(container, task, number);
    if (seconds < 0) await ended;
    else if (!(await settlesWithin(ended, seconds * 1000))) {
      await this.#signal(container, task, 9);
      if (!(await settlesWithin(ended, KILL_GRACE_MS)))
        throw conflict(`container ${container.id} did not end within ${KILL_GRACE_MS / 1000} seconds of the kill`);
    }
  }

  async #signal(container: Container, task: Task, signal: number): Promise<void> {
    this.emit(container, "kill", { signal: String(signal) });
    await task.kill(signal).catch((error: unknown) => {
      if (kindOf(error) !== "notFound") throw error; // it has just ended
    });
  }

  /** @param signal  name or number; SIGKILL waits until the container has ended. @throws conflict, invalid */
  async kill(reference: string, signal: string): Promise<void> {
    const container = this.get(reference);
    const number = signalNumber(signal || "SIGKILL");
    if (container.state.phase !== "running")
      throw conflict(`cannot kill container: ${reference}: container ${container.id} is not running`);
    const ended = this.#exits.next(container.id);
    await this.#signal(container, this.task(container), number);
    if (number === 9) await settlesWithin(ended, KILL_GRACE_MS);
  }

  async restart(reference: string, options: { readonly timeoutS?: number; readonly signal?: string }): Promise<void> {
    const container = this.get(reference);
    this.#restarting.add(container.id);
    try {
      if (container.state.phase === "running") await this.#stop(container, options);
    } finally {
      this.#restarting.delete(container.id);
    }
    await this.start(container.id);
    this.emit(container, "restart");
  }

  async rename(reference: string, name: string): Promise<void> {
    const { id } = this.get(reference);
    if (name === "") throw invalid("Neither old nor new names may be empty");
    const bare = checkName(name);
    await using _name = await this.#locks.acquire(`name:${bare}`);
    await using _ = await this.#locks.acquire(id);
    const container = this.get(id);
    if (container.name === bare) throw invalid("Renaming a container with the same name as its current name");
    this.records.checkFree(bare);
    const renamed = this.records.save({ ...container, name: bare });
    this.emit(renamed, "rename", { oldName: `/${container.name}` });
  }

  /** @throws conflict while it runs, unless `force` */
  async remove(reference: string, force: boolean): Promise<void> {
    const { id, name } = this.get(reference);
    for (let attempt = 0; attempt < REMOVAL_ATTEMPTS; attempt++) {
      await this.#endForRemoval(reference, id, force);
      await using _ = await this.#locks.acquire(id);
      const phase = this.records.find(id)?.state.phase;
      if (phase === undefined) return; // --rm was faster
      if (phase === "running") continue; // somebody has started it again
      return await this.#remove(id);
    }
    throw conflict(`cannot remove container ${JSON.stringify(`/${name}`)}: could not kill: it still runs`);
  }

  async #endForRemoval(reference: string, id: string, force: boolean): Promise<void> {
    const container = this.records.find(id);
    if (container?.state.phase === "removing")
      throw conflict(`removal of container ${reference} is already in progress`);
    if (container?.state.phase !== "running") return;
    if (!force)
      throw conflict(
        `cannot remove container ${JSON.stringify(`/${container.name}`)}: container is running: stop the container before removing or force remove`,
      );
    await this.kill(id, "SIGKILL").catch((error: unknown) => {
      if (kindOf(error) !== "conflict" && kindOf(error) !== "notFound") throw error; // it has just ended by itself
    });
  }

  /** The lock is held. */
  async #remove(id: string): Promise<void> {
    const container = this.get(id);
    const last = container.state.phase === "running" ? undefined : container.state.last;
    const removing = transition(container.state, { phase: "removing", ...(last && { last }) });
    const marked = { ...container, state: removing };
    this.#settle(marked); // on a full disk, too: this is how it gets emptier
    this.#attachments.dismiss(id);
    await this.#erase(marked);
    const result = { code: last?.code ?? 0, error: "" };
    this.#exits.settle(id, result);
    this.#removals.settle(id, result);
    this.emit(container, "destroy");
  }

  /** Of one that is marked as being removed: what it has on disk. @throws what kept it; it is dead then, and may be removed again */
  async #erase(container: Container): Promise<void> {
    const { launcher, snapshotter, records } = this.#options;
    const { id, imageId, state } = container;
    try {
      await launcher.forget(id);
      await snapshotter.removeSnapshot(id);
      await records.remove(id);
    } catch (error) {
      const last = "last" in state ? state.last : undefined;
      this.#settle({ ...container, state: { phase: "dead", ...(last && { last }) } });
      throw error;
    }
    await this.#options.released(imageId).catch((error) => this.#options.log.warn("image files stay", { error }));
  }

  async resize(reference: string, rows: number, columns: number): Promise<void> {
    const container = this.get(reference);
    await this.task(container).resize(rows, columns);
    this.emit(container, "resize", { height: String(rows), width: String(columns) });
  }

  /** Couples a client with the container's stdio: now, or when it starts. @returns when that is over */
  async attach(container: Container, client: Duplex, request: AttachRequest): Promise<CouplingEnd> {
    this.emit(container, "attach");
    const task = this.#tasks.get(container.id);
    const end = task
      ? await this.#attachments.couple(client, task, request)
      : await this.#attachments.wait(container.id, client, request);
    if (end === "detached") this.emit(container, "detach");
    return end;
  }

  /** At start, before the API answers: finds what ran on without a daemon, and what ended meanwhile. */
  async restore(): Promise<void> {
    const { records, launcher, log } = this.#options;
    for (const container of records.all())
      await this.#restoreOne(container).catch((error) =>
        log.error("cannot restore container", { id: container.id, error }),
      );
    await launcher.sweep(new Set(this.#tasks.keys()));
  }

  async #restoreOne(container: Container): Promise<void> {
    const { id, state, starting, host } = container;
    if (state.phase === "running") await this.#adopt(container);
    else if (state.phase === "removing" || state.phase === "dead") await this.#erase(container);
    else if (starting !== undefined) await this.#adoptStarting(container);
    else if (host.autoRemove) await this.#remove(id); // it has ended, and nobody came to remove it; or it will not be started
  }

  /** One that vanished counts as killed. */
  async #adopt(container: Container): Promise<void> {
    const { launcher, log } = this.#options;
    const task = (await launcher.adopt(container)) ?? goneTask;
    log.debug("container found again", { id: container.id, pid: task.pid });
    this.#watch(container, task);
  }

  /** The daemon died while it let the process go: it has run since then, or was never begun. */
  async #adoptStarting(container: Container): Promise<void> {
    const { records, launcher } = this.#options;
    const task = await launcher.adopt(container);
    if (task) {
      const running = started(container, task.pid);
      this.#settle(running);
      this.#watch(running, task);
      return;
    }
    const { starting: _, ...before } = container;
    records.save({ ...before, endpoint: undefined });
    if (container.host.autoRemove) await this.#remove(container.id);
  }
}

/** Of one that was about to: it runs. */
function started({ starting, ...container }: Container, pid: number): Container {
  const last = "last" in container.state ? container.state.last : undefined;
  const state = { phase: "running", pid, startedAt: starting ?? NEVER, ...(last && { last }) } as const;
  return { ...container, state: transition(container.state, state) };
}

/** Stands for a process that ended while nobody looked and left no word. */
const goneTask: Task = {
  pid: 0,
  exited: Promise.resolve({ code: 137, signal: 9, at: new Date() }),
  go: async () => {},
  attach: () => Promise.reject(notFound("the container's process is gone")),
  resize: async () => {},
  kill: async () => {},
  async *logChanges() {},
  delete: async () => {},
};
