/**
 * A pool of Workers that do the work on bytes. They are started when there is work, used again, and ended when there was none for a while; they do
 * not keep the process alive. A Worker that dies takes its job with it, and nothing else.
 */

import { availableParallelism } from "node:os";
import { BosunError, type ErrorKind, internal } from "../base/errors.ts";
import type { Compressed, CompressJob } from "./compress.ts";
import type { Packed, PackJob } from "./pack.ts";
import type { RemoveJob } from "./remove.ts";
import type { Unpacked, UnpackJob } from "./unpack.ts";
import type { Order } from "./worker.ts";

/** What a Worker can do, by name; worker.ts says how. */
export interface Jobs {
  readonly unpack: { readonly job: UnpackJob; readonly result: Unpacked };
  readonly compress: { readonly job: CompressJob; readonly result: Compressed };
  readonly pack: { readonly job: PackJob; readonly result: Packed };
  readonly remove: { readonly job: RemoveJob; readonly result: void };
}

export type Reply<Result> =
  | { readonly type: "progress"; readonly bytes: number }
  | { readonly type: "done"; readonly result: Result }
  /** `code`: of the system call that failed, as `ENOSPC`. */
  | { readonly type: "failed"; readonly kind: ErrorKind; readonly message: string; readonly code?: string };

export interface JobOptions {
  /** Bytes of the job's file done so far, now and then. */
  readonly onProgress?: (bytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A job that waits for a Worker. */
interface Task {
  readonly signal: AbortSignal | undefined;
  readonly reject: (error: unknown) => void;
  readonly start: (worker: Worker) => void;
}

type PromiseEnds<T> = Pick<PromiseWithResolvers<T>, "resolve" | "reject">;

export interface WorkersOptions {
  /** Workers at most; a job keeps one or two processors busy, or waits for the network. Default: 5 more than there are processors, from 7 to 9: so many layers may be on their way at once. */
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
    this.#size = options.size ?? 5 + Math.max(2, Math.min(4, availableParallelism()));
    this.#idleMs = options.idleMs ?? 5000;
    this.#script = options.script ?? new URL("./worker.ts", import.meta.url);
  }

  /** @throws corrupt, unavailable (disk full), internal (the Worker died), or the signal's reason */
  unpack(job: UnpackJob, options?: JobOptions): Promise<Unpacked> {
    return this.#do("unpack", job, options);
  }

  /** `onProgress` counts bytes of the tar. @throws corrupt, unavailable (disk full), internal (the Worker died), or the signal's reason */
  compress(job: CompressJob, options?: JobOptions): Promise<Compressed> {
    return this.#do("compress", job, options);
  }

  /** `onProgress` counts bytes of the tar. @throws as `pack`, internal (the Worker died), or the signal's reason */
  pack(job: PackJob, options?: JobOptions): Promise<Packed> {
    return this.#do("pack", job, options);
  }

  /** Removes a tree; it cannot be stopped. @throws internal */
  remove(job: RemoveJob): Promise<void> {
    return this.#do("remove", job);
  }

  async #do<Kind extends keyof Jobs>(
    kind: Kind,
    job: Jobs[Kind]["job"],
    options: JobOptions = {},
  ): Promise<Jobs[Kind]["result"]> {
    const { signal } = options;
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<Jobs[Kind]["result"]>();
    const start = (worker: Worker): void => this.#run(worker, kind, job, { ...options, resolve, reject });
    this.#waiting.push({ signal, reject, start });
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
    task.start(this.#idle.pop() ?? this.#open());
  }

  #run<Kind extends keyof Jobs>(
    worker: Worker,
    kind: Kind,
    job: Jobs[Kind]["job"],
    task: JobOptions & PromiseEnds<Jobs[Kind]["result"]>,
  ): void {
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
      end(() => task.reject(internal(`Cannot ${kind}: a worker died: ${why}`)), false);
    };
    worker.onmessage = ({ data }: MessageEvent<Reply<Jobs[Kind]["result"]>>) => {
      if (data.type === "progress") task.onProgress?.(data.bytes);
      else if (data.type === "done") end(() => task.resolve(data.result), true);
      else end(() => task.reject(task.signal?.aborted ? task.signal.reason : failureOf(data)), true);
    };
    worker.onerror = die;
    worker.addEventListener("close", die);
    task.signal?.addEventListener("abort", stop);
    worker.ref();
    worker.postMessage({ kind, job, cancel } satisfies Order<Kind>);
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

const failureOf = ({ kind, message, code }: Reply<never> & { readonly type: "failed" }): BosunError =>
  new BosunError(kind, message, code === undefined ? {} : { cause: Object.assign(new Error(message), { code }) });
