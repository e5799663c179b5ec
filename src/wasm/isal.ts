/**
 * gzip by Intel's ISA-L, the fastest there is. Loaded when libisal.so.2 is installed, never required.
 * Source: isa-l/include/igzip_lib.h, struct inflate_state.
 */

import { dlopen, ptr } from "bun:ffi";
import { corrupt } from "../base/errors.ts";
import type { BlobFile } from "./blob-file.ts";
import type { Decompressor } from "./decompress.ts";
import { NativeInput } from "./native-input.ts";
import { optionalLibrary } from "./native-library.ts";

/** Offsets in struct inflate_state; the two Huffman tables lie between READ_IN_LENGTH at 36 and BLOCK_STATE. */
const NEXT_OUT = 0;
const AVAIL_OUT = 8;
const NEXT_IN = 16;
const AVAIL_IN = 32;
const BLOCK_STATE = 40 + (4096 * 4 + 1264 * 2) + (1024 * 2 + 80 * 2);
const CRC_FLAG = BLOCK_STATE + 12;
/** More than the struct has. */
const STATE_BYTES = 1 << 17;

/** enum isal_block_state: the member has ended, its checksum is right. */
const FINISHED = 5;
/** Done, end of input, end of output. Above and below are errors. */
const MOST_OK = 2;
/** crc_flag: read the gzip header, check the trailer. */
const GZIP = 1;

const load = () =>
  dlopen("libisal.so.2", {
    isal_inflate_init: { args: ["u64"], returns: "void" },
    isal_inflate_reset: { args: ["u64"], returns: "void" },
    isal_inflate: { args: ["u64"], returns: "i32" },
  }).symbols;

const find = optionalLibrary(load);

/** @returns undefined when the library is missing */
export function openIsal(blob: BlobFile): Decompressor | undefined {
  const isal = find();
  return isal === undefined ? undefined : new Isal(blob, isal);
}

class Isal extends NativeInput implements Decompressor {
  readonly #isal: ReturnType<typeof load>;
  /** Between two members, or before the first. */
  #between = true;

  constructor(blob: BlobFile, isal: ReturnType<typeof load>) {
    super(blob, STATE_BYTES);
    this.#isal = isal;
    isal.isal_inflate_init(this.stateAt);
    this.#startMember();
  }

  #startMember(): void {
    this.state.setUint32(CRC_FLAG, GZIP, true);
  }

  #refill(): boolean {
    if (!this.refill()) return false;
    this.state.setBigUint64(NEXT_IN, BigInt(this.inputAt), true);
    this.state.setUint32(AVAIL_IN, this.filled, true);
    return true;
  }

  read(into: Uint8Array): number {
    this.state.setBigUint64(NEXT_OUT, BigInt(ptr(into)), true);
    this.state.setUint32(AVAIL_OUT, into.length, true);
    for (let left = into.length; ; ) {
      const ended = this.state.getUint32(AVAIL_IN, true) === 0 && !this.#refill();
      if (ended && this.#between) return into.length - left;
      this.#inflate();
      // With nothing to read there may still be output that had no room before.
      const stuck = ended && !this.#between && this.state.getUint32(AVAIL_OUT, true) === left;
      if (stuck) throw corrupt(`Cannot decompress gzip: it ends too early, after ${this.consumed} bytes`);
      left = this.state.getUint32(AVAIL_OUT, true);
      if (left === 0) return into.length;
    }
  }

  #inflate(): void {
    const code = this.#isal.isal_inflate(this.stateAt);
    if (code < 0 || code > MOST_OK)
      throw corrupt(`Cannot decompress gzip: error ${code} before byte ${this.consumed} of the blob`);
    this.#between = this.state.getUint32(BLOCK_STATE, true) === FINISHED;
    if (!this.#between) return;
    this.#isal.isal_inflate_reset(this.stateAt);
    this.#startMember();
  }
}
