/**
 * Compressed bytes for a native decompressor, in memory that does not move: a WebAssembly.Memory. (Small typed arrays may be moved by the
 * garbage collector while C has their address.)
 */

import { ptr } from "bun:ffi";
import { closeSync, readSync } from "node:fs";

const INPUT_BYTES = 1 << 18;

export class NativeInput implements Disposable {
  readonly #input: Uint8Array;
  /** State of the decompressor, `stateBytes` long, zeroed. */
  readonly state: DataView;
  readonly stateAt: number;
  readonly inputAt: number;
  /** Bytes of the file read so far. */
  consumed = 0;
  /** Bytes in the input buffer. */
  filled = 0;

  constructor(
    readonly fd: number,
    stateBytes: number,
  ) {
    const pages = Math.ceil((stateBytes + INPUT_BYTES) / 65536);
    const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.#input = new Uint8Array(buffer, 0, INPUT_BYTES);
    this.state = new DataView(buffer, INPUT_BYTES, stateBytes);
    this.inputAt = ptr(this.#input);
    this.stateAt = this.inputAt + INPUT_BYTES;
  }

  /** Reads the next bytes of the file over the former ones. @returns false at the end */
  refill(): boolean {
    this.filled = readSync(this.fd, this.#input, 0, INPUT_BYTES, null);
    this.consumed += this.filled;
    return this.filled > 0;
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}
