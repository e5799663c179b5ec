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

/** What it is given is called with each thing that there is to report. */
type Work<T> = (report: (item: T) => void) => Promise<unknown>;

/** Runs work as a stream of what it reports, which a failure ends. @returns `begun` when there is something in it; it fails as the work may before that */
function reporting<T>(work: Work<T>): { readonly begun: Promise<void>; readonly items: AsyncGenerator<T> } {
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
  const begun = wake.promise.then(async () => {
    if (waiting.length === 0) await done;
  });
  begun.catch(() => {}); // not everybody waits for it
  const items = (async function* () {
    for (;;) {
      yield* waiting.splice(0);
      if (over && waiting.length === 0) break;
      await wake.promise;
      wake = Promise.withResolvers<void>();
    }
    await done;
  })();
  return { begun, items };
}

/** A failure before the first thing is reported is thrown here, and becomes a status; later ones end the stream. */
export async function reported<T>(work: Work<T>): Promise<AsyncGenerator<T>> {
  const { begun, items } = reporting(work);
  await begun;
  return items;
}

/** Every failure ends the stream, the first thing of all, too. */
export const streamed = <T>(work: Work<T>): AsyncGenerator<T> => reporting(work).items;
