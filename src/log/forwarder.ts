/**
 * Sends a container's log on to a collector, from the file that the shim writes. It holds one batch at a time, so that a collector that is slow or
 * gone costs neither memory nor anybody's time; what waits in the file too long goes with the file's rotation, and is told of.
 *
 * A batch counts as sent when the sink says so; then the cursor is written. Whoever dies between sends that batch again: at least once, and at
 * most one batch twice, unless the disk is full.
 */

import { messageOf } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { readCursor, type Sent, writeCursor } from "./cursor.ts";
import type { LogEntry } from "./driver.ts";
import { Follower } from "./follower.ts";
import { Missing } from "./missing.ts";
import type { LogSink } from "./sink.ts";

export interface ForwarderOptions {
  /** The log's current file. */
  readonly path: string;
  /** Where the cursor is kept. */
  readonly cursorPath: string;
  readonly sink: LogSink;
  readonly log: Logger;
  /** For what is told in the daemon's log. */
  readonly containerId: string;
}

const GROWTH = 2;

export class Forwarder implements AsyncDisposable {
  readonly #options: ForwarderOptions;
  readonly #running: Promise<void>;
  readonly #stopped = Promise.withResolvers<void>();
  #isStopped = false;
  /** Whether there may be something new, and who waits for that. */
  #isWoken = true;
  #wake = Promise.withResolvers<void>();
  /** Settled while nothing is left to do. */
  #quiet = Promise.withResolvers<void>();
  #isQuiet = false;
  #isFailing = false;
  /** Whether the cursor tells of less than was sent. */
  #isBehind = false;
  /** Whether it ends once all is sent, and whether it has. */
  #isEnding = false;
  #isDone = false;
  /** Of the last entry that arrived. */
  #lastTime = "";

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** There may be something new. */
  wake(): void {
    if (this.#isQuiet) this.#quiet = Promise.withResolvers<void>();
    this.#isQuiet = false;
    this.#isWoken = true;
    this.#wake.resolve();
  }

  /** Nothing will be new any more: it ends when all is sent. @returns when that is so */
  finish(): Promise<void> {
    this.#isEnding = true;
    this.wake();
    return this.#running;
  }

  /** There will be more after all. @returns false when it has ended */
  goOn(): boolean {
    if (this.#isDone) return false;
    this.#isEnding = false;
    return true;
  }

  /** Settles when all has been sent that there was, or the collector does not take it, or time is up. */
  async settled(limitMs: number): Promise<void> {
    if (this.#isFailing) return;
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, limitMs);
    await Promise.race([this.#quiet.promise, late.promise, this.#running]);
    clearTimeout(timer);
  }

  async #run(): Promise<void> {
    const { path, cursorPath, log, containerId } = this.#options;
    try {
      const sent = await readCursor(cursorPath);
      const missing = new Missing(sent?.number ?? 0);
      await using follower = await Follower.from(path, sent?.cursor);
      while (!this.#isStopped && !this.#isDone) await this.#turn(follower, missing);
    } catch (error) {
      log.error("a container's log is not sent on any more", { id: containerId, error: messageOf(error) });
    } finally {
      this.#isDone = true;
      await this.#options.sink[Symbol.asyncDispose]();
    }
  }

  async #turn(follower: Follower, missing: Missing): Promise<void> {
    this.#isWoken = false;
    for await (const { entries, gap } of follower.drain()) {
      const lost = missing.take(entries);
      if (gap || lost > 0) this.#tellGap(entries, lost);
      const isSent = await this.#send(entries);
      const cursor = isSent ? await follower.cursor() : undefined;
      if (cursor) await this.#note({ cursor, number: missing.last });
      if (this.#isStopped) return;
    }
    if (this.#isWoken) return;
    this.#isDone = this.#isEnding;
    this.#rest();
    if (!this.#isDone) await Promise.race([this.#wake.promise, this.#stopped.promise]);
    this.#wake = Promise.withResolvers<void>();
  }

  /** On a full disk the cursor stays behind, and whoever dies then sends more than a batch again: that is no reason to send no more. */
  async #note(sent: Sent): Promise<void> {
    const { cursorPath, log, containerId: id } = this.#options;
    try {
      await writeCursor(cursorPath, sent);
      this.#isBehind = false;
    } catch (error) {
      if (!this.#isBehind) log.warn("how far a log is sent cannot be written", { id, error: messageOf(error) });
      this.#isBehind = true;
    }
  }

  #rest(): void {
    this.#isQuiet = true;
    this.#quiet.resolve();
  }

  /** @returns false when it was stopped before they were sent */
  async #send(entries: readonly LogEntry[]): Promise<boolean> {
    const { sink, log, containerId: id } = this.#options;
    const { firstMs, longestMs, most } = sink.retry;
    let wait = firstMs;
    for (let failures = 0; !this.#isStopped; ) {
      try {
        const unfit = entries.length > 0 ? await sink.send(entries) : 0;
        if (unfit > 0) log.warn("log entries are too long for the collector", { id, lost: unfit });
        if (failures > 0) log.info("the log's collector takes entries again", { id });
        this.#isFailing = false;
        this.#lastTime = entries.at(-1)?.time ?? this.#lastTime;
        return true;
      } catch (error) {
        if (this.#isStopped) return false;
        if (failures++ === 0) log.warn("the log's collector does not take entries", { id, error: messageOf(error) });
        if (failures > most) return this.#giveUp(entries);
        this.#isFailing = true;
        this.#rest();
        await this.#pause(wait);
        wait = Math.min(wait * GROWTH, longestMs);
      }
    }
    return false;
  }

  #giveUp(entries: readonly LogEntry[]): true {
    const { log, containerId: id } = this.#options;
    log.error("log entries are given up: the collector did not take them", { id, lost: entries.length });
    return true;
  }

  #tellGap(entries: readonly LogEntry[], lost: number): void {
    const { log, containerId: id } = this.#options;
    const span = { lost, after: this.#lastTime || "the start", before: entries[0]?.time ?? "" };
    log.error("log entries were lost before the collector took them", { id, ...span });
  }

  async #pause(ms: number): Promise<void> {
    const over = Promise.withResolvers<void>();
    const timer = setTimeout(over.resolve, ms);
    await Promise.race([over.promise, this.#stopped.promise]);
    clearTimeout(timer);
  }

  /** What is not sent yet stays for the next one. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true;
    this.#stopped.resolve();
    await this.#options.sink[Symbol.asyncDispose](); // ends what is being sent
    await this.#running;
  }
}
