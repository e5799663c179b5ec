/** A Worker's side of the pool in workers.ts: one job at a time. */

import { kindOf, messageOf } from "../base/errors.ts";
import { compress } from "./compress.ts";
import { pack } from "./pack.ts";
import { remove } from "./remove.ts";
import { unpack, type Watcher } from "./unpack.ts";
import type { Jobs, Reply } from "./workers.ts";

declare const self: Worker;

/** Report progress every so many bytes. */
const STEP = 4 << 20;

export interface Order<Kind extends keyof Jobs> {
  readonly kind: Kind;
  readonly job: Jobs[Kind]["job"];
  /** One Int32; set to 1 by the owner to stop the job: a busy Worker reads no messages. */
  readonly cancel: SharedArrayBuffer;
}

const JOBS: {
  readonly [Kind in keyof Jobs]: (job: Jobs[Kind]["job"], watcher: Watcher) => Promise<Jobs[Kind]["result"]>;
} = { unpack, compress, pack, remove };

self.onmessage = <Kind extends keyof Jobs>({ data: { kind, job, cancel } }: MessageEvent<Order<Kind>>) => {
  const flag = new Int32Array(cancel);
  let told = 0;
  const reply = (message: Reply<Jobs[Kind]["result"]>): void => self.postMessage(message);
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
  JOBS[kind](job, watcher).then(
    (result) => reply({ type: "done", result }),
    (error: unknown) => reply({ type: "failed", kind: kindOf(error), message: messageOf(error), ...codeOf(error) }),
  );
};

/** Of the system call behind it, if there is one. */
function codeOf(error: unknown): { readonly code?: string } {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? { code: cause.code } : {};
}
