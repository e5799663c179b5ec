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

/** Which of the log's files comes after this one, when it is among them. The others are closed. */
async function successor(file: LogFile, path: string): Promise<{ next: LogFile | undefined; gap: boolean }> {
  const files = await openAll(path);
  let at = files.length - 1; // most likely it has only just been renamed: what is compressed is looked at last
  while (at >= 0 && !(await files[at]?.isSameAs(file))) at--;
  const next = files[at + 1];
  await closeAll(files.filter((each) => each !== next));
  return { next, gap: at < 0 };
}

export class Follower implements AsyncDisposable {
  readonly #path: string;
  #lines: Lines | undefined;
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
    const start = cursor && at >= 0 ? files[at] : files[0];
    await closeAll(files.filter((each) => each !== start));
    const follower = new Follower(path, start && new Lines(start, cursor && at >= 0 ? cursor.offset : 0));
    follower.#gap = cursor !== undefined && at < 0 && files.length > 0;
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
      if (await lines.file.isAt(this.#path)) return;
      yield* this.#rest(lines); // written before the renaming
      const { next, gap } = await successor(lines.file, this.#path);
      await lines.file.close();
      this.#gap ||= gap;
      this.#lines = next && new Lines(next, 0);
    }
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
  }
}
