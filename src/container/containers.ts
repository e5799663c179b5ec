/**
 * The life of a container, from create to remove: with its parts (life.ts, pause.ts, stop.ts, removal.ts, restore.ts) the only writer of State.
 *
 * What holds kernel resources is in launch.ts; here is who may do what when.
 */

import type { Duplex } from "node:stream";
import { bootId } from "../base/boot.ts";
import type { Digest } from "../base/digest.ts";
import { conflict, invalid, kindOf, messageOf, notModified } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { ImageConfig, Platform } from "../base/oci.ts";
import type { Events } from "../events.ts";
import type { Attachment } from "../network/attachment.ts";
import type { Exit, Task } from "../runtime/runtime.ts";
import type { Snapshots } from "../store/snapshot.ts";
import type { AttachRequest } from "./attachments.ts";
import { type ContainerRequest, type HostConfig, mergeConfig, topOf } from "./config.ts";
import { Connections } from "./connections.ts";
import { outOfMemory, startFailure } from "./failure.ts";
import type { Health } from "./health.ts";
import { checkPlatform, warningsOf } from "./image.ts";
import { type ImageMount, type ImageMountRequest, imageKey, imagesOf, ownerOf, snapshotsOf } from "./image-mounts.ts";
import type { Launcher } from "./launch.ts";
import { settledLinks } from "./legacy-links.ts";
import { Life } from "./life.ts";
import type { ContainerLogs } from "./logs.ts";
import { MemoryWatch } from "./memory-watch.ts";
import { randomName } from "./names.ts";
import { modesOf } from "./namespaces.ts";
import { Pauses, phaseRefusals } from "./pause.ts";
import { type Container, checkName, NOWHERE, type Records } from "./records.ts";
import { Removal } from "./removal.ts";
import { startsAgain } from "./restart.ts";
import { restoreContainers, started } from "./restore.ts";
import { type ContainerRoot, Roots } from "./roots.ts";
import { type Ended, isLive, isUp, NEVER, type State, transition } from "./state.ts";
import { type Sample, sample } from "./stats.ts";
import type { CouplingEnd } from "./stdio.ts";
import { type StopOptions, Stops } from "./stop.ts";
import { listProcesses, type Processes } from "./top.ts";
import { traceStart } from "./trace.ts";
import { type Update, Updates } from "./update.ts";
import type { ContainerVolumes } from "./volumes.ts";
import type { WaitResult } from "./waits.ts";

export interface ContainerImage {
  readonly id: Digest;
  readonly config: ImageConfig;
}

export interface ContainersOptions {
  readonly records: Records;
  readonly launcher: Launcher;
  readonly snapshotter: Snapshots;
  readonly volumes: ContainerVolumes;
  readonly logs: ContainerLogs;
  readonly events: Events;
  readonly log: Logger;
  /** @throws notFound in Docker's words, on which clients pull */
  readonly findImage: (reference: string, platform: Platform | undefined) => Promise<ContainerImage>;
  /** Told when a container no longer uses an image, which may have been removed by force before. */
  readonly released: (imageId: Digest) => Promise<void>;
  /** How long layers stay mounted that no container needs. */
  readonly layerLingerMs: number;
  /** Whether the log says where the time of each start goes. */
  readonly traces?: boolean;
  /** The shortest wait before a start by policy, ms. Docker's, unless it is given. */
  readonly firstRestartMs?: number;
}

export type WaitCondition = "not-running" | "next-exit" | "removed";

export class Containers implements Disposable {
  readonly #options: ContainersOptions;
  readonly #life: Life;
  readonly #pauses: Pauses;
  readonly #stops: Stops;
  readonly #removal: Removal;
  readonly #updates: Updates;
  readonly #memory: MemoryWatch;
  readonly #connections: Connections;
  /** Being created: files of theirs are there, and no record yet. */
  readonly #creating = new Set<string>();
  /** Being restarted: their end does not remove them, though they were created with --rm. */
  readonly #restarting = new Set<string>();

  constructor(options: ContainersOptions) {
    this.#options = options;
    this.#life = new Life(options, (id) => this.#startAgain(id));
    this.#pauses = new Pauses(this.#life);
    this.#stops = new Stops(this.#life, this.#pauses);
    this.#updates = new Updates(this.#life);
    this.#memory = new MemoryWatch(this.#life);
    this.#connections = new Connections(this.#life);
    this.#removal = new Removal(this.#life, this.#stops);
  }

  get records(): Records {
    return this.#life.records;
  }

  get(reference: string): Container {
    return this.#life.get(reference);
  }

  /** Whether files of this name are somebody's: a container's, or one's that is being created. */
  owns(id: string): boolean {
    const container = this.records.find(ownerOf(id));
    return this.#creating.has(ownerOf(id)) || (container !== undefined && snapshotsOf(container).includes(id));
  }

  /** Whether a container runs, or is about to. */
  isLive(id: string): boolean {
    return this.#life.locks.isHeld(id) || this.#life.tasks.has(id);
  }

  /** The task of a running container. @throws conflict */
  task(container: Container): Task {
    return this.#life.task(container);
  }

  /** Yields while the container writes its log, ends when it has ended. */
  async *logChanges({ id }: Container, signal: AbortSignal): AsyncGenerator<void> {
    const task = this.#life.tasks.get(id);
    if (task) yield* task.logChanges(signal);
  }

  /** For images: who uses one. */
  usersOf(imageId: Digest): readonly { readonly id: string; readonly running: boolean }[] {
    return this.records
      .all()
      .filter((container) => imagesOf(container).includes(imageId))
      .map(({ id, state }) => ({ id, running: isUp(state) }));
  }

  /** A container's root, to be looked into. @throws notFound, conflict */
  openRoot(reference: string): Promise<ContainerRoot> {
    return new Roots(this.#life).open(reference);
  }

  emit(container: Container, action: string, attributes: Readonly<Record<string, string>> = {}): void {
    this.#life.emit(container, action, attributes);
  }

  /** Nothing is mounted, no process exists afterwards. @throws notFound, conflict, invalid */
  async create(
    name: string | undefined,
    request: ContainerRequest,
    wanted: HostConfig,
    networks: readonly Attachment[],
    platform?: Platform,
  ): Promise<{ readonly id: string; readonly warnings: readonly string[] }> {
    const { records, snapshotter, launcher, volumes } = this.#options;
    const image = await this.#options.findImage(request.image, platform);
    checkPlatform(request.image, image.config, platform);
    const id = newId();
    const { locks } = this.#life;
    const isTaken = (one: string) => records.isTaken(one) || locks.isHeld(`name:${one}`); // by who is about to take it
    const chosen = name === undefined ? randomName(isTaken) : checkName(name);
    await using _ = await locks.acquire(`name:${chosen}`);
    records.checkFree(chosen);
    const config = mergeConfig(image.config.config, request, launcher.defaultHostname(id, wanted));
    const host = {
      ...wanted,
      resources: launcher.possibleLimits(wanted.resources),
      ...modesOf(wanted, records),
      links: settledLinks(wanted.links, records),
    };
    const images = await Promise.all(wanted.images.map((one) => this.#mountedImage(one)));
    const asked: Container = {
      id,
      name: chosen,
      created: new Date().toISOString(),
      imageId: image.id,
      config,
      host,
      state: { phase: "created" },
      restartCount: 0,
      networks,
      endpoints: [],
      ...(images.length > 0 && { imageMounts: images.map(({ mount }) => mount) }),
    };
    await launcher.check(asked);
    this.#creating.add(id);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => void this.#creating.delete(id));
    undo.defer(() => volumes.release(id, true));
    const mounts = await volumes.create(id, config, host);
    const container = { ...asked, host: { ...host, binds: mounts.binds }, volumes: mounts.volumes };
    undo.defer(() => records.remove(id));
    await records.writeFiles(id, { "config.v2.json": container.config, "hostconfig.json": container.host });
    undo.defer(async () => void (await Promise.all(snapshotsOf(asked).map((key) => snapshotter.removeSnapshot(key)))));
    await snapshotter.prepare(id, image.config.rootfs.diff_ids, topOf(host));
    for (const [index, { layers }] of images.entries())
      await snapshotter.prepare(imageKey(id, index), layers, { readonly: true });
    await volumes.fill(container);
    records.save(container);
    undo.move();
    volumes.settle(id);
    this.#creating.delete(id);
    this.emit(container, "create");
    return { id, warnings: [...warningsOf(image.config, platform), ...launcher.resourceWarnings(wanted.resources)] };
  }

  /** Of its own image alone a client may hear that it is not found: it pulls that then. @throws invalid */
  async #mountedImage(request: ImageMountRequest): Promise<{ mount: ImageMount; layers: readonly Digest[] }> {
    const { id, config } = await this.#options.findImage(request.image, undefined).catch((error: unknown) => {
      throw kindOf(error) === "notFound" ? invalid(messageOf(error), { cause: error }) : error;
    });
    return { mount: { ...request, imageId: id }, layers: config.rootfs.diff_ids };
  }

  /** @throws notModified when it runs already; invalid, internal when its process cannot be made: nothing is left behind then */
  async start(reference: string): Promise<void> {
    const { id } = this.get(reference);
    await using _ = await this.#life.locks.acquire(id);
    const container = this.get(id);
    const { phase } = container.state;
    if (phase === "paused") throw conflict("cannot start a paused container, try unpause instead");
    if (isUp(container.state)) throw notModified("container is already running");
    if (phase === "removing" || phase === "dead")
      throw conflict("container is marked for removal and cannot be started");
    this.#life.restarts.forget(id);
    const { stopped: _stopped, ...fresh } = container;
    const error = await this.#tryLaunch({ ...fresh, restartCount: 0 });
    if (error) throw error;
  }

  /** By its policy: after its end, or with the daemon. One that somebody has started, stopped or removed meanwhile is theirs. */
  async #startAgain(id: string): Promise<void> {
    await using _ = await this.#life.locks.acquire(id);
    const container = this.records.find(id);
    if (container === undefined || container.stopped) return;
    const { phase } = container.state;
    if (phase === "restarting" || phase === "exited") await this.#tryLaunch(container); // a failure stands in its state, and in the log
  }

  /** @returns what it failed with */
  async #tryLaunch(container: Container): Promise<Error | undefined> {
    try {
      await this.#launch(container);
      return undefined;
    } catch (error) {
      return this.#startFailed(container, error);
    }
  }

  async #launch(container: Container): Promise<void> {
    const { launcher, records, log } = this.#options;
    await using undo = new AsyncDisposableStack();
    undo.defer(() => this.#life.cleanup(container.id));
    const trace = traceStart(this.#options.traces ? log : undefined);
    const { task, ...places } = await launcher.create(container, trace);
    undo.defer(async () => {
      await task.kill(9).catch(() => {});
      await task.exited;
      await task.delete();
    });
    await this.#life.attachments.begin(container.id, task);
    trace.step("output");
    const starting = records.save({ ...container, ...places, starting: new Date().toISOString(), boot: bootId() });
    trace.step("record");
    await task.go();
    trace.step("program");
    const running = records.save(started(starting, task.pid));
    undo.move();
    this.#watch(running, task);
    await this.#connections.relink(running.id);
    this.#life.networkEvent(running, "connect");
    this.emit(running, "start");
    trace.step("told");
    trace.end(container.id);
    log.debug("container started", { id: container.id, pid: task.pid });
  }

  async #startFailed(container: Container, thrown: unknown): Promise<Error> {
    const { error, exitCode } = startFailure(thrown);
    this.#options.log.warn("container did not start", { id: container.id, error });
    const now = new Date().toISOString();
    const last: Ended = { code: exitCode, startedAt: NEVER, finishedAt: now, oomKilled: false, error: error.message };
    const phase = container.state.phase === "created" ? "created" : "exited";
    this.#life.settle({ ...container, state: { phase, last }, ...NOWHERE });
    this.#life.attachments.dismiss(container.id);
    this.#life.exits.settle(container.id, { code: exitCode, error: "" }); // the caller of start has the message
    if (container.host.autoRemove) await this.#removal.removeAutomatically(container.id);
    this.#life.releaseLayers();
    return error;
  }

  /** From here on the process's end is this container's. */
  #watch(container: Container, task: Task): void {
    this.#life.tasks.set(container.id, task);
    this.#options.logs.watch(container, task);
    this.#life.onPhase(container.id);
    this.#memory.begin(container);
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
      await using _ = await this.#life.locks.acquire(id);
      const container = this.records.find(id);
      if (!container || this.#life.tasks.get(id) !== task) return;
      this.#life.tasks.delete(id);
      this.#memory.end(id);
      const wasTold = isLive(container.state) && container.state.oomKilled === true;
      const oomKilled = wasTold || (await launcher.oomKilled(id));
      const startedAt = isLive(container.state) ? container.state.startedAt : NEVER;
      const error = oomKilled ? outOfMemory(exit, container.host.resources) : "";
      const last: Ended = { code: exit.code, startedAt, finishedAt: exit.at.toISOString(), oomKilled, error };
      if (oomKilled && !wasTold) this.emit(container, "oom");
      const isAgain = startsAgain(container, exit.code);
      const state = transition(container.state, { phase: isAgain ? "restarting" : "exited", last });
      const restartCount = container.restartCount + Number(isAgain);
      // as Docker shows it: nobody looks after its health any more
      const health = container.health && { ...container.health, status: "unhealthy" as const };
      const ended = { ...container, state, restartCount, ...NOWHERE, ...(health && { health }) };
      const isWritten = this.#life.settle(ended);
      await this.#life.cleanup(id);
      if (isWritten) await task.delete();
      const ranMs = Math.max(0, exit.at.getTime() - Date.parse(startedAt));
      this.emit(ended, "die", { exitCode: String(exit.code), execDuration: String(Math.round(ranMs / 1000)) });
      this.#life.networkEvent(container, "disconnect");
      this.#life.onPhase(id);
      this.#life.exits.settle(id, { code: exit.code, error: "" });
      if (isAgain) this.#life.restarts.schedule(id, ranMs);
      else if (container.host.autoRemove && !this.#restarting.has(id)) await this.#removal.removeAutomatically(id);
    }
    this.#life.releaseLayers();
  }

  /** @returns a promise that settles when the condition holds; it is registered before this returns */
  wait(reference: string, condition: WaitCondition): Promise<WaitResult> {
    const { id, state } = this.get(reference);
    if (condition === "removed") return this.#life.removals.next(id);
    if (condition === "not-running" && !isUp(state)) return Promise.resolve(resultOf(state));
    return this.#life.exits.next(id);
  }

  /** @throws notModified when it does not run */
  stop(reference: string, options: StopOptions = {}): Promise<void> {
    return this.#stops.stop(reference, options);
  }

  /** @param signal  name or number. @throws conflict, invalid */
  kill(reference: string, signal: string): Promise<void> {
    return this.#stops.kill(reference, signal);
  }

  /** Its processes stand still until `unpause`. @throws conflict unless it runs */
  pause(reference: string): Promise<void> {
    return this.#pauses.pause(reference);
  }

  /** @throws internal unless it is paused */
  unpause(reference: string): Promise<void> {
    return this.#pauses.unpause(reference);
  }

  /** @throws conflict while it runs, unless `force` */
  remove(reference: string, force: boolean, withVolumes = false): Promise<void> {
    return this.#removal.remove(reference, force, withVolumes);
  }

  /** @param name  `parent/alias`. @throws conflict, notFound, internal in Docker's words */
  removeLink(name: string): Promise<void> {
    return this.#connections.removeLink(name);
  }

  /** Now when it runs, and whenever it starts. @throws notFound, forbidden, invalid in Docker's words */
  connect(reference: string, attachment: Attachment): Promise<void> {
    return this.#connections.connect(reference, attachment);
  }

  /** @param network  reference. @throws notFound, forbidden */
  disconnect(reference: string, network: string, force: boolean): Promise<void> {
    return this.#connections.disconnect(reference, network, force);
  }

  /** @returns warnings. @throws conflict, invalid; all is then as before */
  update(reference: string, update: Update): Promise<readonly string[]> {
    return this.#updates.update(reference, update);
  }

  /** @param listener  told of each container that has begun or ended, stands still or goes on */
  observe(listener: (id: string) => void): void {
    this.#life.onPhase = listener;
  }

  /**
   * What a health check has found of one run of a container.
   * @param startedAt  names the run
   * @returns the container as it is now; undefined when that run is over
   */
  async report(id: string, startedAt: string, change: (health: Health) => Health): Promise<Container | undefined> {
    await using _ = await this.#life.locks.acquire(id);
    const container = this.records.find(id);
    if (!container?.health || !isLive(container.state) || container.state.startedAt !== startedAt) return undefined;
    const after = { ...container, health: change(container.health) };
    this.#life.settle(after);
    if (after.health.status !== container.health.status) this.emit(after, `health_status: ${after.health.status}`);
    return after;
  }

  /** Ends it, so that its policy starts it again. */
  endUnhealthy(container: Container): Promise<void> {
    return this.#stops.end(container, {}, false);
  }

  async restart(reference: string, options: StopOptions): Promise<void> {
    const container = this.get(reference);
    this.#restarting.add(container.id);
    try {
      if (isUp(container.state)) await this.#stops.end(container, options);
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
    await using _name = await this.#life.locks.acquire(`name:${bare}`);
    await using _ = await this.#life.locks.acquire(id);
    const container = this.get(id);
    if (container.name === bare) throw invalid("Renaming a container with the same name as its current name");
    this.records.checkFree(bare, "Error when allocating new name: ");
    const renamed = this.records.save({ ...container, name: bare });
    this.#options.launcher.networking.naming.update(renamed);
    this.emit(renamed, "rename", { oldName: `/${container.name}` });
  }

  /** What it takes just now; undefined when it does not run. */
  async sample(id: string): Promise<Sample | undefined> {
    const container = this.records.find(id);
    if (!container || !isLive(container.state)) return undefined;
    const { pid } = container.state;
    const hasOwnNetwork = container.host.namespaces.network === "own";
    return sample(() => this.#options.launcher.stats(id), pid, hasOwnNetwork).catch((error) => {
      if (kindOf(error) === "notFound") return undefined; // it has just ended
      throw error;
    });
  }

  /** @param psArgs  of ps; empty for `-ef`. @throws conflict unless it runs, invalid */
  async top(reference: string, psArgs: string): Promise<Processes> {
    const { id, state } = this.get(reference);
    if (state.phase === "restarting") throw phaseRefusals.restarting(id);
    if (!isLive(state)) throw phaseRefusals.notRunning(id);
    const processes = await listProcesses(psArgs, await this.#options.launcher.processes(id));
    this.emit(this.get(id), "top");
    return processes;
  }

  async resize(reference: string, rows: number, columns: number): Promise<void> {
    const container = this.get(reference);
    await this.task(container).resize(rows, columns);
    this.emit(container, "resize", { height: String(rows), width: String(columns) });
  }

  /** Couples a client with the container's stdio: now, or when it starts. @returns when that is over */
  async attach(container: Container, client: Duplex, request: AttachRequest): Promise<CouplingEnd> {
    this.emit(container, "attach");
    const task = this.#life.tasks.get(container.id);
    const end = task
      ? await this.#life.attachments.couple(client, task, request)
      : await this.#life.attachments.wait(container.id, client, request);
    if (end === "detached") this.emit(container, "detach");
    return end;
  }

  /** Containers run on; those that wait for their next start are the next daemon's. */
  [Symbol.dispose](): void {
    this.#life.restarts[Symbol.dispose]();
    this.#memory[Symbol.dispose]();
  }

  /** At start, before the API answers: finds what ran on without a daemon, and what ended meanwhile. */
  restore(): Promise<void> {
    return restoreContainers(this.#life, this.#removal, (container, task) => this.#watch(container, task));
  }
}

/** Only what kept it from running is an error to those who wait. */
const resultOf = ({ last }: State): WaitResult => ({
  code: last?.code ?? 0,
  error: last && last.startedAt === NEVER ? last.error : "",
});
