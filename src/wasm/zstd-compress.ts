/** zstd by libzstd. Loaded when libzstd.so.1 is installed, never required. Source: zstd.h, "Streaming compression". */

import { dlopen, ptr } from "bun:ffi";
import { internal } from "../base/errors.ts";
import type { Compressor } from "./compress.ts";
import { optionalLibrary } from "./native-library.ts";

/** Two structs of { pointer, size, position }, each u64, in the state: ZSTD_inBuffer and ZSTD_outBuffer. */
const IN = 0;
const OUT = 24;
const SIZE = 8;
const POSITION = 16;

/** ZSTD_EndDirective. */
const CONTINUE = 0;
const END = 2;
/** ZSTD_c_compressionLevel, ZSTD_c_checksumFlag. */
const LEVEL_PARAMETER = 100;
const CHECKSUM_PARAMETER = 201;
/** zstd's own default, and containerd's. */
const level = 3;
const OUTPUT_BYTES = 1 << 18;

const load = () =>
  dlopen("libzstd.so.1", {
    ZSTD_createCCtx: { args: [], returns: "ptr" },
    ZSTD_freeCCtx: { args: ["ptr"], returns: "u64" },
    ZSTD_CCtx_setParameter: { args: ["ptr", "i32", "i32"], returns: "u64" },
    ZSTD_compressStream2: { args: ["ptr", "u64", "u64", "i32"], returns: "u64" },
    ZSTD_isError: { args: ["u64"], returns: "u32" },
    ZSTD_getErrorName: { args: ["u64"], returns: "cstring" },
  }).symbols;

type Library = ReturnType<typeof load>;
type Context = NonNullable<ReturnType<Library["ZSTD_createCCtx"]>>;
const find = optionalLibrary(load);

/** @returns undefined when the library is missing */
export function openZstdCompressor(): (Compressor & Disposable) | undefined {
  const zstd = find();
  const context = zstd?.ZSTD_createCCtx();
  return zstd && context ? new ZstdCompressor(zstd, context) : undefined;
}

class ZstdCompressor implements Compressor, Disposable {
  readonly #state: DataView;
  readonly #stateAt: number;
  readonly #output: Uint8Array;

  constructor(
    readonly zstd: Library,
    readonly context: Context,
  ) {
    // WebAssembly's memory does not move while C has its address.
    const pages = 1 + (OUTPUT_BYTES >> 16);
    const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.#state = new DataView(buffer, 0, 64);
    this.#stateAt = ptr(new Uint8Array(buffer));
    this.#output = new Uint8Array(buffer, 1 << 16, OUTPUT_BYTES);
    this.#checked(zstd.ZSTD_CCtx_setParameter(context, LEVEL_PARAMETER, level));
    this.#checked(zstd.ZSTD_CCtx_setParameter(context, CHECKSUM_PARAMETER, 1));
  }

  #checked(result: number | bigint): bigint {
    if (this.zstd.ZSTD_isError(result) !== 0)
      throw internal(`Cannot compress: zstd says ${this.zstd.ZSTD_getErrorName(result)}`);
    return BigInt(result);
  }

  #set(buffer: number, at: number, size: number): void {
    this.#state.setBigUint64(buffer, BigInt(at), true);
    this.#state.setBigUint64(buffer + SIZE, BigInt(size), true);
    this.#state.setBigUint64(buffer + POSITION, 0n, true);
  }

  write(bytes: Uint8Array, out: (bytes: Uint8Array) => void): void {
    this.#set(IN, ptr(bytes), bytes.byteLength);
    while (this.#state.getBigUint64(IN + POSITION, true) < bytes.byteLength) this.#step(CONTINUE, out);
  }

  finish(out: (bytes: Uint8Array) => void): void {
    this.#set(IN, this.#stateAt, 0);
    while (this.#step(END, out) > 0n);
  }

  /** @returns 0 when nothing waits inside any more */
  #step(directive: number, out: (bytes: Uint8Array) => void): bigint {
    this.#set(OUT, this.#stateAt + (1 << 16), OUTPUT_BYTES);
    const { context, zstd } = this;
    const left = this.#checked(zstd.ZSTD_compressStream2(context, this.#stateAt + OUT, this.#stateAt + IN, directive));
    const written = Number(this.#state.getBigUint64(OUT + POSITION, true));
    if (written > 0) out(this.#output.subarray(0, written));
    return left;
  }

  [Symbol.dispose](): void {
    this.zstd.ZSTD_freeCCtx(this.context);
  }
}
