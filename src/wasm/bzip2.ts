/** bzip2 by libbz2, which nothing else replaces: without libbz2.so.1.0 it is refused. Source: bzlib.h, struct bz_stream. */

import { dlopen, ptr } from "bun:ffi";
import { corrupt, unavailable } from "../base/errors.ts";
import type { BlobFile } from "./blob-file.ts";
import type { Decompressor } from "./decompress.ts";
import { NativeInput } from "./native-input.ts";
import { optionalLibrary } from "./native-library.ts";

const NEXT_IN = 0;
const AVAIL_IN = 8;
const NEXT_OUT = 24;
const AVAIL_OUT = 32;
const STREAM_BYTES = 80;

const OK = 0;
const STREAM_END = 4;

const load = () =>
  dlopen("libbz2.so.1.0", {
    BZ2_bzDecompressInit: { args: ["u64", "i32", "i32"], returns: "i32" },
    BZ2_bzDecompress: { args: ["u64"], returns: "i32" },
    BZ2_bzDecompressEnd: { args: ["u64"], returns: "i32" },
  }).symbols;

const find = optionalLibrary(load);

/** @throws unavailable when the library is missing */
export function openBzip2(blob: BlobFile): Decompressor {
  const bz2 = find();
  if (bz2 === undefined)
    throw unavailable("Cannot decompress bzip2: there is no libbz2.so.1.0; Debian's package libbz2-1.0 has it");
  return new Bzip2(blob, bz2);
}

class Bzip2 extends NativeInput implements Decompressor {
  readonly #bz2: ReturnType<typeof load>;
  /** Between two streams, or before the first: the library is started when there is one. */
  #between = true;

  constructor(blob: BlobFile, bz2: ReturnType<typeof load>) {
    super(blob, STREAM_BYTES);
    this.#bz2 = bz2;
  }

  read(into: Uint8Array): number {
    this.state.setBigUint64(NEXT_OUT, BigInt(ptr(into)), true);
    this.state.setUint32(AVAIL_OUT, into.length, true);
    for (;;) {
      const left = this.state.getUint32(AVAIL_OUT, true);
      const ended = this.state.getUint32(AVAIL_IN, true) === 0 && !this.#refill();
      if (left === 0 || (ended && this.#between)) return into.length - left;
      if (this.#between) this.#start();
      this.#decompress();
      // With nothing to read there may still be output that had no room before.
      if (ended && !this.#between && this.state.getUint32(AVAIL_OUT, true) === left)
        throw corrupt(`Cannot decompress bzip2: it ends too early, after ${this.consumed} bytes`);
    }
  }

  #start(): void {
    const code = this.#bz2.BZ2_bzDecompressInit(this.stateAt, 0, 0);
    if (code !== OK) throw unavailable(`Cannot decompress bzip2: libbz2 does not start: ${code}`);
    this.#between = false;
  }

  #decompress(): void {
    const code = this.#bz2.BZ2_bzDecompress(this.stateAt);
    if (code === STREAM_END) this.#end();
    else if (code !== OK)
      throw corrupt(`Cannot decompress bzip2: error ${code} before byte ${this.consumed} of the blob`);
  }

  #end(): void {
    if (!this.#between) this.#bz2.BZ2_bzDecompressEnd(this.stateAt);
    this.#between = true;
  }

  #refill(): boolean {
    if (!this.refill()) return false;
    this.state.setBigUint64(NEXT_IN, BigInt(this.inputAt), true);
    this.state.setUint32(AVAIL_IN, this.filled, true);
    return true;
  }

  override [Symbol.dispose](): void {
    this.#end();
    super[Symbol.dispose]();
  }
}
