/**
 * Compressed bytes for a native decompressor, in memory that does not move: a WebAssembly.Memory. (Small typed arrays may be moved by the
 * garbage collector while C has their address.)
 */

import { ptr } from "bun:ffi";
import type { BlobFile } from "./blob-file.ts";

const INPUT_BYTES = 1 << 18;

export class NativeInput implements Disposable {
  readonly #input: Uint8Array;
  /** State of the decompressor, `stateBytes` long, zeroed. */
  readonly state: DataView;
  readonly stateAt: number;
  readonly inputAt: number;
  /** Bytes in the input buffer. */
  filled = 0;

  constructor(
    readonly blob: BlobFile,
    stateBytes: number,
  ) {
    const pages = Math.ceil((stateBytes + INPUT_BYTES) / 65536);
    const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.#input = new Uint8Array(buffer, 0, INPUT_BYTES);
    this.state = new DataView(buffer, INPUT_BYTES, stateBytes);
    this.inputAt = ptr(this.#input);
    this.stateAt = this.inputAt + INPUT_BYTES;
  }

  /** Bytes of the blob read so far. */
  get consumed(): number {
    return this.blob.consumed;
  }

  /** Reads the next bytes of the blob over the former ones. @returns false at the end */
  refill(): boolean {
    this.filled = this.blob.read(this.#input);
    return this.filled > 0;
  }

  [Symbol.dispose](): void {
    this.blob[Symbol.dispose]();
  }
}
