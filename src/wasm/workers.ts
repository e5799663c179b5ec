/**
 * A pool of Workers that unpack and compress layers. They are started when there is work, used again, and ended when there was none for a while; they do
 * not keep the process alive. A Worker that dies takes its job with it, and nothing else.
 */

import { availableParallelism } from "node:os";
import { BosunError, type ErrorKind, internal } from "../base/errors.ts";
import type { Compressed, CompressJob } from "./compress.ts";
import type { Unpacked, UnpackJob } from "./unpack.ts";
import type { Assignment, Order } from "./worker.ts";

export type Result = Unpacked | Compressed;

export type Reply =
  | { readonly type: "progress"; readonly bytes: number }
  | { readonly type: "done"; readonly result: Result }
  /** `code`: of the system call that failed, as `ENOSPC`. */
  | { readonly type: "failed"; readonly kind: ErrorKind; readonly message: string; readonly code?: string };

export interface UnpackOptions {
  /** Bytes of the job's file done so far, now and then. */
  readonly onProgress?: (bytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

interface Task extends UnpackOptions {
  readonly assignment: Assignment;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export interface WorkersOptions {
  /** Workers at most; a job keeps one or two processors busy, or waits for the network. Default: 3 more than there are processors, from 5 to 7. */
  readonly size?: number;
  /** How long Workers without work are kept. They hold some megabytes each. Default: 5 s. */
  readonly idleMs?: number;
  /** What they run; for tests. */
  readonly script?: URL;
}

export class Workers implements Disposable {
  readonly #script: URL;
  readonly #size: number;
  readonly #idleMs: number;
  readonly #idle: Worker[] = [];
  readonly #waiting: Task[] = [];
  #busy = 0;
  #idleTimer: Timer | undefined;

  constructor(options: WorkersOptions = {}) {
    this.#size = options.size ?? 3 + Math.max(2, Math.min(4, availableParallelism()));
    this.#idleMs = options.idleMs ?? 5000;
    this.#script = options.script ?? new URL("./worker.ts", import.meta.url);
  }

  /** @throws corrupt, unavailable (disk full), internal (the Worker died), or the signal's reason */
  async unpack(job: UnpackJob, options: UnpackOptions = {}): Promise<Unpacked> {
    const result = await this.#do({ kind: "unpack", job }, options);
    if ("entries" in result) return result;
    throw internal(`Cannot unpack ${job.diffId}: its worker did something else`);
  }

  /** `onProgress` counts bytes of the tar. @throws corrupt, unavailable (disk full), internal (the Worker died), or the signal's reason */
  async compress(job: CompressJob, options: UnpackOptions = {}): Promise<Compressed> {
    const result = await this.#do({ kind: "compress", job }, options);
    if ("digest" in result) return result;
    throw internal(`Cannot compress ${job.diffId}: its worker did something else`);
  }

  #do(assignment: Assignment, options: UnpackOptions): Promise<Result> {
    options.signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#waiting.push({ assignment, ...options, resolve, reject });
    this.#next();
    return promise;
  }

  #next(): void {
    if (this.#busy >= this.#size) return;
    const task = this.#waiting.shift();
    if (task === undefined) return;
    if (task.signal?.aborted === true) {
      task.reject(task.signal.reason);
      this.#next();
      return;
    }
    this.#busy++;
    this.#run(this.#idle.pop() ?? this.#open(), task);
  }

  #run(worker: Worker, task: Task): void {
    const cancel = new SharedArrayBuffer(4);
    const stop = (): void => void Atomics.store(new Int32Array(cancel), 0, 1);
    const end = (settle: () => void, alive: boolean): void => {
      task.signal?.removeEventListener("abort", stop);
      worker.onmessage = worker.onerror = null;
      worker.removeEventListener("close", die);
      this.#busy--;
      if (alive) this.#rest(worker);
      else worker.terminate();
      settle();
      this.#next();
    };
    const die = (event: Event): void => {
      const why = event instanceof ErrorEvent ? event.message : "it ended";
      const { kind, job } = task.assignment;
      end(() => task.reject(internal(`Cannot ${kind} ${job.diffId}: its worker died: ${why}`)), false);
    };
    worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      if (data.type === "progress") task.onProgress?.(data.bytes);
      else if (data.type === "done") end(() => task.resolve(data.result), true);
      else end(() => task.reject(task.signal?.aborted ? task.signal.reason : failureOf(data)), true);
    };
    worker.onerror = die;
    worker.addEventListener("close", die);
    task.signal?.addEventListener("abort", stop);
    worker.ref();
    worker.postMessage({ ...task.assignment, cancel } satisfies Order);
  }

  /** A Worker that is forgotten should it die while it is idle. */
  #open(): Worker {
    const worker = new Worker(this.#script);
    worker.addEventListener("close", () => {
      const at = this.#idle.indexOf(worker);
      if (at >= 0) this.#idle.splice(at, 1);
    });
    return worker;
  }

  #rest(worker: Worker): void {
    worker.unref();
    this.#idle.push(worker);
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => this.#endIdle(), this.#idleMs);
    this.#idleTimer.unref();
  }

  #endIdle(): void {
    for (const worker of this.#idle.splice(0)) worker.terminate();
  }

  /** Ends the Workers that are idle; busy ones end with their job. */
  [Symbol.dispose](): void {
    clearTimeout(this.#idleTimer);
    this.#endIdle();
  }
}

const failureOf = ({ kind, message, code }: Reply & { readonly type: "failed" }): BosunError =>
  new BosunError(kind, message, code === undefined ? {} : { cause: Object.assign(new Error(message), { code }) });
