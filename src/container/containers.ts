/**
 * The life of a container, from create to remove: with its parts (creation.ts, runs.ts, pause.ts, stop.ts, update.ts, connections.ts, removal.ts,
 * restore.ts) the only writer of State. What they share is in life.ts; what holds kernel resources is in launch.ts.
 */

import type { Duplex } from "node:stream";
import type { Digest } from "../base/digest.ts";
import { invalid, kindOf } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { ImageConfig, Platform } from "../base/oci.ts";
import type { Events } from "../events.ts";
import type { Attachment } from "../network/attachment.ts";
import type { Task } from "../runtime/runtime.ts";
import type { Snapshots, Tree } from "../store/snapshot.ts";
import type { AttachRequest } from "./attachments.ts";
import type { ContainerCgroups } from "./cgroups.ts";
import { Connections } from "./connections.ts";
import { Creation } from "./creation.ts";
import type { Health } from "./health.ts";
import { imagesOf, ownerOf, snapshotsOf } from "./image-mounts.ts";
import type { Launcher } from "./launch.ts";
import { Life } from "./life.ts";
import type { ContainerLogs } from "./logs.ts";
import { Pauses, phaseRefusals } from "./pause.ts";
import { type Container, checkName, type Records } from "./records.ts";
import { Removal } from "./removal.ts";
import { restoreContainers } from "./restore.ts";
import { type ContainerRoot, Roots } from "./roots.ts";
import { Runs } from "./runs.ts";
import { isLive, isUp, NEVER, type State } from "./state.ts";
import { type Sample, sample } from "./stats.ts";
import type { CouplingEnd } from "./stdio.ts";
import { type StopOptions, Stops } from "./stop.ts";
import { listProcesses, type Processes } from "./top.ts";
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
  readonly cgroups: ContainerCgroups;
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
  readonly #connections: Connections;
  readonly #creation: Creation;
  readonly #runs: Runs;

  constructor(options: ContainersOptions) {
    this.#options = options;
    this.#life = new Life(options, (id) => this.#runs.startAgain(id));
    this.#pauses = new Pauses(this.#life);
    this.#stops = new Stops(this.#life, this.#pauses);
    this.#updates = new Updates(this.#life);
    this.#connections = new Connections(this.#life);
    this.#removal = new Removal(this.#life, this.#stops);
    this.#creation = new Creation(this.#life);
    const [connections, stops, removal] = [this.#connections, this.#stops, this.#removal];
    this.#runs = new Runs(this.#life, { connections, stops, removal });
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
    return this.#creation.has(ownerOf(id)) || (container !== undefined && snapshotsOf(container).includes(id));
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

  /** A container's root without what is mounted in it, to be read. @throws notFound */
  readRoot(id: string): Promise<Tree> {
    return this.#life.options.launcher.readRoot(id);
  }

  emit(container: Container, action: string, attributes: Readonly<Record<string, string>> = {}): void {
    this.#life.emit(container, action, attributes);
  }

  /** @returns its id, and warnings. @throws notFound, conflict, invalid */
  create(...asked: Parameters<Creation["create"]>): ReturnType<Creation["create"]> {
    return this.#creation.create(...asked);
  }

  /** @throws notModified when it runs already; invalid, internal when its process cannot be made: nothing is left behind then */
  start(reference: string): Promise<void> {
    return this.#runs.start(reference);
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

  restart(reference: string, options: StopOptions): Promise<void> {
    return this.#runs.restart(reference, options);
  }

  async rename(reference: string, name: string): Promise<void> {
    const { id } = this.get(reference);
    if (name === "") throw invalid("Neither old nor new names may be empty");
    const why = "Error when allocating new name: ";
    const bare = checkName(name, why);
    await using _name = await this.#life.locks.acquire(`name:${bare}`);
    await using _ = await this.#life.locks.acquire(id);
    const container = this.get(id);
    if (container.name === bare) throw invalid("Renaming a container with the same name as its current name");
    this.records.checkFree(bare, why);
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
    return sample(() => this.#options.cgroups.stats(id), pid, hasOwnNetwork).catch((error) => {
      if (kindOf(error) === "notFound") return undefined; // it has just ended
      throw error;
    });
  }

  /** @param psArgs  of ps; empty for `-ef`. @throws conflict unless it runs, invalid */
  async top(reference: string, psArgs: string): Promise<Processes> {
    const { id, state } = this.get(reference);
    if (state.phase === "restarting") throw phaseRefusals.restarting(id);
    if (!isLive(state)) throw phaseRefusals.notRunning(id);
    const processes = await listProcesses(psArgs, await this.#options.cgroups.processes(id));
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
    this.#runs[Symbol.dispose]();
  }

  /** At start, before the API answers: finds what ran on without a daemon, and what ended meanwhile. */
  restore(): Promise<void> {
    return restoreContainers(this.#life, this.#removal, (container, task) => this.#runs.watch(container, task));
  }
}

/** Only what kept it from running is an error to those who wait. */
const resultOf = ({ last }: State): WaitResult => ({
  code: last?.code ?? 0,
  error: last && last.startedAt === NEVER ? last.error : "",
});
