/** A Worker's side of the pool in workers.ts: one job at a time. */

import { kindOf, messageOf } from "../base/errors.ts";
import { type CompressJob, compress } from "./compress.ts";
import { type UnpackJob, unpack, type Watcher } from "./unpack.ts";
import type { Reply, Result } from "./workers.ts";

declare const self: Worker;

/** Report progress every so many bytes of the blob. */
const STEP = 4 << 20;

/** One kind of job, and what it is about. */
export type Assignment =
  | { readonly kind: "unpack"; readonly job: UnpackJob }
  | { readonly kind: "compress"; readonly job: CompressJob };

export type Order = Assignment & {
  /** One Int32; set to 1 by the owner to stop the job: a busy Worker reads no messages. */
  readonly cancel: SharedArrayBuffer;
};

const perform = (order: Order, watcher: Watcher): Promise<Result> =>
  order.kind === "unpack" ? unpack(order.job, watcher) : compress(order.job, watcher);

self.onmessage = ({ data: order }: MessageEvent<Order>) => {
  const flag = new Int32Array(order.cancel);
  let told = 0;
  const reply = (message: Reply): void => self.postMessage(message);
  const watcher = {
    progress(bytes: number) {
      if (bytes < told + STEP) return;
      told = bytes;
      reply({ type: "progress", bytes });
    },
    check() {
      if (Atomics.load(flag, 0) !== 0) throw new Error("stopped");
    },
  };
  perform(order, watcher).then(
    (result) => reply({ type: "done", result }),
    (error: unknown) => reply({ type: "failed", kind: kindOf(error), message: messageOf(error), ...codeOf(error) }),
  );
};

/** Of the system call behind it, if there is one. */
function codeOf(error: unknown): { readonly code?: string } {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? { code: cause.code } : {};
}
