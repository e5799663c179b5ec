/** Every collector's protocol over every transport: what is sent arrives in order, and what goes wrong is told, not kept. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { LogEntry } from "../../src/log/driver.ts";
import type { LogOptions } from "../../src/log/options.ts";
import type { LogSink } from "../../src/log/sink.ts";
import { fluentdLog } from "../../src/log/sink-fluentd.ts";
import { gelfLog } from "../../src/log/sink-gelf.ts";
import { journaldLog } from "../../src/log/sink-journald.ts";
import { syslogLog } from "../../src/log/sink-syslog.ts";
import { makeCertificate } from "../support/authority.ts";
import { StreamCollector, type StreamOptions } from "../support/collectors.ts";
import { type Folder, makeFolder } from "../support/folder.ts";
import { entryOf, range, SUBJECT } from "../support/log-entries.ts";

const DRIVERS = { syslog: syslogLog, fluentd: fluentdLog, gelf: gelfLog };

interface Case {
  readonly driver: keyof typeof DRIVERS;
  readonly transport: "tcp" | "unix" | "tls";
}

const CASES: readonly Case[] = [
  { driver: "syslog", transport: "tcp" },
  { driver: "syslog", transport: "unix" },
  { driver: "syslog", transport: "tls" },
  { driver: "fluentd", transport: "tcp" },
  { driver: "fluentd", transport: "unix" },
  { driver: "gelf", transport: "tcp" },
];

let folder: Folder | undefined;
const path = (name: string): string => join(folder?.path ?? "", name);

beforeAll(async () => {
  folder = await makeFolder();
  await makeCertificate(folder.path, "localhost", ["IP:127.0.0.1"]);
});
afterAll(() => folder?.[Symbol.asyncDispose]());

async function collectorFor({ transport }: Case, options: StreamOptions = {}): Promise<StreamCollector> {
  if (transport === "unix") return new StreamCollector({ ...options, unix: path(`${crypto.randomUUID()}.sock`) });
  if (transport === "tcp") return new StreamCollector(options);
  const [cert, key] = await Promise.all(["localhost.crt", "localhost.key"].map((name) => Bun.file(path(name)).text()));
  return new StreamCollector({ ...options, tls: { cert: cert ?? "", key: key ?? "" } });
}

function sinkFor({ driver, transport }: Case, collector: StreamCollector, more: LogOptions = {}): LogSink {
  const scheme = transport === "tls" && driver === "syslog" ? "tcp+tls" : transport;
  const address = collector.unix ? `unix://${collector.unix}` : `${scheme}://127.0.0.1:${collector.port}`;
  const trust = transport === "tls" ? { [`${driver}-tls-ca-cert`]: path("localhost.crt") } : {};
  const sink = DRIVERS[driver].sink?.({ [`${driver}-address`]: address, ...trust, ...more }, SUBJECT);
  if (!sink) throw new Error(`${driver} sends nothing`);
  return sink;
}

const numbersIn = (text: string): number[] => [...text.matchAll(/line (\d+)/g)].map(([, number]) => Number(number));
const entries = (from: number, to: number): LogEntry[] => range(from, to).map((number) => entryOf(number));

describe.each(CASES)("$driver over $transport", (one) => {
  test("send() delivers all entries in order, over one connection", async () => {
    using collector = await collectorFor(one);
    await using sink = sinkFor(one, collector);
    for (const first of [1, 1001, 2001]) expect(await sink.send(entries(first, first + 999))).toBe(0);
    await collector.until(() => numbersIn(collector.text).length === 3000);
    expect(numbersIn(collector.text)).toEqual(range(1, 3000));
    expect(collector.connections).toBe(1);
  });

  test("send() connects again when the collector has closed the connection", async () => {
    using collector = await collectorFor(one);
    await using sink = sinkFor(one, collector);
    await sink.send(entries(1, 1));
    await collector.until(() => numbersIn(collector.text).length === 1);
    for (const peer of collector.peers) peer.end();
    await collector.until(() => collector.peers.size === 0);
    while (collector.connections < 2) await sink.send(entries(2, 2)).catch(() => {});
    await collector.until(() => numbersIn(collector.text).includes(2));
  });

  test("send() throws when nobody listens", async () => {
    const collector = await collectorFor(one);
    await using sink = sinkFor(one, collector);
    collector[Symbol.dispose]();
    await expect(sink.send(entries(1, 1))).rejects.toThrow();
    await expect(sink.send(entries(1, 1))).rejects.toThrow();
  });

  test("send() to a collector that takes nothing waits, until the sink is disposed of", async () => {
    using collector = await collectorFor(one, { onOpen: (peer) => peer.pause() });
    const sink = sinkFor(one, collector);
    const long = entryOf(1, { line: `${"x".repeat(16_000)}\n` });
    const filling = (async () => {
      for (;;) await sink.send(new Array(100).fill(long));
    })();
    filling.catch(() => {});
    await collector.until(() => collector.connections === 1);
    const first = await Promise.race([
      filling.then(
        () => "sent",
        () => "failed",
      ),
      Bun.sleep(100).then(() => "waits"),
    ]);
    expect(first).toBe("waits");
    await sink[Symbol.asyncDispose]();
    await expect(filling).rejects.toThrow();
    await expect(sink.send([long])).rejects.toThrow("closed");
  });
});

test("a certificate that nobody vouches for is refused, unless verification is off", async () => {
  const one = { driver: "syslog", transport: "tls" } as const;
  using collector = await collectorFor(one);
  await using strict = sinkFor(one, collector, { "syslog-tls-ca-cert": "" });
  await expect(strict.send(entries(1, 1))).rejects.toThrow();
  await using lax = sinkFor(one, collector, { "syslog-tls-ca-cert": "", "syslog-tls-skip-verify": "true" });
  expect(await lax.send(entries(2, 2))).toBe(0);
  await collector.until(() => numbersIn(collector.text).includes(2));
  expect(numbersIn(collector.text)).toEqual([2]);
});

/** Unix datagrams, read by Python: takes `count` messages and prints them, each with a NUL behind it. */
const READER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    sys.stdout.buffer.write(s.recv(1 << 20) + b"\\0")
`;

async function readDatagrams(socket: string, count: number, send: () => Promise<unknown>): Promise<string[]> {
  const reader = Bun.spawn(["python3", "-c", READER, socket, String(count)], { stdin: "pipe", stdout: "pipe" });
  const output = reader.stdout.getReader();
  await output.read();
  const sending = send();
  reader.stdin.write("go\n"); // more is sent than a queue holds, before anybody reads
  await reader.stdin.flush();
  let text = "";
  for (let piece = await output.read(); !piece.done; piece = await output.read()) text += Buffer.from(piece.value);
  await sending;
  expect(await reader.exited).toBe(0);
  return text.split("\0").slice(0, -1);
}

test("syslog over unix datagrams: messages arrive whole and in order, though the reader is slow", async () => {
  const socket = path("log.sock");
  const messages = await readDatagrams(socket, 500, async () => {
    await using sink = syslogLog.sink?.({ "syslog-address": `unixgram://${socket}` }, SUBJECT);
    expect(await sink?.send(entries(1, 500))).toBe(0);
  });
  expect(messages.flatMap(numbersIn)).toEqual(range(1, 500));
  expect(messages[0]).toEndWith(`abababababab[${process.pid}]: line 1\n`);
});

test("journald: entries arrive whole, and one that no datagram takes is counted", async () => {
  const socket = path("journal.sock");
  const messages = await readDatagrams(socket, 2, async () => {
    await using sink = journaldLog(socket).sink?.({}, SUBJECT);
    const huge = entryOf(2, { attributes: { label: "x".repeat(20 << 20) } });
    expect(await sink?.send([entryOf(1), huge, entryOf(3)])).toBe(1);
  });
  expect(messages.map((message) => /^MESSAGE=.*$/m.exec(message)?.[0])).toEqual(["MESSAGE=line 1", "MESSAGE=line 3"]);
});

test("journald where there is none is refused", () => {
  expect(() => journaldLog(path("nothing")).target("/log", {}, SUBJECT)).toThrow(
    "journald is not enabled on this host",
  );
});
