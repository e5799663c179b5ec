/** A blob's bytes, in order, whether the file is whole or the rest of it is still on its way. Blocks its thread. */

import { closeSync, openSync, readSync } from "node:fs";
import { ArrivalReader } from "./arrival.ts";

export class BlobFile implements Disposable {
  readonly #fd: number;
  readonly #arrival: ArrivalReader | undefined;
  /** Bytes that were read so far. */
  consumed = 0;

  /** @param memory  of an Arrival, when the file is not whole yet */
  constructor(path: string, memory?: SharedArrayBuffer) {
    this.#fd = openSync(path, "r");
    this.#arrival = memory && new ArrivalReader(memory);
  }

  /** @returns the first bytes, `size` of them at most; they are read again */
  head(size: number): Uint8Array {
    const head = new Uint8Array(size);
    for (let filled = 0; ; ) {
      const read = this.#read(head, filled, filled);
      if (read === 0) return head.subarray(0, filled);
      filled += read;
      if (filled === size) return head;
    }
  }

  /** Fills `into` from its start. @returns bytes read, 0 at the end. @throws unavailable when the rest does not arrive */
  read(into: Uint8Array): number {
    const size = this.#read(into, 0, this.consumed);
    this.consumed += size;
    return size;
  }

  #read(into: Uint8Array, at: number, position: number): number {
    const there = this.#arrival?.wait(position) ?? into.length;
    const size = Math.min(into.length - at, there);
    return size === 0 ? 0 : readSync(this.#fd, into, at, size, position);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
