/** A place in a log that moves on with it, over rotations: for those who follow a log and for those who send it on. */

import type { LogEntry } from "./driver.ts";
import { closeAll, type LogFile, openAll, openFile } from "./files.ts";
import { Lines } from "./lines.ts";

/** Where to go on: in the file that begins so, and from there. It outlives renaming and compression. */
export interface Cursor {
  readonly file: string;
  /** Bytes of the text. */
  readonly offset: number;
}

export interface Piece {
  readonly entries: readonly LogEntry[];
  /** Files have gone before anybody read them: entries are missing before these. */
  readonly gap: boolean;
}

/** Files that are held open beyond the one that is read: what a rotation drops meanwhile still takes space, so there are few. */
const AHEAD = 8;

/** The files from one on, of which some are kept; the others are closed. */
async function keptFrom(files: readonly LogFile[], first: number): Promise<LogFile[]> {
  const kept = files.slice(first, first + 1 + AHEAD);
  await closeAll(files.filter((each) => !kept.includes(each)));
  return kept;
}

/** Which of the log's files come after this one, or are left when it is not among them any more. */
async function successors(file: LogFile, path: string): Promise<{ next: LogFile[]; gap: boolean }> {
  const files = await openAll(path);
  let at = files.length - 1; // most likely it has only just been renamed: what is compressed is looked at last
  while (at >= 0 && !(await files[at]?.isSameAs(file))) at--;
  return { next: await keptFrom(files, at + 1), gap: at < 0 };
}

export class Follower implements AsyncDisposable {
  readonly #path: string;
  #lines: Lines | undefined;
  /** What comes after it, as far as it is open. */
  #ahead: LogFile[] = [];
  #gap = false;

  /** @param lines  where it begins; undefined: with the first file that there will be */
  constructor(path: string, lines: Lines | undefined) {
    this.#path = path;
    this.#lines = lines;
  }

  /** @param cursor  undefined: from the beginning of what is left */
  static async from(path: string, cursor: Cursor | undefined): Promise<Follower> {
    const files = await openAll(path);
    let at = files.length - 1;
    while (cursor && at >= 0 && (await files[at]?.identity()) !== cursor.file) at--;
    const isThere = cursor !== undefined && at >= 0;
    const [start, ...ahead] = await keptFrom(files, isThere ? at : 0);
    const follower = new Follower(path, start && new Lines(start, isThere ? cursor.offset : 0));
    follower.#ahead = ahead;
    follower.#gap = cursor !== undefined && !isThere && files.length > 0;
    return follower;
  }

  /** Behind what was given last. @returns undefined when that is nothing yet */
  async cursor(): Promise<Cursor | undefined> {
    const file = await this.#lines?.file.identity();
    return this.#lines && file !== undefined ? { file, offset: this.#lines.offset } : undefined;
  }

  /** All that is new, until there is no more for now. */
  async *drain(): AsyncGenerator<Piece> {
    for (;;) {
      const file = this.#lines ? undefined : await openFile(this.#path);
      this.#lines ??= file && new Lines(file, 0);
      const lines = this.#lines;
      if (!lines) return;
      yield* this.#rest(lines);
      if (this.#ahead.length === 0) {
        if (await lines.file.isAt(this.#path)) return;
        yield* this.#rest(lines); // written before the renaming
        await this.#lookAhead(lines.file);
      }
      await lines.file.close();
      const next = this.#ahead.shift();
      this.#lines = next && new Lines(next, 0);
    }
  }

  async #lookAhead(file: LogFile): Promise<void> {
    const { next, gap } = await successors(file, this.#path);
    this.#ahead = next;
    this.#gap ||= gap;
  }

  async *#rest(lines: Lines): AsyncGenerator<Piece> {
    for (let entries = await lines.next(); entries; entries = await lines.next()) {
      const gap = this.#gap;
      this.#gap = false;
      yield { entries, gap };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const lines = this.#lines;
    this.#lines = undefined;
    await lines?.file.close();
    await closeAll(this.#ahead.splice(0));
  }
}
