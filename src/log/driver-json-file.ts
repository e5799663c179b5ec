/**
 * Docker's json-file log: an object a line, `{"log":"…\n","stream":"stdout","time":"…"}`, rotated by renaming: `x`, `x.1`, `x.2`, …
 * Read in large pieces and in batches; `tail` walks backwards, so that it costs the same at the end of a short and of a long log.
 */

import { type FileHandle, open, stat } from "node:fs/promises";
import { hasCode, invalid, notImplemented } from "../base/errors.ts";
import { isObject } from "../base/objects.ts";
import { ATTRIBUTE_OPTIONS, attributesOf } from "./attributes.ts";
import { type LogDriver, type LogEntry, type LogSubject, type LogTarget, type ReadOptions, timeNs } from "./driver.ts";

const PIECE = 256 << 10;
const NEWLINE = 10;

function bytesOption(name: string, text: string): number {
  const [, digits, unit = ""] = /^(\d+)([kmg]?)b?$/i.exec(text) ?? [];
  if (digits === undefined) throw invalid(`invalid value for log option ${name}: ${JSON.stringify(text)}`);
  return Number(digits) * 1024 ** " kmg".indexOf(unit.toLowerCase() || " ");
}

/** Docker's own default is a log that grows until the disk is full; `max-size=-1` asks for that. Bytes. */
const DEFAULT_SIZE = 100 << 20;
const DEFAULT_FILES = 3;

type Options = Readonly<Record<string, string>>;

function target(path: string, options: Options, subject: LogSubject): LogTarget {
  const known = ["max-size", "max-file", "compress", ...ATTRIBUTE_OPTIONS];
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) throw invalid(`unknown log opt '${unknown}' for json-file log driver`);
  if (!["false", "0", undefined].includes(options.compress))
    throw notImplemented("log option compress is not supported yet");
  const attributes = attributesOf(options, subject);
  return { path, ...rotationOf(options), ...(attributes && { attributes }) };
}

function rotationOf(options: Options): Pick<LogTarget, "maxSize" | "maxFiles"> {
  const size = options["max-size"];
  if (size === undefined && options["max-file"] === undefined)
    return { maxSize: DEFAULT_SIZE, maxFiles: DEFAULT_FILES };
  const files = options["max-file"] ?? "1";
  if (!/^[1-9]\d{0,4}$/.test(files)) throw invalid(`invalid value for log option max-file: ${JSON.stringify(files)}`);
  if (Number(files) > 1 && size === undefined) throw invalid("max-file cannot be used without max-size");
  return {
    maxSize: size === undefined || size === "-1" ? 0 : bytesOption("max-size", size),
    maxFiles: Number(files),
  };
}

const isTexts = (value: unknown): value is Options =>
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
  const { log, stream, time, attrs } = value;
  if (typeof log !== "string" || typeof time !== "string") return [];
  const entry: LogEntry = { line: log, stream: stream === "stderr" ? "stderr" : "stdout", time };
  return [isTexts(attrs) ? { ...entry, attributes: attrs } : entry];
}

/** The whole lines of a file from a position on; what follows the last newline waits for the next call. */
class Lines {
  #rest = Buffer.alloc(0);
  constructor(
    readonly file: FileHandle,
    public position: number,
  ) {}

  /** @returns undefined at the end of what there is */
  async next(): Promise<LogEntry[] | undefined> {
    for (;;) {
      const piece = Buffer.allocUnsafe(PIECE);
      const { bytesRead } = await this.file.read(piece, 0, PIECE, this.position);
      if (bytesRead === 0) {
        // a log of one file is rotated by emptying it
        if ((await this.file.stat()).size >= this.position) return undefined;
        this.#rest = Buffer.alloc(0);
        this.position = 0;
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

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** The log's files, oldest first. While they are renamed a number may be missing, and a file be met under two numbers. */
async function openAll(path: string): Promise<FileHandle[]> {
  const files: FileHandle[] = [];
  const met = new Set<number>();
  for (let number = 0, missing = 0; missing < 2; number++) {
    const file = await openIfThere(number === 0 ? path : `${path}.${number}`);
    missing = file ? 0 : missing + 1;
    if (!file) continue;
    const { ino } = await file.stat();
    if (met.has(ino)) await file.close();
    else files.unshift(file);
    met.add(ino);
  }
  return files;
}

/** The file that was begun when this one was full; the oldest that is left when this one is gone already. */
async function successor(file: FileHandle, path: string): Promise<FileHandle | undefined> {
  const files = await openAll(path);
  const numbers = await Promise.all(files.map(async (each) => (await each.stat()).ino));
  const next = numbers.indexOf((await file.stat()).ino) + 1;
  await Promise.all(files.filter((_, at) => at !== next).map((each) => each.close()));
  return files[next];
}

/** @returns where the last `wanted` lines of a file begin, and how many there are */
async function tailStart(file: FileHandle, wanted: number): Promise<{ position: number; found: number }> {
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

/** Skips whole files and the beginning of one, so that `tail` lines are left. */
async function startAt(files: readonly FileHandle[], tail: number | undefined): Promise<Lines[]> {
  if (tail === undefined) return files.map((file) => new Lines(file, 0));
  const starts: Lines[] = [];
  let wanted = tail;
  for (const file of files.toReversed()) {
    const { position, found } =
      wanted > 0 ? await tailStart(file, wanted) : { position: (await file.stat()).size, found: 0 };
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

async function sameFile(file: FileHandle, path: string): Promise<boolean> {
  const [ours, current] = await Promise.all([file.stat(), stat(path).catch(() => undefined)]);
  return current === undefined || current.ino === ours.ino;
}

async function* follow(path: string, current: Lines | undefined, options: ReadOptions): AsyncGenerator<LogEntry[]> {
  let lines = current;
  const drain = async function* () {
    for (;;) {
      const file = lines ? undefined : await openIfThere(path);
      lines ??= file && new Lines(file, 0);
      if (!lines) return;
      for (let batch = await lines.next(); batch; batch = await lines.next()) yield batch;
      if (await sameFile(lines.file, path)) return;
      for (let batch = await lines.next(); batch; batch = await lines.next()) yield batch; // written before the rename
      const next = await successor(lines.file, path);
      await lines.file.close();
      lines = next && new Lines(next, 0);
    }
  };
  try {
    for await (const _ of options.changes ?? []) yield* drain();
    yield* drain();
  } finally {
    await lines?.file.close();
  }
}

async function* read(path: string, options: ReadOptions): AsyncGenerator<readonly LogEntry[]> {
  const keep = within(options);
  const bounded = options.since !== undefined || options.until !== undefined;
  const files = await openAll(path);
  const kept: LogEntry[] = []; // with `tail` and a time both, the tail is of what the times leave
  const held = bounded && options.tail !== undefined;
  const starts = await startAt(files, held ? undefined : options.tail);
  const current = starts.at(-1);
  try {
    for (const lines of starts)
      for (let batch = await lines.next(); batch; batch = await lines.next()) {
        const matching = bounded ? batch.filter(keep) : batch;
        if (held) kept.push(...matching.slice(-(options.tail ?? 0) || matching.length));
        else yield matching;
      }
    if (held) yield options.tail ? kept.slice(-options.tail) : [];
    for (const file of files.slice(0, -1)) await file.close();
    files.length = 0;
    if (options.changes) {
      for await (const batch of follow(path, current, options)) yield batch.filter(keep);
    } else await current?.file.close();
  } finally {
    for (const file of files) await file.close();
  }
}

export const jsonFileLog: LogDriver = { name: "json-file", target, read };
