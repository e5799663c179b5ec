/** Hashing and writing a tar by a thread of its own, while this one decompresses: they take about the same time. */

import type { Digest } from "../base/digest.ts";
import { BosunError, type ErrorKind, internal } from "../base/errors.ts";
import { Ring, ringMemory } from "./ring.ts";
import type { TarSink } from "./tar-file.ts";

export interface TarOrder {
  readonly path: string;
  readonly memory: SharedArrayBuffer;
}

/** `ready` comes once, when the thread runs, then one of the others at the end. */
export type TarReply =
  | { readonly type: "ready" }
  | { readonly type: "done"; readonly digest: Digest }
  | { readonly type: "failed"; readonly kind: ErrorKind; readonly message: string };

export class TarThread implements TarSink {
  readonly #worker = new Worker(new URL("./tar-thread-worker.ts", import.meta.url));
  readonly #ring: Ring;
  readonly #done = Promise.withResolvers<Digest>();

  private constructor(memory: SharedArrayBuffer) {
    this.#ring = new Ring(memory);
    this.#done.promise.catch(() => undefined); // told by `finish`
  }

  /** @param path  a file to be made */
  static async open(path: string): Promise<TarThread> {
    const memory = ringMemory();
    const thread = new TarThread(memory);
    try {
      await thread.#start();
    } catch (error) {
      thread[Symbol.dispose]();
      throw error;
    }
    thread.#worker.postMessage({ path, memory } satisfies TarOrder);
    return thread;
  }

  #start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data }: MessageEvent<TarReply>) => {
        if (data.type === "ready") resolve();
        else if (data.type === "done") this.#done.resolve(data.digest);
        else this.#done.reject(new BosunError(data.kind, data.message));
      };
      this.#worker.onerror = ({ message }) => {
        const error = internal(`Cannot write a layer: its thread died: ${message}`);
        reject(error);
        this.#done.reject(error);
      };
    });
  }

  write(bytes: Uint8Array): boolean {
    this.#ring.put(bytes);
    return !this.#ring.isStopped;
  }

  finish(): Promise<Digest> {
    this.#ring.put(new Uint8Array());
    return this.#done.promise;
  }

  [Symbol.dispose](): void {
    this.#ring.stop();
    this.#worker.terminate();
  }
}
