/** Memory that a start or work has filled, and an idle daemon does without. */

import { fullGC, heapSize } from "bun:jsc";
import { checked, library } from "./library.ts";

/**
 * Takes the program's code out of this process's memory: two thirds of it only a start runs. What is needed again comes back from the page cache.
 * @throws SystemError
 */
export function releaseCode(): void {
  checked("unmap code", library().bosun_unmap_code());
}

/** What fills memory, and how it is emptied. */
export interface Filled {
  /** Bytes of the heap, garbage counted. */
  heapSize(): number;
  /** @returns bytes of the heap then */
  collect(): number;
  releaseCode(): void;
}

/** Not Bun.gc(true), which forgets compiled code, too: the next request would have to make it again. */
const OWN: Filled = { heapSize, collect: fullGC, releaseCode };

/** Garbage that is worth a pause of some 20 ms. */
const WORTH_BYTES = 4 << 20;

/** How long it has to be quiet. */
export interface Quiet {
  /** Whoever works asks for the next thing before; and of code that ran a moment ago a collection keeps what was compiled. */
  readonly garbageMs: number;
  /** The next command of a script comes before: mapping the code again takes 3 ms of a container's start. */
  readonly codeMs: number;
}

const QUIET: Quiet = { garbageMs: 400, codeMs: 2000 };

/**
 * Empties memory when work is over. JavaScriptCore collects when the heap has grown by half or so: a daemon that has worked and is left alone would
 * keep its garbage for hours.
 */
export class IdleMemory implements Disposable {
  readonly #timers: readonly Timer[];
  #kept: number;

  constructor(
    readonly filled: Filled = OWN,
    { garbageMs, codeMs }: Quiet = QUIET,
  ) {
    this.#kept = filled.heapSize();
    this.#timers = [setTimeout(() => this.#collect(), garbageMs), setTimeout(() => this.#release(), codeMs)];
    for (const timer of this.#timers) timer.unref();
  }

  /** Something was done. */
  note(): void {
    for (const timer of this.#timers) timer.refresh();
  }

  #collect(): void {
    if (this.filled.heapSize() - this.#kept >= WORTH_BYTES) this.#kept = this.filled.collect();
  }

  #release(): void {
    try {
      this.filled.releaseCode();
    } catch {
      // Where memory is locked it stays as it is.
    }
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }
}
