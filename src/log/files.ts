/**
 * The files of one log: `x` is written, `x.1`, `x.2`, … are older. An older one may be compressed, `x.2.gz`; while the daemon puts that in
 * the other's place both are there. What a file is called changes under whoever reads it; what it begins with does not.
 */

import { constants, type FileHandle, open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { ifMissing } from "../base/errors.ts";

const PIECE = 256 << 10;
const NEWLINE = 10;
/** A file that no name leads to. Source: open(2); Node has no name for it. */
const O_TMPFILE = 0o20200000;

async function* piecesOf(file: FileHandle): AsyncGenerator<Uint8Array> {
  for (let position = 0; ; ) {
    const piece = Buffer.allocUnsafe(PIECE);
    const { bytesRead } = await file.read(piece, 0, PIECE, position);
    if (bytesRead === 0) return;
    yield piece.subarray(0, bytesRead);
    position += bytesRead;
  }
}

/** Of a damaged file, what comes before the damage: the rest of a log is still worth reading. */
async function* inflated(file: FileHandle): AsyncGenerator<Uint8Array> {
  const out = createGunzip();
  const done = pipeline(piecesOf(file), out).catch(() => {}); // `out` tells it, too
  try {
    yield* out;
  } catch {
    return;
  } finally {
    out.destroy();
    await done;
  }
}

/** @returns the first line's digest; undefined as long as there is no whole line */
async function firstLine(pieces: AsyncIterable<Uint8Array>): Promise<string | undefined> {
  const hash = new Bun.CryptoHasher("sha256");
  for await (const piece of pieces) {
    const end = piece.indexOf(NEWLINE);
    hash.update(end < 0 ? piece : piece.subarray(0, end));
    if (end >= 0) return hash.digest("hex").slice(0, 32);
  }
  return undefined;
}

export class LogFile {
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #compressed: boolean;
  #text: FileHandle | undefined;
  #identity: string | undefined;

  constructor(file: FileHandle, path: string, compressed: boolean) {
    this.#file = file;
    this.#path = path;
    this.#compressed = compressed;
    if (!compressed) this.#text = file;
  }

  /** What it says. A compressed one is inflated into a file that has no name: memory is for pieces only. */
  async text(): Promise<FileHandle> {
    if (this.#text) return this.#text;
    const text = await open(dirname(this.#path), O_TMPFILE | constants.O_RDWR, 0o600);
    this.#text = text;
    for await (const piece of inflated(this.#file)) await text.write(piece);
    return text;
  }

  /** Names the text, whatever its file is called and whether or not it is compressed: lines carry nanoseconds. Undefined while it is empty. */
  async identity(): Promise<string | undefined> {
    this.#identity ??= await firstLine(this.#text ? piecesOf(this.#text) : inflated(this.#file));
    return this.#identity;
  }

  /** A log of one file is emptied, and begins again. */
  begunAgain(): void {
    this.#identity = undefined;
  }

  /** Of the file itself, not of its text. */
  stat = async (): Promise<{ readonly ino: number; readonly ctimeMs: number }> => await this.#file.stat();

  get isCompressed(): boolean {
    return this.#compressed;
  }

  /** Whether this is what `path` names still. */
  async isAt(path: string): Promise<boolean> {
    const [ours, current] = await Promise.all([this.#file.stat(), stat(path).catch(() => undefined)]);
    return current === undefined || current.ino === ours.ino;
  }

  async isSameAs(other: LogFile): Promise<boolean> {
    const [one, two] = await Promise.all([this.stat(), other.stat()]);
    if (one.ino === two.ino) return true;
    if (this.#compressed === other.#compressed) return false;
    const identity = await this.identity();
    return identity !== undefined && identity === (await other.identity());
  }

  async close(): Promise<void> {
    await this.#file.close();
    if (this.#text !== this.#file) await this.#text?.close();
  }
}

/** @returns undefined when there is no such file */
export async function openFile(path: string, compressed = false): Promise<LogFile | undefined> {
  const file = await open(path).catch(ifMissing(undefined));
  return file && new LogFile(file, path, compressed);
}

/** A compressed file appears before the other goes: whoever finds neither has met a renaming. */
const openOlder = async (path: string): Promise<LogFile | undefined> =>
  (await openFile(path)) ?? (await openFile(`${path}.gz`, true));

export const closeAll = async (files: Iterable<LogFile>): Promise<void> => {
  for (const file of files) await file.close();
};

/** By how much the kernel's clock for files may be behind. ms */
const CLOCK_MS = 20;

/** The log's files, oldest first. While they are renamed a number may be missing, and a file be met under two numbers. */
export async function openAll(path: string): Promise<LogFile[]> {
  const since = Date.now() - CLOCK_MS;
  const files: LogFile[] = [];
  const inodes = new Set<number>();
  for (let number = 0, missing = 0; missing < 2; number++) {
    const file = number === 0 ? await openFile(path) : await openOlder(`${path}.${number}`);
    missing = file ? 0 : missing + 1;
    if (!file) continue;
    const { ino, ctimeMs } = await file.stat();
    // one that has been where it is since before we began was not met as another
    const isMet = inodes.has(ino) || (file.isCompressed && ctimeMs >= since && (await isAmong(files, file)));
    inodes.add(ino);
    if (isMet) await file.close();
    else files.unshift(file);
  }
  return files;
}

async function isAmong(files: readonly LogFile[], file: LogFile): Promise<boolean> {
  for (const each of files) if (await file.isSameAs(each)) return true;
  return false;
}
