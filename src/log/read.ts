/** Reading a log back: in large pieces and in batches; `tail` walks backwards, so that it costs the same for a short and for a long log. */

import { type LogEntry, type ReadOptions, timeNs } from "./driver.ts";
import { type LogFile, openAll } from "./files.ts";
import { Follower } from "./follower.ts";
import { Lines, tailStart } from "./lines.ts";

/** Skips whole files and the beginning of one, so that `tail` lines are left. What is skipped is not inflated. */
async function startAt(files: readonly LogFile[], tail: number | undefined): Promise<Lines[]> {
  if (tail === undefined) return files.map((file) => new Lines(file, 0));
  const starts: Lines[] = [];
  let wanted = tail;
  for (const file of files.toReversed()) {
    if (wanted <= 0 && starts.length > 0) break;
    const text = await file.text();
    const { position, found } =
      wanted > 0 ? await tailStart(text, wanted) : { position: (await text.stat()).size, found: 0 };
    starts.unshift(new Lines(file, position));
    wanted -= found;
  }
  return starts;
}

const within =
  ({ since, until }: ReadOptions) =>
  ({ time }: LogEntry): boolean => {
    if (since === undefined && until === undefined) return true;
    const at = timeNs(time);
    return (since === undefined || at >= since) && (until === undefined || at <= until);
  };

async function* follow(
  path: string,
  current: Lines | undefined,
  changes: AsyncIterable<void>,
): AsyncGenerator<readonly LogEntry[]> {
  await using follower = new Follower(path, current);
  for await (const _ of changes) for await (const { entries } of follower.drain()) yield entries;
  for await (const { entries } of follower.drain()) yield entries;
}

/** See LogDriver.read. */
export async function* read(path: string, options: ReadOptions): AsyncGenerator<readonly LogEntry[]> {
  const keep = within(options);
  const bounded = options.since !== undefined || options.until !== undefined;
  const files = await openAll(path);
  const kept: LogEntry[] = []; // with `tail` and a time both, the tail is of what the times leave
  const held = bounded && options.tail !== undefined;
  try {
    const starts = await startAt(files, held ? undefined : options.tail);
    const current = starts.at(-1);
    for (const lines of starts) {
      for (let batch = await lines.next(); batch; batch = await lines.next()) {
        const matching = bounded ? batch.filter(keep) : batch;
        if (held) kept.push(...matching.slice(-(options.tail ?? 0) || matching.length));
        else yield matching;
      }
      if (lines === current) break;
      await lines.file.close(); // an inflated one takes space
      files.splice(files.indexOf(lines.file), 1);
    }
    if (held) yield options.tail ? kept.slice(-options.tail) : [];
    if (!options.changes) return;
    if (current) files.splice(files.indexOf(current.file), 1); // the follower closes it
    for await (const batch of follow(path, current, options.changes)) yield batch.filter(keep);
  } finally {
    for (const file of files) await file.close();
  }
}
