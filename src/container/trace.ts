/** Where the time of a start goes (`--trace-start`): its steps with their milliseconds, one line of the daemon's log a start. */

import type { Logger } from "../base/logger.ts";

/** Told at the end of every step, in order. */
export interface Trace {
  step(name: string): void;
  /** @param id  the container's */
  end(id: string): void;
}

const untraced: Trace = { step() {}, end() {} };

class StartTrace implements Trace {
  readonly #began = performance.now();
  #last = this.#began;
  readonly #steps: Record<string, string> = {};

  constructor(readonly log: Logger) {}

  step(name: string): void {
    const now = performance.now();
    this.#steps[name] = (now - this.#last).toFixed(2);
    this.#last = now;
  }

  end(id: string): void {
    this.log.info("start traced", { id, ...this.#steps, total: (performance.now() - this.#began).toFixed(2) });
  }
}

/** @param log  undefined when nobody wants to know */
export const traceStart = (log: Logger | undefined): Trace => (log ? new StartTrace(log) : untraced);
