/** Port: a collector that entries are sent on to. */

import type { LogEntry } from "./driver.ts";

/** When to try again what has failed. */
export interface RetryPolicy {
  readonly firstMs: number;
  /** Waits grow up to it. */
  readonly longestMs: number;
  /** After so many in a row the entries are given up, and counted as lost. Infinity: never. */
  readonly most: number;
}

export interface LogSink extends AsyncDisposable {
  readonly retry: RetryPolicy;

  /**
   * Sends entries in their order, connecting first where it has to. Keeps none of them afterwards.
   * @returns how many could not be put into the protocol's form, and never will: they were left out. It settles when the others have been taken, as
   * far as the protocol lets us know
   * @throws  when that is in doubt: all of them are to be sent again. Also when the sink is disposed of meanwhile
   */
  send(entries: readonly LogEntry[]): Promise<number>;
}

/** Of collectors that have no options for it. */
export const SteadyRetry: RetryPolicy = { firstMs: 250, longestMs: 30_000, most: Number.POSITIVE_INFINITY };
