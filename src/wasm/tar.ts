/** A tar, read by the layer engine as it streams by. What is hostile, damaged or beyond the limits is refused here, in words. */

import { corrupt, internal } from "../base/errors.ts";
import { type Core, openCore } from "./module.ts";

/** What one layer may cost. Beyond it, it is refused. */
export interface TarLimits {
  /** Entries of the tar. */
  readonly entries: number;
  /** Bytes of a path or link target. */
  readonly path: number;
  /** Bytes of one extended header: long names, xattrs. */
  readonly meta: number;
}

const DEFAULT_LIMITS: TarLimits = { entries: 4_000_000, path: 4095, meta: 1 << 20 };

/** A layer that is sound, but that the index cannot express: unpack it into a directory. */
export const INEXPRESSIBLE = 20;
const OUT_OF_MEMORY = 19;

/** By fault, from 1; see wasm/fault.ts. */
const REASONS = [
  "a header's checksum is wrong",
  "the tar ends too early",
  "a number is malformed or out of range",
  "an extended header is malformed",
  "an extended header is too large",
  "the path is too long",
  "a name is longer than 255 bytes or has a NUL",
  "there are too many entries",
  "the path leads out of the layer",
  "its parent is not a directory of the layer",
  "its parent leads through too many symlinks",
  "its link leads nowhere",
  "it has an extended attribute trusted.overlay.*, which would steer the overlay",
  "it has too large extended attributes",
  "it is a character device 0:0, which would be a whiteout",
  "its whiteout names nothing",
  "its type is unknown",
  "its sparse map is malformed",
  "its metadata does not fit in memory",
  "its files cannot be indexed",
];

/** One layer's tar. Fill `room()`, tell with `take()`, and `finish()` at the end. */
export class TarReader {
  #room: Uint8Array;

  private constructor(readonly core: Core) {
    this.#room = new Uint8Array(core.memory.buffer, core.input(), core.inputBytes());
  }

  static async open(limits: Partial<TarLimits> = {}): Promise<TarReader> {
    const core = await openCore();
    const { entries, path, meta } = { ...DEFAULT_LIMITS, ...limits };
    const salt = crypto.getRandomValues(new BigUint64Array(1))[0] ?? 0n;
    const reader = new TarReader(core);
    reader.check(core.begin(entries, path, meta, salt));
    return reader;
  }

  /** Where the next chunk goes, 1 MiB. Ask again after each `take`: the engine's memory may have moved. */
  room(): Uint8Array {
    const { buffer } = this.core.memory;
    if (this.#room.buffer !== buffer) this.#room = new Uint8Array(buffer, this.core.input(), this.core.inputBytes());
    return this.#room;
  }

  /** The first `length` bytes of `room()` are the next of the tar. @throws corrupt */
  take(length: number): void {
    this.check(this.core.write(length));
  }

  /** Takes bytes that lie elsewhere. @throws corrupt */
  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const room = this.room();
      const piece = bytes.subarray(at, at + room.length);
      room.set(piece);
      this.take(piece.length);
      at += piece.length;
    }
  }

  /** The tar has ended. @throws corrupt */
  finish(): void {
    this.check(this.core.finish());
  }

  /** @throws corrupt with the entry's name when `fault` is one */
  check(fault: number): void {
    if (fault === 0) return;
    const { core } = this;
    const reason = REASONS[fault - 1] ?? `fault ${fault}`;
    const path = Buffer.from(core.memory.buffer, core.faultPath(), core.faultPathBytes()).toString();
    const entry = path === "" ? "" : ` at ${JSON.stringify(path.slice(0, 200))}`;
    const message = `Cannot read tar${entry} (byte ${core.faultOffset()}): ${reason}`;
    throw fault === OUT_OF_MEMORY ? internal(message) : corrupt(message);
  }
}
