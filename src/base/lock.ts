/** Mutual exclusion by key, inside one process. First come, first served. */

import { conflict } from "./errors.ts";

export class Locks {
  readonly #tails = new Map<string, Promise<void>>();

  /** Waits until nobody else holds `key`. Hold it with `await using`. */
  async acquire(key: string): Promise<AsyncDisposable> {
    const before = this.#tails.get(key);
    const { promise: mine, resolve } = Promise.withResolvers<void>();
    this.#tails.set(key, mine);
    await before;
    return {
      [Symbol.asyncDispose]: async () => {
        if (this.#tails.get(key) === mine) this.#tails.delete(key);
        resolve();
      },
    };
  }

  isHeld(key: string): boolean {
    return this.#tails.has(key);
  }
}

/** Work of which one is done at a time; a second is refused rather than made to wait. */
export class Exclusive {
  #busy = false;

  /** @param refusal  what the second is told */
  constructor(readonly refusal: string) {}

  /** Dispose of it when the work is done. @throws conflict while another holds it */
  hold(): Disposable {
    if (this.#busy) throw conflict(this.refusal);
    this.#busy = true;
    return {
      [Symbol.dispose]: () => {
        this.#busy = false;
      },
    };
  }

  /** @throws conflict while another runs, or what the work fails with */
  async run<T>(work: () => Promise<T>): Promise<T> {
    using _ = this.hold();
    return await work();
  }
}
