/**
 * The files of one log: `x` is written, `x.1`, `x.2`, … are older. An older one may be compressed, `x.2.gz`; while the daemon puts that in
 * the other's place both are there. What a file is called changes under whoever reads it; what it begins with does not.
 */

import { closeSync, fstatSync, openSync } from "node:fs";
import { constants, type FileHandle, open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { ifMissing } from "../base/errors.ts";
import { withFolderLocked } from "./folder-lock.ts";

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

  /** Whether this is what `path` names still. */
  async isAt(path: string): Promise<boolean> {
    const [ours, current] = await Promise.all([this.#file.stat(), stat(path).catch(() => undefined)]);
    return current === undefined || current.ino === ours.ino;
  }

  async isSameAs(other: LogFile): Promise<boolean> {
    const [one, two] = await Promise.all([this.#file.stat(), other.#file.stat()]);
    if (one.ino === two.ino) return true; // both are open: the number is nobody else's
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
export async function openFile(path: string): Promise<LogFile | undefined> {
  const file = await open(path).catch(ifMissing(undefined));
  return file && new LogFile(file, path, false);
}

export const closeAll = async (files: Iterable<LogFile>): Promise<void> => {
  for (const file of files) await file.close();
};

interface Opened {
  readonly fd: number;
  readonly inode: number;
  readonly compressed: boolean;
}

function openOne(path: string, compressed: boolean): Opened | undefined {
  try {
    const fd = openSync(path, "r");
    return { fd, compressed, inode: fstatSync(fd).ino };
  } catch (error) {
    return ifMissing(undefined)(error);
  }
}

/** While one is put in the other's place both are there. */
const openOlder = (path: string): Opened | undefined => openOne(path, false) ?? openOne(`${path}.gz`, true);

/** Oldest first. Nothing is renamed meanwhile, unless the lock could not be had: a file may be met under two numbers then. */
function openNamed(path: string): Opened[] {
  const files: Opened[] = [];
  for (let number = 0, missing = 0; missing < 2; number++) {
    const file = number === 0 ? openOne(path, false) : openOlder(`${path}.${number}`);
    missing = file ? 0 : missing + 1; // after a rotation that found no room there is no current one
    if (file && files.some(({ inode }) => inode === file.inode)) closeSync(file.fd);
    else if (file) files.unshift(file);
  }
  return files;
}

/** The log's files, oldest first: as they are at one moment. */
export async function openAll(path: string): Promise<LogFile[]> {
  const files = (await withFolderLocked(path, () => openNamed(path))) ?? openNamed(path);
  try {
    return await Promise.all(
      files.map(async ({ fd, compressed }) => new LogFile(await handleOf(fd), path, compressed)),
    );
  } finally {
    for (const { fd } of files) closeSync(fd);
  }
}

/** Node makes no handle of a descriptor; the same file is opened once more, whatever has become of its name. */
const handleOf = (fd: number): Promise<FileHandle> => open(`/proc/self/fd/${fd}`);
