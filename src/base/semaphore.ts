/** At most so many at a time. First come, first served. */

export class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /** @param size  1 or more */
  constructor(size: number) {
    this.#free = size;
  }

  /** @returns whether `acquire` would have to wait. */
  get isFull(): boolean {
    return this.#free === 0;
  }

  /** Waits for a place; hold it with `using`. @throws the signal's reason, and leaves the queue */
  async acquire(signal?: AbortSignal): Promise<Disposable> {
    signal?.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.#release();
        held = false;
      },
    };
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => {
      this.#waiting.splice(this.#waiting.indexOf(enter), 1);
      reject(signal?.reason);
    };
    const enter = () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    };
    this.#waiting.push(enter);
    signal?.addEventListener("abort", onAbort, { once: true });
    return promise;
  }

  /** Hands the place to the next in the queue. */
  #release(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free++;
  }
}
