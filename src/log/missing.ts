/** Entries that should be there and are not: rotated away before anybody read them, or lost by a disk that was full. */

import type { LogEntry } from "./driver.ts";

export class Missing {
  #last: number;

  /** @param last  number of the last entry before those that come */
  constructor(last: number) {
    this.#last = last;
  }

  get last(): number {
    return this.#last;
  }

  /** @returns how many are missing before and among these. Of the end of a run that another has followed nobody knows */
  take(entries: readonly LogEntry[]): number {
    let missing = 0;
    for (const { number } of entries) {
      if (number === undefined) continue;
      missing += number > this.#last ? number - this.#last - 1 : number - 1; // numbers begin again with each run
      this.#last = number;
    }
    return missing;
  }
}
