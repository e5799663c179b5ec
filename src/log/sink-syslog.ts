/** Syslog, over anything that it is spoken over. Options: Docker's documentation, "Syslog logging driver". */

import { existsSync, statSync } from "node:fs";
import { invalid, messageOf } from "../base/errors.ts";
import type { LogEntry } from "./driver.ts";
import { remoteLog } from "./driver-remote.ts";
import type { LogOptions } from "./options.ts";
import { type LogSink, type RetryPolicy, SteadyRetry } from "./sink.ts";
import { facilityOf, formatOf, type SyslogFormat } from "./syslog-format.ts";
import { type Address, Line, readPem, splitAddress } from "./wire.ts";
import { isTooLong } from "./wire-datagram.ts";

const DEFAULT_PORT = 514;
/** Where a syslog daemon of this host listens, in the order of trial. */
const LOCAL = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/** @throws invalid in Docker's words */
function addressOf(options: LogOptions): Address {
  const text = options["syslog-address"];
  if (!text) return { kind: "unixgram", path: LOCAL.find((path) => existsSync(path)) ?? "/dev/log" };
  const parts = splitAddress(text);
  const refusal = () => invalid(`syslog-address should be in form proto://address, got ${text}`);
  if (!parts) throw refusal();
  const { scheme, host, path } = parts;
  const port = parts.port ?? DEFAULT_PORT;
  switch (scheme) {
    case "unix":
    case "unixgram":
      return { kind: scheme, path: existing(path) };
    case "tcp":
    case "udp":
      return { kind: scheme, host, port };
    case "tcp+tls":
      return { kind: "tls", host, port, tls: tlsOf(options) };
    default:
      throw refusal();
  }
}

function existing(path: string): string {
  try {
    statSync(path);
    return path;
  } catch (error) {
    throw invalid(messageOf(error));
  }
}

function tlsOf(options: LogOptions) {
  const pem = (name: "ca-cert" | "cert" | "key") => readPem(`syslog-tls-${name}`, options[`syslog-tls-${name}`]);
  const [ca, cert, key] = [pem("ca-cert"), pem("cert"), pem("key")];
  const verify = options["syslog-tls-skip-verify"] === undefined; // it is said by being there, whatever its value
  return { verify, ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

class SyslogSink implements LogSink {
  readonly retry: RetryPolicy = SteadyRetry;
  readonly #line: Line;

  constructor(
    address: Address,
    readonly format: SyslogFormat,
  ) {
    this.#line = new Line(address);
  }

  send(entries: readonly LogEntry[]): Promise<number> {
    const messages = entries.map((entry) => this.format(entry));
    return this.#line.use(async (wire) => {
      if (wire.isStream) {
        await wire.write(Buffer.concat(messages));
        return 0;
      }
      let unfit = 0;
      for (const message of messages)
        await wire.write(message).catch((error) => {
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

const OPTIONS = ["address", "facility", "format", "tls-ca-cert", "tls-cert", "tls-key", "tls-skip-verify"];

export const syslogLog = remoteLog({
  name: "syslog",
  options: OPTIONS.map((name) => `syslog-${name}`),
  sink: (options, _, tag) => {
    const address = addressOf(options);
    const facility = facilityOf(options["syslog-facility"]);
    const format = formatOf(options["syslog-format"], { facility, tag, isSecure: address.kind === "tls" });
    return new SyslogSink(address, format);
  },
});
