/** Who waits for what becomes of a container: its next exit, or its removal. */

export interface WaitResult {
  readonly code: number;
  /** Why there is no exit to speak of; empty otherwise. */
  readonly error: string;
}

/** Promises by container id; one that is settled makes room for the next. */
export class Waits {
  readonly #promises = new Map<string, PromiseWithResolvers<WaitResult>>();

  /** @returns what the next `settle` says; registered before this returns */
  next(id: string): Promise<WaitResult> {
    const known = this.#promises.get(id) ?? Promise.withResolvers<WaitResult>();
    this.#promises.set(id, known);
    return known.promise;
  }

  settle(id: string, result: WaitResult): void {
    this.#promises.get(id)?.resolve(result);
    this.#promises.delete(id);
  }
}
