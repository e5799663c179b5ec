/**
 * Port: what becomes of a container's output. Writing it down is the shim's work, so that no line is lost while no daemon runs; here it is read
 * back, and sent on.
 */

import type { LogOptions } from "./options.ts";
import type { LogSink } from "./sink.ts";

export interface LogEntry {
  readonly stream: "stdout" | "stderr";
  /** RFC 3339 with up to nine digits of a second, UTC. */
  readonly time: string;
  /** With its newline, if it had one. */
  readonly line: string;
  /** What the container's options have it say with each line. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** Among the entries of one run of its container, from 1; where they are counted. */
  readonly number?: number;
}

/** The container that writes, as far as its log may tell. */
export interface LogSubject {
  readonly id: string;
  readonly name: string;
  /** As the user named it, and its id. */
  readonly image: string;
  readonly imageId: string;
  /** With its arguments. */
  readonly command: readonly string[];
  /** ISO 8601. */
  readonly created: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `NAME=value`. */
  readonly env: readonly string[];
}

export interface ReadOptions {
  /** Only the last so many lines (of what `since` and `until` leave). */
  readonly tail?: number;
  /** Nanoseconds since 1970. So is `until`. */
  readonly since?: bigint;
  readonly until?: bigint;
  /** Go on after the end: yields whenever there may be more, ends when there will be none. */
  readonly changes?: AsyncIterable<void>;
}

export interface LogDriver {
  /** As users name it: `json-file`, `none`. */
  readonly name: string;

  /** The log's file in its container's folder; undefined when none is kept. */
  readonly file: ((containerId: string) => string) | undefined;

  /** Whether other tools may read the file: inspect tells of it. */
  readonly isPublic: boolean;

  /** What the shim shall write: a file and its rotation; undefined for nothing. @throws invalid for unknown or malformed options */
  target(path: string, options: LogOptions, subject: LogSubject): LogTarget | undefined;

  /**
   * @param path  the current log file; older ones are `path.1`, `path.2`, … A file that is missing reads as empty.
   * @param driverOptions  the container's, which may say that nobody reads
   * @returns entries in order, in batches as they come off the disk
   * @throws notImplemented when this driver's logs cannot be read
   */
  read(path: string, options: ReadOptions, driverOptions?: LogOptions): AsyncIterable<readonly LogEntry[]>;

  /** Where entries are sent on to, for drivers that do. Nothing is connected yet. @throws invalid */
  sink?(options: LogOptions, subject: LogSubject): LogSink;
}

export interface LogTarget {
  readonly path: string;
  /** Bytes at which the file is rotated; 0 for never. */
  readonly maxSize: number;
  /** How many files are kept, the current one included. */
  readonly maxFiles: number;
  /** Whether the older ones are compressed. */
  readonly compress: boolean;
  /** Whether entries are counted. */
  readonly numbered?: true;
  readonly attributes?: Readonly<Record<string, string>>;
}

/** Nanoseconds since 1970 of an RFC 3339 time in UTC. */
export function timeNs(time: string): bigint {
  const [seconds = "", fraction = ""] = time.replace(/Z$/, "").split(".");
  return BigInt(Date.parse(`${seconds}Z`)) * 1_000_000n + BigInt(fraction.padEnd(9, "0").slice(0, 9));
}
