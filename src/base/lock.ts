/** Mutual exclusion by key, inside one process. First come, first served. */

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
