/** Waiting, but not for ever. */

import { setTimeout as timeout } from "node:timers/promises";

/** @returns whether `promise` is fulfilled within `ms` milliseconds. @throws what it is rejected with */
export async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const cancel = new AbortController();
  const late = timeout(ms, false, { signal: cancel.signal }).catch(() => false);
  const settled = await Promise.race([promise.then(() => true), late]);
  cancel.abort();
  return settled;
}
