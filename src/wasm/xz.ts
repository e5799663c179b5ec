/** xz by liblzma, which nothing else replaces: without liblzma.so.5 it is refused. Source: liblzma, lzma/base.h and lzma/container.h. */

import { dlopen, ptr } from "bun:ffi";
import { corrupt, unavailable } from "../base/errors.ts";
import type { BlobFile } from "./blob-file.ts";
import type { Decompressor } from "./decompress.ts";
import { NativeInput } from "./native-input.ts";
import { optionalLibrary } from "./native-library.ts";

/** lzma_stream. */
const NEXT_IN = 0;
const AVAIL_IN = 8;
const NEXT_OUT = 24;
const AVAIL_OUT = 32;
const STREAM_BYTES = 136;

/** lzma_ret, lzma_action, and the flag for any number of streams. */
const OK = 0;
const STREAM_END = 1;
const MEMORY_LIMIT = 6;
const NO_PROGRESS = 10;
const RUN = 0;
const FINISH = 3;
const CONCATENATED = 8;

/** A file says how large its dictionary is; `xz -9` has one of 64 MiB. */
const MOST_MEMORY = 256 << 20;

const load = () =>
  dlopen("liblzma.so.5", {
    lzma_stream_decoder: { args: ["u64", "u64", "u32"], returns: "u32" },
    lzma_code: { args: ["u64", "u32"], returns: "u32" },
    lzma_end: { args: ["u64"], returns: "void" },
  }).symbols;

const find = optionalLibrary(load);

/** @throws unavailable when the library is missing */
export function openXz(blob: BlobFile): Decompressor {
  const lzma = find();
  if (lzma === undefined)
    throw unavailable("Cannot decompress xz: there is no liblzma.so.5; Debian's package liblzma5 has it");
  return new Xz(blob, lzma);
}

class Xz extends NativeInput implements Decompressor {
  readonly #lzma: ReturnType<typeof load>;
  #ended = false;

  constructor(blob: BlobFile, lzma: ReturnType<typeof load>) {
    super(blob, STREAM_BYTES);
    this.#lzma = lzma;
    const code = lzma.lzma_stream_decoder(this.stateAt, MOST_MEMORY, CONCATENATED);
    if (code !== OK) throw unavailable(`Cannot decompress xz: liblzma does not start: ${code}`);
  }

  read(into: Uint8Array): number {
    this.state.setBigUint64(NEXT_OUT, BigInt(ptr(into)), true);
    this.state.setBigUint64(AVAIL_OUT, BigInt(into.length), true);
    const left = (): number => Number(this.state.getBigUint64(AVAIL_OUT, true));
    while (!this.#ended && left() > 0) this.#step();
    return into.length - left();
  }

  #step(): void {
    const more = this.state.getBigUint64(AVAIL_IN, true) > 0n || this.#refill();
    const code = this.#lzma.lzma_code(this.stateAt, more ? RUN : FINISH);
    if (code === STREAM_END) this.#ended = true;
    else if (code === NO_PROGRESS)
      throw corrupt(`Cannot decompress xz: it ends too early, after ${this.consumed} bytes`);
    else if (code === MEMORY_LIMIT)
      throw corrupt(`Cannot decompress xz: it wants more than ${MOST_MEMORY} bytes of memory`);
    else if (code !== OK) throw corrupt(`Cannot decompress xz: error ${code} before byte ${this.consumed} of the blob`);
  }

  #refill(): boolean {
    if (!this.refill()) return false;
    this.state.setBigUint64(NEXT_IN, BigInt(this.inputAt), true);
    this.state.setBigUint64(AVAIL_IN, BigInt(this.filled), true);
    return true;
  }

  override [Symbol.dispose](): void {
    this.#lzma.lzma_end(this.stateAt);
    super[Symbol.dispose]();
  }
}
