/** Removing a container, and what it has on disk. */

import { conflict, kindOf } from "../base/errors.ts";
import { imagesOf, snapshotsOf } from "./image-mounts.ts";
import type { Life } from "./life.ts";
import type { Container } from "./records.ts";
import { isUp, type State, transition } from "./state.ts";
import type { Stops } from "./stop.ts";

/** How often a forced removal kills a container that others keep starting. */
const ATTEMPTS = 3;

const lastOf = (state: State) => ("last" in state && state.last ? { last: state.last } : {});

export class Removal {
  readonly #life: Life;
  readonly #stops: Stops;

  constructor(life: Life, stops: Stops) {
    this.#life = life;
    this.#stops = stops;
  }

  /** @param withVolumes  anonymous ones that nobody else uses go, too. @throws conflict while it runs, unless `force` */
  async remove(reference: string, force: boolean, withVolumes: boolean): Promise<void> {
    const { id } = this.#life.get(reference);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      await this.#end(reference, id, force);
      await using _ = await this.#life.locks.acquire(id);
      const state = this.#life.records.find(id)?.state;
      if (state === undefined) return; // --rm was faster
      if (isUp(state)) continue; // somebody has started it again
      return await this.removeEnded(id, withVolumes);
    }
    throw conflict(`cannot remove container ${JSON.stringify(reference)}: could not kill: it still runs`);
  }

  async #end(reference: string, id: string, force: boolean): Promise<void> {
    const container = this.#life.records.find(id);
    if (container?.state.phase === "removing")
      throw conflict(`removal of container ${reference} is already in progress`);
    if (container === undefined || !isUp(container.state)) return;
    const { phase } = container.state;
    const remedy =
      phase === "paused"
        ? "paused and must be unpaused first"
        : `${phase}: stop the container before removing or force remove`;
    if (!force) throw conflict(`cannot remove container ${JSON.stringify(reference)}: container is ${remedy}`);
    await this.#stops.kill(id, "SIGKILL").catch((error: unknown) => {
      if (kindOf(error) !== "conflict" && kindOf(error) !== "notFound") throw error; // it has just ended by itself
    });
  }

  /** The lock is held, and it does not run. */
  async removeEnded(id: string, withVolumes = false): Promise<void> {
    const life = this.#life;
    const container = life.get(id);
    const { last } = container.state;
    const removing = transition(container.state, { phase: "removing", ...lastOf(container.state) });
    const takes = withVolumes || container.host.autoRemove;
    const marked: Container = { ...container, state: removing, ...(takes && { takesVolumes: true }) };
    life.settle(marked); // on a full disk, too: this is how it gets emptier
    life.attachments.dismiss(id);
    life.restarts.forget(id);
    await this.erase(marked);
    const result = { code: last?.code ?? 0, error: "" };
    life.exits.settle(id, result);
    life.removals.settle(id, result);
    life.emit(container, "destroy");
  }

  /** As `--rm` has it: who ended the container is not told of a failure. */
  async removeAutomatically(id: string): Promise<void> {
    const { log } = this.#life.options;
    await this.removeEnded(id).catch((error) => log.error("automatic removal failed", { id, error }));
  }

  /** Of one that is marked as being removed: what it has on disk. @throws what kept it; it is dead then, and may be removed again */
  async erase(container: Container): Promise<void> {
    const { launcher, snapshotter, records, volumes, logs, released, log } = this.#life.options;
    const { id, state, takesVolumes = false } = container;
    try {
      await launcher.forget(id);
      await logs.release(id);
      for (const key of snapshotsOf(container)) await snapshotter.removeSnapshot(key);
      await volumes.release(id, takesVolumes);
      await records.remove(id);
    } catch (error) {
      this.#life.settle({ ...container, state: { phase: "dead", ...lastOf(state) } });
      throw error;
    }
    for (const imageId of imagesOf(container))
      await released(imageId).catch((error) => log.warn("image files stay", { error }));
  }
}
