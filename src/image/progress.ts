/** What a pull tells while it works, in Docker's words. Source: wire-notes section 6. */

export interface Progress {
  /** What the line is about: a tag, or the first 12 digits of a layer's blob. */
  readonly id?: string;
  readonly status: string;
  /** Given for layers; empty when there is no number to show. Bytes. */
  readonly detail?: { readonly current?: number; readonly total?: number };
}

export type OnProgress = (progress: Progress) => void;

/** Shortest time between two counts of one layer, ms. */
const interval = 100;

/** @returns a counter that passes on at most ten counts a second, the last one always, and none twice. */
export function counter(report: (current: number) => void, total: number): (current: number) => void {
  let told = Number.NaN;
  let at = Number.NEGATIVE_INFINITY;
  return (count) => {
    const current = Math.min(count, total);
    const now = performance.now();
    if (current === told || (current < total && now - at < interval)) return;
    told = current;
    at = now;
    report(current);
  };
}
