/**
 * Containers that have no memory left and live on: the kernel has killed a process of theirs, or would have. It is told at once, as an event, and
 * stands in the container's state; that of the end is told by the end itself.
 */

import { messageOf } from "../base/errors.ts";
import type { Life } from "./life.ts";
import type { Container } from "./records.ts";
import { isLive } from "./state.ts";

export class MemoryWatch implements Disposable {
  readonly #watched = new Map<string, Disposable>();

  constructor(readonly life: Life) {}

  /** From a container's beginning, or from when it was found again. Without a watch its end still tells. */
  begin({ id, state }: Container): void {
    const { cgroups, log } = this.life.options;
    const tell = () =>
      void this.#exhausted(id).catch((error) =>
        log.error("cannot tell that a container is out of memory", { id, error }),
      );
    try {
      this.#watched.set(id, cgroups.watchMemory(id, tell));
    } catch (error) {
      log.debug("cannot watch a container's memory", { id, error: messageOf(error) }); // it has just ended
    }
    if (isLive(state) && !state.oomKilled)
      void cgroups.oomKilled(id).then(
        (isKilled) => isKilled && tell(),
        () => {},
      ); // before anybody watched
  }

  /** Idempotent. */
  end(id: string): void {
    this.#watched.get(id)?.[Symbol.dispose]();
    this.#watched.delete(id);
  }

  async #exhausted(id: string): Promise<void> {
    await using _ = await this.life.locks.acquire(id);
    const container = this.life.records.find(id);
    if (!container || !isLive(container.state) || !this.life.tasks.has(id)) return;
    if (!container.state.oomKilled) this.life.settle({ ...container, state: { ...container.state, oomKilled: true } });
    this.life.emit(container, "oom");
  }

  [Symbol.dispose](): void {
    for (const id of [...this.#watched.keys()]) this.end(id);
  }
}
