/** A tar, read by the layer engine as it streams by. What is hostile, damaged or beyond the limits is refused here, in words. */

import { failureOf } from "./fault.ts";
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
    const { core } = this;
    if (fault !== 0) throw failureOf(core, fault, (place) => `read tar${place} (byte ${core.faultOffset()})`);
  }
}
