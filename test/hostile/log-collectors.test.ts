/** Collectors that mean harm, or mean nothing: they cost neither memory nor entries, and nobody waits for them. */

import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silent } from "../../src/base/logger.ts";
import type { LogEntry } from "../../src/log/driver.ts";
import { Forwarder } from "../../src/log/forwarder.ts";
import type { LogSink } from "../../src/log/sink.ts";
import { fluentdLog } from "../../src/log/sink-fluentd.ts";
import { gelfLog } from "../../src/log/sink-gelf.ts";
import { StreamCollector } from "../support/collectors.ts";
import { makeFolder } from "../support/folder.ts";
import { entryOf, lineOf, linesOf, numbersOf, range, SUBJECT } from "../support/log-entries.ts";
import { unpackAll } from "../support/msgpack.ts";

const impatient = { "fluentd-retry-wait": "1ms", "fluentd-request-ack": "true" };

function fluentdAt({ port }: StreamCollector): LogSink {
  const sink = fluentdLog.sink?.({ "fluentd-address": `127.0.0.1:${port}`, ...impatient }, SUBJECT);
  if (!sink) throw new Error("fluentd sends nothing");
  return sink;
}

const chunkOf = (bytes: Buffer): string => {
  const [message] = unpackAll(bytes);
  return Array.isArray(message) ? String(Object(message[2]).chunk) : "";
};
const ackOf = (chunk: string) =>
  Buffer.concat([Buffer.from("81a361636b", "hex"), Buffer.of(0xa0 | chunk.length), Buffer.from(chunk)]);

describe("acknowledgements that are none", () => {
  test.each<[what: string, answer: (chunk: string) => Uint8Array]>([
    ["garbage", () => Buffer.alloc(100, 0xff)],
    ["of another chunk", (chunk) => ackOf("x".repeat(chunk.length))],
    ["HTTP", () => Buffer.from(`HTTP/1.1 400 Bad Request\r\n\r\n${"x".repeat(100)}`)],
    ["a map that claims to be huge", () => Buffer.concat([Buffer.from("dfffffffff", "hex"), Buffer.alloc(100)])],
    ["64 MiB of nothing", () => Buffer.alloc(64 << 20)],
  ])("%s: send() throws, and the next one is on a new connection", async (_, answer) => {
    let honest = false;
    using collector = new StreamCollector({
      answer: (peer, bytes) => void peer.write(honest ? ackOf(chunkOf(bytes)) : answer(chunkOf(bytes))),
    });
    await using sink = fluentdAt(collector);
    await expect(sink.send([entryOf(1)])).rejects.toThrow(/Cannot read|acknowledged what we have not sent/);
    honest = true;
    expect(await sink.send([entryOf(1)])).toBe(0);
    expect(collector.connections).toBe(2);
  });

  test("an ack that comes in pieces is one", async () => {
    using collector = new StreamCollector({
      answer: (peer, bytes) => {
        const ack = ackOf(chunkOf(bytes));
        peer.write(ack.subarray(0, 3));
        peer.flush();
        setTimeout(() => peer.write(ack.subarray(3)), 5);
      },
    });
    await using sink = fluentdAt(collector);
    expect(await sink.send([entryOf(1)])).toBe(0);
  });
});

test("a collector that floods us with bytes nobody asked for gets its entries all the same", async () => {
  const flood = Buffer.alloc(8 << 20);
  using collector = new StreamCollector({
    onOpen: (peer) => void peer.write(flood),
    answer: (peer) => void peer.write(flood),
  });
  const sink = gelfLog.sink?.({ "gelf-address": `tcp://127.0.0.1:${collector.port}` }, SUBJECT);
  for (let number = 1; number <= 50; number++) await sink?.send([entryOf(number)]);
  await collector.until(() => collector.text.split("\0").length === 51);
  await sink?.[Symbol.asyncDispose]();
});

/** A sink that does what the test says. */
class FakeSink implements LogSink {
  readonly retry = { firstMs: 1, longestMs: 4, most: Number.POSITIVE_INFINITY };
  readonly taken: LogEntry[] = [];
  constructor(readonly behave: (entries: readonly LogEntry[]) => Promise<void>) {}
  async send(entries: readonly LogEntry[]): Promise<number> {
    await this.behave(entries);
    this.taken.push(...entries);
    return 0;
  }
  async [Symbol.asyncDispose](): Promise<void> {}
}

describe("Forwarder", () => {
  test("what fails is sent again, in order, and nothing is left out", async () => {
    await using folder = await makeFolder();
    const path = join(folder.path, "log");
    writeFileSync(path, linesOf(1, 50_000));
    let calls = 0;
    const sink = new FakeSink(async () => {
      if (++calls % 3 !== 0) throw new Error("not now");
    });
    const options = { path, cursorPath: `${path}.sent`, log: silent, containerId: "c" };
    await new Forwarder({ ...options, sink }).finish();
    expect(numbersOf(sink.taken)).toEqual(range(1, 50_000));
    const again = new FakeSink(async () => {});
    await new Forwarder({ ...options, sink: again }).finish();
    expect(again.taken).toEqual([]);
  });

  test("a cursor that cannot be written keeps nothing from being sent, and is behind only until it can", async () => {
    await using folder = await makeFolder();
    const [path, away] = [join(folder.path, "log"), join(folder.path, "away")];
    writeFileSync(path, linesOf(1, 10));
    const told: string[] = [];
    const log = { ...silent, warn: (message: string) => void told.push(message) };
    const options = { path, cursorPath: join(away, "sent"), log, containerId: "c" };
    const sinks = [1, 2, 3].map(() => new FakeSink(async () => {}));
    for (const [at, sink] of sinks.entries()) {
      if (at === 1) mkdirSync(away);
      await new Forwarder({ ...options, sink }).finish();
    }
    expect(sinks.map(({ taken }) => numbersOf(taken))).toEqual([range(1, 10), range(1, 10), []]);
    expect(told).toEqual(["how far a log is sent cannot be written"]);
  });

  test("a collector that hangs keeps neither the end of a daemon waiting nor a removal for long", async () => {
    await using folder = await makeFolder();
    const path = join(folder.path, "log");
    writeFileSync(path, linesOf(1, 10));
    const { promise, reject } = Promise.withResolvers<void>();
    promise.catch(() => {}); // it may be over before anything was sent
    const sink = new FakeSink(() => promise);
    sink[Symbol.asyncDispose] = async () => reject(new Error("disposed of"));
    const forwarder = new Forwarder({ path, cursorPath: `${path}.sent`, log: silent, containerId: "c", sink });
    await forwarder.settled(1);
    await forwarder[Symbol.asyncDispose]();
    const next = new FakeSink(async () => {});
    await new Forwarder({ path, cursorPath: `${path}.sent`, log: silent, containerId: "c", sink: next }).finish();
    expect(numbersOf(next.taken)).toEqual(range(1, 10));
  });

  test("what is given up after the retries that were asked for is counted, and what is rotated away is told", async () => {
    await using folder = await makeFolder();
    const path = join(folder.path, "log");
    const numbered = [5, 6, 9].map((number) => lineOf(number).replace('"time"', `"n":${number},"time"`));
    writeFileSync(path, numbered.join(""));
    writeFileSync(`${path}.sent`, JSON.stringify({ file: "0".repeat(32), offset: 1, number: 2 }));
    const told: string[] = [];
    const log = {
      ...silent,
      error: (message: string, fields: object = {}) => void told.push(`${message} ${JSON.stringify(fields)}`),
    };
    const sink = new FakeSink(() => Promise.reject(new Error("never")));
    Object.assign(sink, { retry: { firstMs: 1, longestMs: 1, most: 2 } });
    await new Forwarder({ path, cursorPath: `${path}.sent`, log, containerId: "c", sink }).finish();
    expect(told.length).toBe(2);
    expect(told[0]).toContain("log entries were lost before the collector took them");
    expect(told[0]).toContain('"lost":4'); // 3 and 4, 7 and 8
    expect(told[1]).toContain('"lost":3');
  });
});
