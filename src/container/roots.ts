/**
 * Looking into a container: its root with all that is mounted in it, running or not. A running one is seen through its process; of one that does
 * not run the root and volumes are mounted for the time being in a mount namespace of their own, by a process that goes no further, and that
 * ends with this one however that ends.
 */

import { closeSync } from "node:fs";
import { conflict, hasCode } from "../base/errors.ts";
import { openInRoot } from "../base/paths.ts";
import type { Life } from "./life.ts";
import type { Container } from "./records.ts";
import { isLive } from "./state.ts";

/** Dispose of it when nothing of it is open any more. */
export interface ContainerRoot extends AsyncDisposable {
  /** A directory whose content is hostile: what is in it is opened by openInRoot. Valid in this process only. */
  readonly path: string;
  readonly container: Container;
}

/** The root directory of a process, as long as the descriptor is open. */
const openRootOf = (pid: number): number => openInRoot(`/proc/${pid}/root`, "/");

export class Roots {
  readonly #life: Life;

  constructor(life: Life) {
    this.#life = life;
  }

  /** One that does not run cannot be started, nor removed, until this is disposed of. @throws notFound, conflict */
  async open(reference: string): Promise<ContainerRoot> {
    const { id } = this.#life.get(reference);
    return this.#openRunning(id) ?? (await this.#openEnded(id));
  }

  /** @returns undefined when it does not run, or not any more */
  #openRunning(id: string): ContainerRoot | undefined {
    const container = this.#life.get(id);
    const pid = isLive(container.state) ? container.state.pid : 0;
    if (pid === 0) return undefined;
    let fd: number;
    try {
      fd = openRootOf(pid);
    } catch (error) {
      if (hasCode(error, "ENOENT", "ESRCH")) return undefined;
      throw error;
    }
    return { path: `/proc/self/fd/${fd}`, container, [Symbol.asyncDispose]: async () => closeSync(fd) };
  }

  async #openEnded(id: string): Promise<ContainerRoot> {
    await using undo = new AsyncDisposableStack();
    undo.use(await this.#life.locks.acquire(id));
    const container = this.#life.get(id);
    const { phase } = container.state;
    if (phase === "removing" || phase === "dead") throw conflict(`container ${id} is ${phase}`);
    const running = this.#openRunning(id); // it was started while we waited
    if (running) return running;
    undo.defer(() => this.#life.releaseLayers());
    const held = undo.use(await this.#life.options.launcher.hold(container));
    const fd = openRootOf(held.pid);
    undo.defer(() => closeSync(fd));
    const owned = undo.move();
    return { path: `/proc/self/fd/${fd}`, container, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  }
}
