/** systemd's journal, where there is one. */

import { existsSync } from "node:fs";
import { unavailable } from "../base/errors.ts";
import type { LogEntry } from "./driver.ts";
import { remoteLog } from "./driver-remote.ts";
import { journalEntry, journalFields } from "./journal-entry.ts";
import { type LogSink, type RetryPolicy, SteadyRetry } from "./sink.ts";
import { Line } from "./wire.ts";
import { isTooLong } from "./wire-datagram.ts";

const JOURNAL_SOCKET = "/run/systemd/journal/socket";

class JournalSink implements LogSink {
  readonly retry: RetryPolicy = SteadyRetry;
  readonly #line: Line;

  constructor(
    path: string,
    readonly fields: Readonly<Record<string, string>>,
  ) {
    this.#line = new Line({ kind: "unixgram", path });
  }

  send(entries: readonly LogEntry[]): Promise<number> {
    return this.#line.use(async (wire) => {
      let unfit = 0;
      for (const entry of entries)
        await wire.write(journalEntry(entry, this.fields)).catch((error) => {
          if (!isTooLong(error)) throw error;
          unfit++;
        });
      return unfit;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#line[Symbol.dispose]();
  }
}

/** @param socket  of the journal */
export const journaldLog = (socket = JOURNAL_SOCKET) =>
  remoteLog({
    name: "journald",
    options: [],
    sink: (_, subject, tag) => {
      if (!existsSync(socket)) throw unavailable("journald is not enabled on this host");
      return new JournalSink(socket, journalFields(subject, tag));
    },
  });
