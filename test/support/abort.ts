/** What has to go also when somebody ends the tests in their midst, by ^C or a limit of time: nothing of a test's own may stay on the machine. */

import { constants } from "node:os";

const living = new Set<() => Promise<unknown> | unknown>();

let isAborting = false;

/** Takes everything away, what came last first, whether or not something before it failed. */
async function abort(signal: NodeJS.Signals): Promise<void> {
  if (isAborting) return; // timeout(1) says it twice
  isAborting = true;
  for (const remove of [...living].reverse())
    try {
      await remove();
    } catch (error) {
      console.log(error);
    }
  process.exit(128 + constants.signals[signal]);
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void abort(signal));

/** @param remove  called when the tests are ended. @returns to be called once it has been removed otherwise */
export function onAbort(remove: () => Promise<unknown> | unknown): () => void {
  living.add(remove);
  return () => void living.delete(remove);
}
