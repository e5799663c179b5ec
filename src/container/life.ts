/**
 * What all parts of a container's life share: the locks, the tasks that run, those who wait for what becomes of them, and the ways in which a
 * State is written. Containers puts the parts together; nobody else writes.
 */

import { conflict, messageOf } from "../base/errors.ts";
import { Locks } from "../base/lock.ts";
import type { Task } from "../runtime/runtime.ts";
import { Attachments } from "./attachments.ts";
import type { ContainersOptions } from "./containers.ts";
import type { Container, Records } from "./records.ts";
import { Restarts } from "./restart.ts";
import { type State, transition } from "./state.ts";
import { Waits } from "./waits.ts";

export class Life {
  /** Held while a container's state changes, never while somebody waits for its process to end. */
  readonly locks = new Locks();
  readonly tasks = new Map<string, Task>();
  /** Settled when the process has ended and the state says so. */
  readonly exits = new Waits();
  readonly removals = new Waits();
  readonly attachments: Attachments;
  readonly restarts: Restarts;
  #release: Timer | undefined;

  /** Told when a container has begun or ended, stands still or goes on. */
  onPhase: (id: string) => void = () => {};

  /** @param startAgain  a container whose policy says so; never throws */
  constructor(
    readonly options: ContainersOptions,
    startAgain: (id: string) => Promise<void>,
  ) {
    this.restarts = new Restarts(startAgain, options.firstRestartMs);
    this.attachments = new Attachments(options.log);
  }

  get records(): Records {
    return this.options.records;
  }

  /** @throws notFound, invalid */
  get(reference: string): Container {
    return this.records.get(reference);
  }

  /** The task of a running container. @throws conflict */
  task(container: Container): Task {
    const task = this.tasks.get(container.id);
    if (!task) throw conflict(`container ${container.id} is not running`);
    return task;
  }

  /** Tells an event of a container; an exec's events are its container's. */
  emit(container: Container, action: string, attributes: Readonly<Record<string, string>> = {}): void {
    const { config, id, name } = container;
    const all = { ...config.labels, ...attributes, image: config.image, name };
    this.options.events.emit("container", action, id, all);
  }

  /** Of all of its networks, or of the one that is named by id. */
  networkEvent({ id, endpoints }: Container, action: "connect" | "disconnect", only?: string): void {
    for (const { networkId } of endpoints) {
      if (only !== undefined && only !== networkId) continue;
      const { name, type } = this.options.launcher.network(networkId);
      this.options.events.emit("network", action, networkId, { container: id, name, type });
    }
  }

  /** Writes a state that the table allows; the lock is held. @throws conflict, unavailable when it cannot be written */
  change(container: Container, state: State): Container {
    return this.records.save({ ...container, state: transition(container.state, state) });
  }

  /** Remembers what has happened. @returns whether it is written, too */
  settle(container: Container): boolean {
    const error = this.records.settle(container);
    if (error) this.options.log.error("cannot write a container's state", { id: container.id, error });
    return error === undefined;
  }

  /** Gives back what a container held while it ran. */
  async cleanup(id: string): Promise<void> {
    const { launcher, log } = this.options;
    await launcher.cleanup(id).catch((error) => log.error("clean-up failed", { id, error }));
  }

  /** Some time after the last container has ended: the next one finds its layers mounted, and their pages in the cache. Nobody waits for it. */
  releaseLayers(): void {
    const { launcher, log, layerLingerMs } = this.options;
    clearTimeout(this.#release);
    this.#release = setTimeout(() => {
      // A layer that stays mounted costs a little, and the next one that ends tries again.
      launcher.releaseLayers().catch((error) => log.warn("layers stay mounted", { error: messageOf(error) }));
    }, layerLingerMs);
    this.#release.unref();
  }
}
