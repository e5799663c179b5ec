/**
 * SHA-256 for what is large: layers and their tars. There are two, Bun's native one and the layer engine's; each thread chooses once. Where the
 * processor has instructions for it, the native one uses them and is several times as fast; elsewhere both have a try.
 */

import { readFileSync } from "node:fs";
import type { Digest } from "../base/digest.ts";
import { type Core, coreNow } from "./module.ts";

export interface Hasher {
  update(bytes: Uint8Array): void;
  /** Ends it. */
  digest(): Digest;
}

export interface HasherChoice {
  /** As `native (sha_ni)`, `native`, `wasm`. */
  readonly name: string;
  readonly open: () => Hasher;
}

export class NativeHasher implements Hasher {
  readonly #hash = new Bun.CryptoHasher("sha256");

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  digest(): Digest {
    return `sha256:${this.#hash.digest("hex")}`;
  }
}

/** An instance of the engine for itself: it has one digest at a time. */
export class WasmHasher implements Hasher {
  readonly #core: Core = coreNow();
  readonly #room: Uint8Array;

  constructor() {
    this.#room = new Uint8Array(this.#core.memory.buffer, this.#core.input(), this.#core.inputBytes());
    this.#core.digestReset();
  }

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += this.#room.length) {
      const piece = bytes.subarray(at, at + this.#room.length);
      this.#room.set(piece);
      this.#core.digestUpdate(piece.length);
    }
  }

  digest(): Digest {
    const at = this.#core.digestFinish();
    return `sha256:${Buffer.from(this.#core.memory.buffer, at, 32).toString("hex")}`;
  }
}

/** @param cpuinfo  /proc/cpuinfo. @returns the flag that says so; undefined when the processor has no such instructions */
export const shaInstructions = (cpuinfo: string): string | undefined =>
  /^(?:flags|Features)\s*:.*?\b(sha_ni|sha2)\b/m.exec(cpuinfo)?.[1];

const RACE_BYTES = 1 << 18;

/** Milliseconds that a hasher takes, the best of three. */
function timeOf(open: () => Hasher): number {
  const bytes = new Uint8Array(RACE_BYTES);
  const times = [1, 2, 3].map(() => {
    const hasher = open();
    const started = performance.now();
    hasher.update(bytes);
    hasher.digest();
    return performance.now() - started;
  });
  return Math.min(...times);
}

/** @param time  measures one, milliseconds */
export function chooseHasher(cpuinfo: string, time: (open: () => Hasher) => number = timeOf): HasherChoice {
  const native = () => new NativeHasher();
  const wasm = () => new WasmHasher();
  const flag = shaInstructions(cpuinfo);
  if (flag !== undefined) return { name: `native (${flag})`, open: native };
  return time(wasm) < time(native) ? { name: "wasm", open: wasm } : { name: "native", open: native };
}

let chosen: HasherChoice | undefined;

/** This thread's choice. */
export function hasherChoice(): HasherChoice {
  chosen ??= chooseHasher(readFileSync("/proc/cpuinfo", "utf8"));
  return chosen;
}

export const openHasher = (): Hasher => hasherChoice().open();
