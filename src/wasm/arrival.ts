/**
 * A file that is still being written, read by another thread meanwhile: how far it has come, in shared memory. The reader blocks, so it is a
 * Worker; the writer never does.
 */

import { closeSync, openSync } from "node:fs";
import { unavailable } from "../base/errors.ts";

/**
 * The memory: u64 bytes that can be read, then two i32. CHANGES counts every change: the reader looks at it first, then at the others, and sleeps
 * only while it is still the same, so that no change is slept through.
 */
const MEMORY_BYTES = 16;
const CHANGES = 2;
const STATE = 3;

const COMING = 0;
const WHOLE = 1;
/** What was there is no longer true, or nothing more comes. */
const VOID = 2;

/** What goes to the reader. */
export interface Arriving {
  /** Of the file; it stays what it is when the file is renamed. */
  readonly path: string;
  readonly memory: SharedArrayBuffer;
}

class Memory {
  readonly #bytes: BigUint64Array;
  readonly #words: Int32Array;

  constructor(readonly shared: SharedArrayBuffer) {
    this.#bytes = new BigUint64Array(shared, 0, 1);
    this.#words = new Int32Array(shared);
  }

  get bytes(): number {
    return Number(Atomics.load(this.#bytes, 0));
  }

  get state(): number {
    return Atomics.load(this.#words, STATE);
  }

  get changes(): number {
    return Atomics.load(this.#words, CHANGES);
  }

  grow(bytes: number): void {
    Atomics.store(this.#bytes, 0, BigInt(bytes));
    this.#changed();
  }

  /** The first end counts. */
  end(state: number): void {
    Atomics.compareExchange(this.#words, STATE, COMING, state);
    this.#changed();
  }

  #changed(): void {
    Atomics.add(this.#words, CHANGES, 1);
    Atomics.notify(this.#words, CHANGES);
  }

  sleep(changes: number): void {
    Atomics.wait(this.#words, CHANGES, changes);
  }
}

/** The writer's side. Disposed of when nobody reads any more. */
export class Arrival implements Disposable {
  readonly #memory = new Memory(new SharedArrayBuffer(MEMORY_BYTES));
  readonly #begun = Promise.withResolvers<Arriving | undefined>();
  #fd: number | undefined;

  /** Settles when there is something to read, or when there never will be: then with undefined. */
  get begun(): Promise<Arriving | undefined> {
    return this.#begun.promise;
  }

  /**
   * @param path   of the file, at the first call
   * @param bytes  that can be read from its start; fewer than before void all of it
   */
  advance(path: string, bytes: number): void {
    const memory = this.#memory;
    if (memory.state !== COMING) return;
    if (bytes < memory.bytes) {
      this.#end(VOID);
      return;
    }
    if (this.#fd === undefined) this.#begin(path);
    memory.grow(bytes);
  }

  #begin(path: string): void {
    this.#fd = openSync(path, "r");
    this.#begun.resolve({ path: `/proc/self/fd/${this.#fd}`, memory: this.#memory.shared });
  }

  /** All of the file can be read. */
  complete(): void {
    this.#end(WHOLE);
  }

  /** Nothing more comes. */
  abandon(): void {
    this.#end(VOID);
  }

  #end(state: number): void {
    this.#begun.resolve(undefined);
    this.#memory.end(state);
  }

  [Symbol.dispose](): void {
    this.#end(VOID);
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** The reader's side. */
export class ArrivalReader {
  readonly #memory: Memory;

  constructor(memory: SharedArrayBuffer) {
    this.#memory = new Memory(memory);
  }

  /** Blocks until there is something behind `offset`. @returns bytes that are there; 0 at the end. @throws unavailable */
  wait(offset: number): number {
    for (;;) {
      const { changes, state, bytes } = this.#memory;
      if (state === VOID) throw unavailable("the blob did not arrive");
      if (bytes > offset || state === WHOLE) return bytes - offset;
      this.#memory.sleep(changes);
    }
  }
}
