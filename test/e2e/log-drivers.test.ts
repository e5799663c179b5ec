/** Logs that are compressed, and logs that are sent on: to collectors of the test's own, through daemons that die. */

import { expect, test } from "bun:test";
import { existsSync, readFileSync, watch } from "node:fs";
import { dirname } from "node:path";
import { gunzipSync, inflateSync } from "node:zlib";
import { DatagramCollector, StreamCollector } from "../support/collectors.ts";
import { e2e } from "../support/e2e.ts";
import { unpackAll } from "../support/msgpack.ts";
import { freePort } from "../support/ports.ts";

/** Settles when there is a file of this name. */
async function appears(path: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = () => existsSync(path) && resolve();
  const watcher = watch(dirname(path), look);
  look();
  await promise;
  watcher.close();
}

/** Prints `1`, `2`, …, and one more line when it gets one, so that a test can hold it. */
const counting = (to: number): readonly string[] => ["sh", "-c", `seq 1 ${to}; read x; echo more`];

const range = (to: number): number[] => Array.from({ length: to }, (_, at) => at + 1);

interface GelfMessage {
  readonly short_message: string;
  readonly level: number;
  readonly _tag: string;
  readonly _container_name: string;
}

/** Of a stream, as far as they are whole. */
const gelfStream = (bytes: Buffer): GelfMessage[] =>
  bytes
    .toString()
    .split("\0")
    .slice(0, -1)
    .map((text) => JSON.parse(text));

interface FluentEvent {
  readonly tag: string;
  readonly time: unknown;
  readonly record: Record<string, string>;
}

const isList = (value: unknown): value is unknown[] => Array.isArray(value);

/** What forward mode's messages tell. */
const fluentEvents = (bytes: Buffer): FluentEvent[] =>
  unpackAll(bytes).flatMap((message) => {
    const [tag, entries] = isList(message) ? message : [];
    return (isList(entries) ? entries : []).map((entry) => {
      const [time, record] = isList(entry) ? entry : [];
      return { tag: String(tag), time, record: Object(record) };
    });
  });

const fluentAck = (bytes: Buffer): Buffer => {
  const option = unpackAll(bytes).flatMap((message) => (isList(message) ? [Object(message[2])] : []));
  const acks = option.map(({ chunk }) => Buffer.concat([Buffer.from([0x81, 0xa3]), Buffer.from("ack"), textOf(chunk)]));
  return Buffer.concat(acks);
};
const textOf = (text: string): Buffer => Buffer.concat([Buffer.of(0xa0 | text.length), Buffer.from(text)]);

e2e("log drivers", (engine) => {
  const { docker, ok, inspect } = engine;
  const folderOf = async (id: string) => dirname(await inspect(id, "{{.ResolvConfPath}}"));

  const run = (cmd: readonly string[], ...flags: readonly string[]): Promise<string> =>
    ok("run", "-di", "--network", "none", "--stop-timeout", "0", ...flags, "busybox", ...cmd);

  const ran = async (script: string, ...flags: readonly string[]): Promise<string> => {
    const id = await ok("run", "-d", "--network", "none", ...flags, "busybox", "sh", "-c", script);
    await ok("wait", id);
    return id;
  };

  /** Lets a program go on that waits for a line. */
  const poke = async (id: string): Promise<void> => {
    await engine.dockerWith({ stdin: "\n" }, "attach", id);
  };

  const logged = async (id: string): Promise<string[]> => (await ok("logs", id)).split("\n");

  test("compress compresses what is rotated, and logs reads all of it", async () => {
    const options = ["max-size=20k", "max-file=100", "compress=true"].flatMap((each) => ["--log-opt", each]);
    const id = await ran("seq 1 5000", ...options);
    expect(await logged(id)).toEqual(range(5000).map(String));
    expect(await ok("logs", "--tail", "1000", id)).toBe(range(5000).slice(-1000).join("\n"));
    const path = await inspect(id, "{{.LogPath}}");
    await appears(`${path}.1.gz`);
    await appears(`${path}.9.gz`);
    expect(existsSync(`${path}.9`)).toBe(false);
    expect(gunzipSync(readFileSync(`${path}.9.gz`)).toString()).toContain('"stream":"stdout"');
    expect(await logged(id)).toEqual(range(5000).map(String));
  });

  test("a daemon that is killed while it compresses leaves a log that is whole", async () => {
    const options = ["max-size=20k", "max-file=1000", "compress=true"].flatMap((each) => ["--log-opt", each]);
    const id = await run(counting(20_000), ...options);
    await engine.daemon.restart("SIGKILL");
    await poke(id);
    await ok("wait", id);
    expect(await logged(id)).toEqual([...range(20_000).map(String), "more"]);
  });

  test("local keeps a bounded log that logs reads, and tells no path", async () => {
    const id = await ran("echo out; echo err >&2", "--log-driver", "local", "--log-opt", "max-size=1m");
    expect(await docker("logs", id)).toEqual({ code: 0, stdout: "out\n", stderr: "err\n" });
    expect(await inspect(id, "{{.LogPath}}|{{.HostConfig.LogConfig.Type}}")).toBe("|local");
  });

  test("syslog gets each line over udp, and docker logs reads them too", async () => {
    using collector = await DatagramCollector.open();
    const address = `syslog-address=udp://127.0.0.1:${collector.port}`;
    const options = ["--log-opt", address, "--log-opt", "tag={{.Name}}", "--log-opt", "syslog-format=rfc5424"];
    const flags = ["--name", "talker", "--log-driver", "syslog", "--log-opt", "syslog-facility=local3", ...options];
    const id = await ran("echo one; echo two >&2", ...flags);
    await collector.until(() => collector.messages.length === 2);
    const texts = collector.messages.map(String);
    expect(texts.find((text) => text.endsWith(" talker - one\n"))).toStartWith("<158>1 ");
    expect(texts.find((text) => text.endsWith(" talker - two\n"))).toStartWith("<155>1 ");
    expect(await docker("logs", id)).toEqual({ code: 0, stdout: "one\n", stderr: "two\n" });
    expect(await inspect(id, "{{.LogPath}}")).toBe("");
  });

  test("gelf goes over udp compressed, in chunks where it has to", async () => {
    using collector = await DatagramCollector.open();
    const flags = ["--log-driver", "gelf", "--log-opt", `gelf-address=udp://127.0.0.1:${collector.port}`];
    await ran(
      "head -c 9000 /dev/urandom | hexdump -v -e '1/1 \"%02x\"'; echo",
      ...flags,
      "--log-opt",
      "gelf-compression-type=zlib",
    );
    const isLast = (part: Buffer) => part[0] === 0x1e && part[10] === (part[11] ?? 0) - 1;
    await collector.until(() => collector.messages.some((part, at) => isLast(part) && at > 10));
    const chunks = collector.messages.filter((part) => part[0] === 0x1e);
    const first = chunks.filter((part) => part.subarray(2, 10).equals(chunks[0]?.subarray(2, 10) ?? part));
    const message: GelfMessage = JSON.parse(
      inflateSync(
        Buffer.concat(first.toSorted((a, b) => (a[10] ?? 0) - (b[10] ?? 0)).map((part) => part.subarray(12))),
      ).toString(),
    );
    expect(message.short_message).toMatch(/^[0-9a-f]{16384}$/);
  });

  test("fluentd gets events with labels, acknowledges them, and none is sent twice", async () => {
    using collector = new StreamCollector({ answer: (peer, bytes) => void peer.write(fluentAck(bytes)) });
    const options = [`fluentd-address=127.0.0.1:${collector.port}`, "fluentd-request-ack=true", "labels=tier"];
    const more = ["fluentd-sub-second-precision=true", "tag=docker.{{.Name}}", "fluentd-retry-wait=10ms"];
    const flags = [...options, ...more].flatMap((each) => ["--log-opt", each]);
    const id = await ran(
      "echo one; echo two",
      "--name",
      "fluent",
      "--label",
      "tier=front",
      "--log-driver",
      "fluentd",
      ...flags,
    );
    await collector.until(() => fluentEvents(collector.bytes).length >= 2);
    const events = fluentEvents(collector.bytes);
    expect(events.map(({ record }) => record)).toEqual(
      ["one", "two"].map((log) => ({
        container_id: id,
        container_name: "/fluent",
        source: "stdout",
        log,
        tier: "front",
      })),
    );
    expect(events[0]).toMatchObject({ tag: "docker.fluent", time: { type: 0 } });
    expect(await ok("logs", "--details", id)).toBe("tier=front one\ntier=front two");
    await ok("rm", id);
    expect(fluentEvents(collector.bytes).length).toBe(2);
  });

  test("a daemon that is killed has its successor send the rest, and what was sent before at most once more", async () => {
    using collector = new StreamCollector();
    const flags = ["--log-driver", "gelf", "--log-opt", `gelf-address=tcp://127.0.0.1:${collector.port}`];
    const id = await run(counting(3000), ...flags);
    await collector.until(() => collector.bytes.length > 20_000);
    await engine.daemon.restart("SIGKILL");
    await poke(id);
    const numbers = () => gelfStream(collector.bytes).map(({ short_message }) => short_message);
    await collector.until(() => numbers().includes("more"));
    expect([...new Set(numbers())]).toEqual([...range(3000).map(String), "more"]);
    expect(numbers().length).toBeLessThan(2 * 3001);
    expect((await logged(id)).length).toBe(3001);
  });

  test("a collector that is down blocks nobody, and gets all when it is back, also from a daemon that came later", async () => {
    const port = freePort();
    const flags = ["--log-driver", "gelf", "--log-opt", `gelf-address=tcp://127.0.0.1:${port}`];
    const id = await ran("seq 1 500; echo err >&2", ...flags, "--log-opt", "gelf-tcp-reconnect-delay=0");
    expect((await logged(id)).length).toBe(500);
    await engine.daemon.restart("SIGKILL");
    using collector = new StreamCollector({ port });
    const messages = () => gelfStream(collector.bytes);
    await collector.until(() => messages().length === 501);
    expect(
      messages()
        .map(({ short_message }) => short_message)
        .toSorted(),
    ).toEqual([...range(500).map(String), "err"].toSorted());
    expect(messages().find(({ level }) => level === 3)?.short_message).toBe("err");
    const folder = await folderOf(id);
    await ok("rm", id);
    expect(existsSync(folder)).toBe(false);
  });

  test("what is rotated away while a collector is down is counted, and told in the daemon's log", async () => {
    const port = freePort();
    const address = `gelf-address=tcp://127.0.0.1:${port}`;
    const options = [address, "gelf-tcp-reconnect-delay=0", "cache-max-size=10k", "cache-max-file=2"];
    const id = await ran("seq 1 5000", "--log-driver", "gelf", ...options.flatMap((each) => ["--log-opt", each]));
    await engine.daemon.restart("SIGKILL"); // what the one before had open is lost with it
    const left = await logged(id);
    using collector = new StreamCollector({ port });
    await collector.until(() => gelfStream(collector.bytes).length === left.length);
    expect(gelfStream(collector.bytes).map(({ short_message }) => short_message)).toEqual(left);
    await engine.daemon.says(`lost=${5000 - left.length} `);
    await ok("rm", id);
  });

  test("logs -f over rotations and compression misses nothing and tells nothing twice", async () => {
    const options = ["max-size=20k", "max-file=100", "compress=true"].flatMap((each) => ["--log-opt", each]);
    const script = "i=0; while [ $i -lt 10 ]; do seq $((i*1000+1)) $((i*1000+1000)); i=$((i+1)); usleep 20000; done";
    const id = await ok("run", "-d", "--network", "none", ...options, "busybox", "sh", "-c", script);
    const [whole, tail] = await Promise.all([ok("logs", "-f", id), ok("logs", "-f", "--tail", "10", id)]);
    expect(whole.split("\n")).toEqual(range(10_000).map(String));
    const numbers = tail.split("\n").map(Number);
    expect(numbers).toEqual(range(10_000).slice(-numbers.length));
  });

  test("what is removed has been sent, where the collector takes it", async () => {
    using collector = new StreamCollector();
    const flags = ["--log-driver", "gelf", "--log-opt", `gelf-address=tcp://127.0.0.1:${collector.port}`];
    expect(await ok("run", "--rm", "--network", "none", ...flags, "busybox", "seq", "1", "2000")).toEndWith("2000");
    await collector.until(() => gelfStream(collector.bytes).length === 2000);
  });

  test.each<[options: readonly string[], words: string]>([
    [["splunk"], "logger: no log driver named 'splunk' is registered"],
    [["awslogs"], "logger: no log driver named 'awslogs' is registered"],
    [
      ["syslog", "syslog-address=carrier://pigeon"],
      "syslog-address should be in form proto://address, got carrier://pigeon",
    ],
    [["syslog", "syslog-address=unix:///nowhere"], "no such file or directory"],
    [["syslog", "syslog-facility=gossip"], "invalid syslog facility"],
    [["syslog", "max-size=1m"], "unknown log opt 'max-size' for syslog log driver"],
    [["gelf"], "gelf-address is a required parameter"],
    [["gelf", "gelf-address=tcp://h:1", "gelf-compression-type=gzip"], "compression is only supported on UDP"],
    [["gelf", "gelf-address=udp://h"], "gelf: please provide gelf-address as proto://host:port"],
    [["gelf", "gelf-address=unix:///x"], "gelf: endpoint needs to be TCP or UDP"],
    [["fluentd", "fluentd-address=http://h"], "unsupported scheme in fluentd-address"],
    [["fluentd", "fluentd-async=x"], "invalid value for log option fluentd-async"],
    [["local", "max-file=1"], "compression cannot be enabled when max file count is 1"],
    [["json-file", "mode=fast"], "logger: logging mode not supported: fast"],
  ])("%p is refused", async ([driver = "", ...options], words) => {
    const flags = options.flatMap((each) => ["--log-opt", each]);
    const { stderr } = await docker("create", "--log-driver", driver, ...flags, "busybox", "true");
    expect(stderr).toContain(words);
  });

  test.skipIf(existsSync("/run/systemd/journal/socket"))("journald is refused where there is none", async () => {
    const { code, stderr } = await docker("run", "--rm", "--log-driver", "journald", "busybox", "true");
    expect(stderr).toContain("journald is not enabled on this host");
    expect(code).toBe(125);
  });

  test("cache-disabled leaves nothing that logs would read", async () => {
    using collector = new StreamCollector();
    const options = [`gelf-address=tcp://127.0.0.1:${collector.port}`, "cache-disabled=true", "mode=non-blocking"];
    const id = await ran("echo x", "--log-driver", "gelf", ...options.flatMap((each) => ["--log-opt", each]));
    expect((await docker("logs", id)).stderr).toContain("configured logging driver does not support reading");
  });

  test("info tells the drivers that there are", async () => {
    expect(await ok("info", "--format", "{{.LoggingDriver}} {{.Plugins.Log}}")).toBe(
      "json-file [fluentd gelf journald json-file local none syslog]",
    );
  });
});

e2e(
  "a daemon's own log driver",
  (engine) => {
    test("containers that say nothing get the daemon's driver and its options", async () => {
      const id = await engine.ok("create", "busybox");
      expect(await engine.inspect(id, "{{json .HostConfig.LogConfig}}")).toBe(
        '{"Type":"local","Config":{"max-size":"1m"}}',
      );
      expect(await engine.ok("info", "--format", "{{.LoggingDriver}}")).toBe("local");
      const other = await engine.ok("create", "--log-driver", "json-file", "busybox");
      expect(await engine.inspect(other, "{{json .HostConfig.LogConfig}}")).toBe('{"Type":"json-file","Config":{}}');
    });
  },
  ["--log-driver", "local", "--log-opt", "max-size=1m"],
);
