/** Probes the containers that have a health check, as long as each of them runs. */

import type { Logger } from "../base/logger.ts";
import type { Containers } from "./containers.ts";
import type { Execs } from "./exec.ts";
import { type Check, checkOf, pauseBefore, withResult } from "./health.ts";
import { probe } from "./probe.ts";
import type { Container } from "./records.ts";
import { restartsUnhealthy } from "./restart.ts";

/** One run of a container, between two pauses. */
interface Watch {
  readonly startedAt: string;
  timer?: Timer;
}

export class HealthMonitor implements Disposable {
  readonly #watches = new Map<string, Watch>();

  constructor(
    readonly containers: Containers,
    readonly execs: Execs,
    readonly log: Logger,
    /** Told of every check. */
    readonly onChecked: (isFailed: boolean) => void = () => {},
  ) {
    containers.observe((id) => this.#look(id));
  }

  [Symbol.dispose](): void {
    for (const id of this.#watches.keys()) this.#end(id);
  }

  #end(id: string): void {
    clearTimeout(this.#watches.get(id)?.timer);
    this.#watches.delete(id);
  }

  /** Begins, goes on or ends, as the container's phase has it. */
  #look(id: string): void {
    const container = this.containers.records.find(id);
    const check = container && checkOf(container.config.healthcheck, container.config.shell);
    const startedAt = container?.state.phase === "running" ? container.state.startedAt : undefined;
    if (startedAt !== undefined && this.#watches.get(id)?.startedAt === startedAt) return;
    this.#end(id);
    if (!container || !check || startedAt === undefined) return;
    const watch = { startedAt };
    this.#watches.set(id, watch);
    this.#schedule(container, check, watch);
  }

  #schedule({ id, health }: Container, check: Check, watch: Watch): void {
    if (health === undefined || this.#watches.get(id) !== watch) return;
    const pause = pauseBefore(health, check, watch.startedAt, Date.now());
    watch.timer = setTimeout(
      () => this.#probe(id, check, watch).catch((error) => this.log.error("health check broke off", { id, error })),
      pause,
    );
  }

  async #probe(id: string, check: Check, watch: Watch): Promise<void> {
    const container = this.containers.records.find(id);
    if (!container) return;
    const result = await probe(this.execs, id, container.config, check);
    this.onChecked(result.exitCode !== 0);
    if (this.#watches.get(id) !== watch) return; // it has ended, or stands still
    const after = await this.containers.report(id, watch.startedAt, (health) =>
      withResult(health, result, check, watch.startedAt),
    );
    if (!after) return;
    this.#schedule(after, check, watch);
    if (after.health?.status === "unhealthy" && restartsUnhealthy(after)) await this.containers.endUnhealthy(after);
  }
}
