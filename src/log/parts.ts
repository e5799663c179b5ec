/** Lines that were too long for one entry, and came in parts: which part is which. Source: Moby, daemon/logger/copier.go, PLogMetaData. */

import { newId } from "../base/ids.ts";
import type { LogEntry } from "./driver.ts";

interface Open {
  readonly id: string;
  readonly ordinal: number;
}

type Streams = Readonly<Partial<Record<LogEntry["stream"], Open>>>;

export class Parts {
  #settled: Streams = {};
  #attempted: Streams = {};

  /** What is sent again is counted again. @param form  gets Docker's fields of a part, none for a whole line */
  attempt<T>(
    entries: readonly LogEntry[],
    form: (entry: LogEntry, fields: Readonly<Record<string, string>>) => T,
  ): T[] {
    const open = { ...this.#settled };
    const formed = entries.map((entry) => {
      const before = open[entry.stream];
      const isLast = entry.line.endsWith("\n");
      if (before === undefined && isLast) return form(entry, {});
      const part = { id: before?.id ?? newId(), ordinal: (before?.ordinal ?? 0) + 1 };
      if (isLast) delete open[entry.stream];
      else open[entry.stream] = part;
      return form(entry, {
        partial_message: "true",
        partial_id: part.id,
        partial_ordinal: String(part.ordinal),
        partial_last: String(isLast),
      });
    });
    this.#attempted = open;
    return formed;
  }

  /** What was attempted last has arrived. */
  settle(): void {
    this.#settled = this.#attempted;
  }
}
