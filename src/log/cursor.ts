/** How far a log has been sent on, in a file beside it: written after the collector has what comes before, so that nothing is skipped. */

import { readFile, rename, writeFile } from "node:fs/promises";
import { ifMissing } from "../base/errors.ts";
import { isObject } from "../base/objects.ts";
import type { Cursor } from "./follower.ts";

export interface Sent {
  readonly cursor: Cursor;
  /** Of the last entry before it; see LogEntry. */
  readonly number: number;
}

/** @returns undefined when there is none, or it is damaged: all is sent again then */
export async function readCursor(path: string): Promise<Sent | undefined> {
  const text = await readFile(path, "utf8").catch(ifMissing(""));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const { file, offset, number = 0 } = value;
  if (typeof file !== "string" || typeof offset !== "number" || typeof number !== "number") return undefined;
  return { cursor: { file, offset }, number };
}

/** Not synced: after a power cut some is sent twice. */
export async function writeCursor(path: string, { cursor, number }: Sent): Promise<void> {
  await writeFile(`${path}.new`, JSON.stringify({ ...cursor, number }), { mode: 0o600 });
  await rename(`${path}.new`, path);
}
