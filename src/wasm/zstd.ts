/** zstd by libzstd. Loaded when libzstd.so.1 is installed, never required. Source: zstd.h, "Streaming decompression". */

import { dlopen, ptr } from "bun:ffi";
import { corrupt } from "../base/errors.ts";
import type { BlobFile } from "./blob-file.ts";
import type { Decompressor } from "./decompress.ts";
import { NativeInput } from "./native-input.ts";
import { optionalLibrary } from "./native-library.ts";

/** Two structs of { pointer, size, position }, each u64, in the state: ZSTD_inBuffer and ZSTD_outBuffer. */
const IN = 0;
const OUT = 24;
const SIZE = 8;
const POSITION = 16;

const load = () =>
  dlopen("libzstd.so.1", {
    ZSTD_createDStream: { args: [], returns: "ptr" },
    ZSTD_freeDStream: { args: ["ptr"], returns: "u64" },
    ZSTD_decompressStream: { args: ["ptr", "u64", "u64"], returns: "u64" },
    ZSTD_isError: { args: ["u64"], returns: "u32" },
    ZSTD_getErrorName: { args: ["u64"], returns: "cstring" },
  }).symbols;

type Library = ReturnType<typeof load>;
type Stream = NonNullable<ReturnType<Library["ZSTD_createDStream"]>>;
const find = optionalLibrary(load);

/** @returns undefined when the library is missing */
export function openZstd(blob: BlobFile): Decompressor | undefined {
  const zstd = find();
  const stream = zstd?.ZSTD_createDStream();
  return zstd === undefined || stream === null || stream === undefined ? undefined : new Zstd(blob, zstd, stream);
}

class Zstd extends NativeInput implements Decompressor {
  readonly #zstd: Library;
  readonly #stream: Stream;
  #between = true;

  constructor(blob: BlobFile, zstd: Library, stream: Stream) {
    super(blob, 64);
    this.#zstd = zstd;
    this.#stream = stream;
    this.#set(IN, this.inputAt, 0);
  }

  #set(buffer: number, at: number, size: number): void {
    this.state.setBigUint64(buffer, BigInt(at), true);
    this.state.setBigUint64(buffer + SIZE, BigInt(size), true);
    this.state.setBigUint64(buffer + POSITION, 0n, true);
  }

  #get(field: number): number {
    return Number(this.state.getBigUint64(field, true));
  }

  read(into: Uint8Array): number {
    this.#set(OUT, ptr(into), into.length);
    for (let before = 0; ; ) {
      const ended = this.#get(IN + POSITION) === this.#get(IN + SIZE) && !this.#refill();
      if (ended && this.#between) return before;
      const left = this.#zstd.ZSTD_decompressStream(this.#stream, this.stateAt + OUT, this.stateAt + IN);
      if (this.#zstd.ZSTD_isError(left) !== 0)
        throw corrupt(`Cannot decompress zstd: ${this.#zstd.ZSTD_getErrorName(left)}`);
      this.#between = BigInt(left) === 0n;
      const written = this.#get(OUT + POSITION);
      if (written === into.length) return written;
      // With nothing to read there may still be output that had no room before.
      if (ended && !this.#between && written === before)
        throw corrupt(`Cannot decompress zstd: it ends too early, after ${this.consumed} bytes`);
      before = written;
    }
  }

  #refill(): boolean {
    if (!this.refill()) return false;
    this.#set(IN, this.inputAt, this.filled);
    return true;
  }

  override [Symbol.dispose](): void {
    this.#zstd.ZSTD_freeDStream(this.#stream);
    super[Symbol.dispose]();
  }
}
