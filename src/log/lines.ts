/** The lines of Docker's json-file log: an object each, `{"log":"…\n","stream":"stdout","attrs":{…},"time":"…"}`. */

import type { FileHandle } from "node:fs/promises";
import { isObject } from "../base/objects.ts";
import type { LogEntry } from "./driver.ts";
import type { LogFile } from "./files.ts";

const PIECE = 256 << 10;
const NEWLINE = 10;

const isTexts = (value: unknown): value is Readonly<Record<string, string>> =>
  isObject(value) && Object.values(value).every((each) => typeof each === "string");

/** A damaged line (power cut) is skipped: the rest of the log is still worth reading. */
function parseLine(line: string): LogEntry[] {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return [];
  }
  if (!isObject(value)) return [];
  const { log, stream, time, attrs, n: number } = value;
  if (typeof log !== "string" || typeof time !== "string") return [];
  const plain: LogEntry = { line: log, stream: stream === "stderr" ? "stderr" : "stdout", time };
  const entry = typeof number === "number" ? { ...plain, number } : plain;
  return [isTexts(attrs) ? { ...entry, attributes: attrs } : entry];
}

/** The whole lines of a file from a position on; what follows the last newline waits for the next call. */
export class Lines {
  #rest = Buffer.alloc(0);

  constructor(
    readonly file: LogFile,
    private position: number,
  ) {}

  /** Where the lines end that were given. */
  get offset(): number {
    return this.position - this.#rest.length;
  }

  /** @returns undefined at the end of what there is */
  async next(): Promise<LogEntry[] | undefined> {
    const text = await this.file.text();
    for (;;) {
      const piece = Buffer.allocUnsafe(PIECE);
      const { bytesRead } = await text.read(piece, 0, PIECE, this.position);
      if (bytesRead === 0) {
        // a log of one file is rotated by emptying it
        if ((await text.stat()).size >= this.position) return undefined;
        this.#rest = Buffer.alloc(0);
        this.position = 0;
        this.file.begunAgain();
        continue;
      }
      this.position += bytesRead;
      const bytes = Buffer.concat([this.#rest, piece.subarray(0, bytesRead)]);
      const end = bytes.lastIndexOf(NEWLINE) + 1;
      this.#rest = bytes.subarray(end);
      if (end > 0)
        return bytes
          .toString("utf8", 0, end - 1)
          .split("\n")
          .flatMap(parseLine);
    }
  }
}

/** @returns where the last `wanted` lines of a file begin, and how many there are */
export async function tailStart(file: FileHandle, wanted: number): Promise<{ position: number; found: number }> {
  let position = (await file.stat()).size;
  let found = 0;
  let last = true; // the newline at the very end ends the last line, it does not begin one
  while (position > 0) {
    const length = Math.min(PIECE, position);
    const piece = Buffer.allocUnsafe(length);
    await file.read(piece, 0, length, position - length);
    for (let at = length - 1; at >= 0; at--) {
      if (piece[at] !== NEWLINE) continue;
      if (!last && ++found === wanted) return { position: position - length + at + 1, found };
      last = false;
    }
    position -= length;
  }
  return { position: 0, found: last ? 0 : found + 1 };
}
