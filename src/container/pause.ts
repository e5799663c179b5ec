/** Pause and unpause: the processes of a container stand still in its cgroup's freezer. Source of the words: Moby, daemon/errors.go. */

import { conflict, internal } from "../base/errors.ts";
import type { Life } from "./life.ts";
import type { Container } from "./records.ts";

/** The words in which Docker refuses what a container's phase does not allow. */
export const phaseRefusals = {
  notRunning: (id: string) => conflict(`container ${id} is not running`),
  restarting: (id: string) => conflict(`Container ${id} is restarting, wait until the container is running`),
  paused: (id: string, action: string) => conflict(`Container ${id} is paused, unpause the container before ${action}`),
} as const;

export class Pauses {
  readonly #life: Life;

  constructor(life: Life) {
    this.#life = life;
  }

  /**
   * The freezer comes first: a daemon that dies in between finds a running container whose processes stand still, and lets them go.
   * @throws conflict unless it runs; internal when its processes do not stop
   */
  async pause(reference: string): Promise<void> {
    const { id } = this.#life.get(reference);
    await using _ = await this.#life.locks.acquire(id);
    const container = this.#life.get(id);
    const { state } = container;
    if (state.phase === "paused") throw conflict(`Container ${id} is already paused`);
    if (state.phase === "restarting") throw phaseRefusals.restarting(id);
    if (state.phase !== "running") throw phaseRefusals.notRunning(id);
    await using undo = new AsyncDisposableStack();
    const { cgroups } = this.#life.options;
    undo.defer(() => cgroups.thaw(id).catch(() => {})); // it has ended
    await cgroups.freeze(id);
    const paused = this.#life.change(container, { ...state, phase: "paused" });
    undo.move();
    this.#life.emit(paused, "pause");
    this.#life.onPhase(id);
  }

  /** @throws internal, as Docker has it, unless it is paused */
  async unpause(reference: string): Promise<void> {
    const { id } = this.#life.get(reference);
    await using _ = await this.#life.locks.acquire(id);
    const container = this.#life.get(id);
    if (container.state.phase !== "paused") throw internal(`Container ${id} is not paused`);
    await this.#resume(container);
  }

  /** Lets a paused one go, so that it hears the signal that it was sent. Does nothing to others. */
  async resume(id: string): Promise<void> {
    await using _ = await this.#life.locks.acquire(id);
    const container = this.#life.records.find(id);
    if (container?.state.phase === "paused") await this.#resume(container);
  }

  async #resume(container: Container): Promise<void> {
    const { state } = container;
    if (state.phase !== "paused") return;
    await this.#life.options.cgroups.thaw(container.id);
    this.#life.emit(this.#life.change(container, { ...state, phase: "running" }), "unpause");
    this.#life.onPhase(container.id);
  }
}
