/** A byte stream in the portions that a format has. What is at hand already is given without waiting. */

import type { Bytes } from "./streams.ts";

const NONE = new Uint8Array();

export class Portions {
  #rest: Uint8Array = NONE;
  readonly #reader;

  constructor(source: Bytes) {
    this.#reader = source.getReader();
  }

  /** @returns `size` bytes, if they need not be waited for */
  atHand(size: number): Uint8Array | undefined {
    if (this.#rest.byteLength < size) return undefined;
    const piece = this.#rest.subarray(0, size);
    this.#rest = this.#rest.subarray(size);
    return piece;
  }

  /** @returns at most `size` bytes, at least 1; undefined at the end */
  async some(size: number): Promise<Uint8Array | undefined> {
    while (this.#rest.byteLength === 0) {
      const next = await this.#reader.read();
      if (next.done) return undefined;
      this.#rest = next.value;
    }
    return this.atHand(Math.min(size, this.#rest.byteLength));
  }

  /** @returns `size` bytes, or fewer at the end */
  async exactly(size: number): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    let left = size;
    while (left > 0) {
      const piece = await this.some(left);
      if (!piece) break;
      pieces.push(piece);
      left -= piece.byteLength;
    }
    const [only] = pieces;
    return only && pieces.length === 1 ? only : Buffer.concat(pieces);
  }

  /** @returns the first `size` bytes, or fewer at the end; they come again */
  async peek(size: number): Promise<Uint8Array> {
    const head = await this.exactly(size);
    this.#rest = this.#rest.byteLength === 0 ? head : Buffer.concat([head, this.#rest]);
    return head;
  }

  /** @returns whether there were so many */
  async skip(size: number): Promise<boolean> {
    for (let left = size; left > 0; ) {
      const piece = await this.some(left);
      if (!piece) return false;
      left -= piece.byteLength;
    }
    return true;
  }

  /** What is left, as it comes. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    try {
      for (
        let piece = await this.some(Number.POSITIVE_INFINITY);
        piece;
        piece = await this.some(Number.POSITIVE_INFINITY)
      )
        yield piece;
    } finally {
      await this.close();
    }
  }

  close(): Promise<void> {
    return this.#reader.cancel();
  }
}
