/** Progress as Docker's clients draw it: one JSON object a change, by layer. Source: Moby, pkg/jsonmessage. */

import type { Progress } from "../image/progress.ts";

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Four significant digits, powers of 1000: `1.234MB`. Source: docker/go-units HumanSize. */
export function humanSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(4))}${UNITS[unit]}`;
}

const WIDTH = 50;

function bar(current: number, total: number): string {
  if (total <= 0) return humanSize(current).padStart(8);
  const done = Math.min(WIDTH, Math.floor((current / total) * WIDTH));
  return `[${"=".repeat(done)}>${" ".repeat(WIDTH - done)}] ${humanSize(current).padStart(8)}/${humanSize(total)}`;
}

export function progressLine({ id, status, detail }: Progress): object {
  const { current = 0, total = 0 } = detail ?? {};
  return {
    status,
    ...(detail && { progressDetail: current > 0 ? { current, ...(total > 0 && { total }) } : {} }),
    ...(current > 0 && { progress: bar(current, total) }),
    ...(id !== undefined && { id }),
  };
}

/**
 * Runs work that reports through a callback, as a stream of what it reports.
 *
 * The first thing reported is awaited here, so that a failure before it is thrown and becomes a status; later ones end the stream.
 */
export async function reported<T>(work: (report: (item: T) => void) => Promise<unknown>): Promise<AsyncGenerator<T>> {
  const waiting: T[] = [];
  let wake = Promise.withResolvers<void>();
  let over = false;
  const done = work((item) => {
    waiting.push(item);
    wake.resolve();
  }).finally(() => {
    over = true;
    wake.resolve();
  });
  done.catch(() => {}); // looked at below
  await wake.promise;
  if (waiting.length === 0) await done;
  return (async function* () {
    for (;;) {
      yield* waiting.splice(0);
      if (over && waiting.length === 0) break;
      await wake.promise;
      wake = Promise.withResolvers<void>();
    }
    await done;
  })();
}
