/**
 * Fluentd and Fluent Bit, by the forward protocol. Options: Docker's documentation, "Fluentd logging driver".
 * Source: Forward Protocol Specification v1, "Forward Mode" and "Option".
 */

import { randomBytes } from "node:crypto";
import { parseDuration } from "../base/duration.ts";
import { corrupt, invalid } from "../base/errors.ts";
import { parseBytes } from "../base/units.ts";
import { type LogEntry, type LogSubject, timeNs } from "./driver.ts";
import { remoteLog } from "./driver-remote.ts";
import { EventTime, type Packable, pack, unpackAck } from "./msgpack.ts";
import { boolOption, countOption, type LogOptions } from "./options.ts";
import { Parts } from "./parts.ts";
import type { LogSink, RetryPolicy } from "./sink.ts";
import { type Address, Line, splitAddress, type Wire } from "./wire.ts";

const DEFAULT_HOST = "127.0.0.1";
const DEFAULT_PORT = 24_224;
/** Bytes. */
const DEFAULT_BUFFER = 1 << 20;
const DEFAULT_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 60_000;
/** As Docker's, which is for ever. */
const DEFAULT_RETRIES = 2 ** 31 - 1;

interface Settings {
  readonly tag: string;
  readonly subject: LogSubject;
  readonly isPrecise: boolean;
  readonly wantsAck: boolean;
  /** Bytes of one message, about. */
  readonly bufferLimit: number;
}

/** @throws invalid */
function addressOf(text: string | undefined): Address {
  if (!text) return { kind: "tcp", host: DEFAULT_HOST, port: DEFAULT_PORT };
  const parts = splitAddress(/^[a-z+]+:\/\//.test(text) ? text : `tcp://${text}`);
  if (!parts || (parts.path !== "" && parts.scheme !== "unix")) throw invalid(`invalid fluentd-address ${text}`);
  const { scheme, path } = parts;
  const [host, port] = [parts.host || DEFAULT_HOST, parts.port ?? DEFAULT_PORT];
  if (scheme === "unix" && path !== "") return { kind: "unix", path };
  if (scheme === "tcp") return { kind: "tcp", host, port };
  if (scheme === "tls") return { kind: "tls", host, port, tls: { verify: true } };
  throw invalid(`unsupported scheme in fluentd-address: ${text}`);
}

function durationOption(name: string, text: string | undefined, fallback: number): number {
  if (!text) return fallback;
  const ms = (parseDuration(text) ?? -1) / 1e6;
  if (ms < 0) throw invalid(`time: invalid duration ${JSON.stringify(text)} for ${name}`);
  return ms;
}

function retryOf(options: LogOptions): RetryPolicy {
  const firstMs = durationOption("fluentd-retry-wait", options["fluentd-retry-wait"], DEFAULT_RETRY_MS);
  const most = countOption("fluentd-max-retries", options["fluentd-max-retries"], DEFAULT_RETRIES);
  return { firstMs, longestMs: Math.max(firstMs, LONGEST_RETRY_MS), most };
}

/** How long one connection is used. @throws invalid */
function lifeOf(options: LogOptions): number {
  const ms = durationOption("fluentd-async-reconnect-interval", options["fluentd-async-reconnect-interval"], 0);
  if (ms !== 0 && (ms < 100 || ms > 10_000))
    throw invalid(
      `invalid value for fluentd-async-reconnect-interval: value (${options["fluentd-async-reconnect-interval"]}) must be between 100ms and 10s`,
    );
  return ms || Number.POSITIVE_INFINITY;
}

/** Nobody waits for a collector here, not even a start: both values mean the same. @throws invalid */
function checkAsync(options: LogOptions): void {
  const { "fluentd-async": async, "fluentd-async-connect": connect } = options;
  if (async && connect)
    throw invalid("conflicting options: cannot specify both 'fluentd-async' and 'fluentd-async-connect'");
  boolOption("fluentd-async", async, false);
  boolOption("fluentd-async-connect", connect, false);
}

class FluentdSink implements LogSink {
  readonly #line: Line;
  readonly #parts = new Parts();

  constructor(
    address: Address,
    lifeMs: number,
    readonly retry: RetryPolicy,
    readonly settings: Settings,
  ) {
    this.#line = new Line(address, lifeMs);
  }

  async send(entries: readonly LogEntry[]): Promise<number> {
    const records = this.#parts.attempt(entries, (entry, part) => pack(this.#record(entry, part)));
    await this.#line.use(async (wire) => {
      for (const batch of batches(records, this.settings.bufferLimit)) await this.#sendBatch(wire, batch);
    });
    this.#parts.settle();
    return 0;
  }

  #record({ time, stream, line, attributes }: LogEntry, part: Readonly<Record<string, string>>): Packable {
    const { subject, isPrecise } = this.settings;
    const ns = timeNs(time);
    const seconds = Number(ns / 1_000_000_000n);
    return [
      isPrecise ? new EventTime(seconds, Number(ns % 1_000_000_000n)) : seconds,
      {
        container_id: subject.id,
        container_name: `/${subject.name}`,
        source: stream,
        log: line.replace(/\n$/, ""),
        ...attributes,
        ...part,
      },
    ];
  }

  /** `[tag, [[time, record], …], {chunk}]`; the records are packed already. */
  async #sendBatch(wire: Wire, records: readonly Buffer[]): Promise<void> {
    const { tag, wantsAck } = this.settings;
    const chunk = randomBytes(16).toString("base64");
    const size = Buffer.of(0xdd, 0, 0, 0, 0); // array 32
    size.writeUInt32BE(records.length, 1);
    const option = pack(wantsAck ? { size: records.length, chunk } : { size: records.length });
    // An ack that comes while we still write counts as one, too.
    const answered = wantsAck ? ackOf(wire, chunk) : undefined;
    answered?.catch(() => {});
    await wire.write(Buffer.concat([Buffer.of(0x93), pack(tag), size, ...records, option]));
    await answered;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#line[Symbol.dispose]();
  }
}

async function ackOf(wire: Wire, chunk: string): Promise<void> {
  const answer = await wire.read(pack({ ack: chunk }).length);
  if (unpackAck(answer) !== chunk) throw corrupt("A collector has acknowledged what we have not sent");
}

/** Together as many as fit; one that is larger goes alone. */
function* batches(records: readonly Buffer[], limit: number): Generator<readonly Buffer[]> {
  let batch: Buffer[] = [];
  let bytes = 0;
  for (const record of records) {
    if (batch.length > 0 && bytes + record.length > limit) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(record);
    bytes += record.length;
  }
  if (batch.length > 0) yield batch;
}

const OPTIONS = [
  ...["address", "async", "async-connect", "async-reconnect-interval", "buffer-limit", "max-retries"],
  ...["request-ack", "retry-wait", "sub-second-precision"],
];

export const fluentdLog = remoteLog({
  name: "fluentd",
  options: OPTIONS.map((name) => `fluentd-${name}`),
  sink: (options, subject, tag) => {
    checkAsync(options);
    const limit = options["fluentd-buffer-limit"];
    const settings = {
      tag,
      subject,
      isPrecise: boolOption("fluentd-sub-second-precision", options["fluentd-sub-second-precision"], false),
      wantsAck: boolOption("fluentd-request-ack", options["fluentd-request-ack"], false),
      bufferLimit: limit ? parseBytes(limit) : DEFAULT_BUFFER,
    };
    return new FluentdSink(addressOf(options["fluentd-address"]), lifeOf(options), retryOf(options), settings);
  },
});
