/**
 * Bytes from one thread to another, in order, without a message for each piece: a ring of slots in shared memory. Both sides block, so
 * both are Workers.
 */

/** No piece is larger. */
const SLOT_BYTES = 1 << 20;
const SLOTS = 4;

/**
 * Int32 words before the slots. CHANGES counts every change of the others: a side reads it, looks at what it waits for, and sleeps only while
 * it is still the same, so that no change is slept through. SIZES has a word for each slot.
 */
const CHANGES = 0;
const FILLED = 1;
const EMPTIED = 2;
const STOPPED = 3;
const SIZES = 4;
const HEADER_BYTES = 4 * (SIZES + SLOTS);

export const ringMemory = (): SharedArrayBuffer => new SharedArrayBuffer(HEADER_BYTES + SLOTS * SLOT_BYTES);

export class Ring {
  readonly #memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  /** @param memory  from `ringMemory`, the same for both sides */
  constructor(memory: SharedArrayBuffer) {
    this.#memory = memory;
    this.#words = new Int32Array(memory, 0, SIZES + SLOTS);
  }

  #slot(number: number, size: number): Uint8Array {
    return new Uint8Array(this.#memory, HEADER_BYTES + (number % SLOTS) * SLOT_BYTES, size);
  }

  #get(word: number): number {
    return Atomics.load(this.#words, word);
  }

  #set(word: number, value: number): void {
    Atomics.store(this.#words, word, value);
    Atomics.add(this.#words, CHANGES, 1);
    Atomics.notify(this.#words, CHANGES);
  }

  /** @returns whether `isReady`; false when the ring is stopped */
  #wait(isReady: () => boolean): boolean {
    for (;;) {
      const changes = this.#get(CHANGES);
      if (this.#get(STOPPED) !== 0) return false;
      if (isReady()) return true;
      Atomics.wait(this.#words, CHANGES, changes);
    }
  }

  /**
   * Copies a piece into the ring, when there is room. What comes after `stop` is forgotten.
   * @param piece  at most 1 MiB; an empty one is the end
   */
  put(piece: Uint8Array): void {
    const number = this.#get(FILLED);
    if (!this.#wait(() => number - this.#get(EMPTIED) < SLOTS)) return;
    this.#slot(number, piece.length).set(piece);
    this.#words[SIZES + (number % SLOTS)] = piece.length;
    this.#set(FILLED, number + 1);
  }

  /** Lends the next piece to `use`, when there is one. @returns false at the end, and when the ring is stopped */
  take(use: (piece: Uint8Array) => void): boolean {
    const number = this.#get(EMPTIED);
    if (!this.#wait(() => this.#get(FILLED) > number)) return false;
    const size = this.#words[SIZES + (number % SLOTS)] ?? 0;
    if (size > 0) use(this.#slot(number, size));
    this.#set(EMPTIED, number + 1);
    return size > 0;
  }

  /** Either side wants no more: nobody waits for it any longer. */
  stop(): void {
    this.#set(STOPPED, 1);
  }

  get isStopped(): boolean {
    return this.#get(STOPPED) !== 0;
  }
}
