/** Graylog, Logstash and others that take GELF. Options: Docker's documentation, "Graylog Extended Format logging driver". */

import { deflateSync, gzipSync } from "node:zlib";
import { invalid } from "../base/errors.ts";
import type { LogEntry } from "./driver.ts";
import { remoteLog } from "./driver-remote.ts";
import { type GelfFields, gelfChunks, gelfFields, gelfMessage } from "./gelf-message.ts";
import type { LogOptions } from "./options.ts";
import { type LogSink, type RetryPolicy, SteadyRetry } from "./sink.ts";
import { type Address, Line, splitAddress, type Wire } from "./wire.ts";

type Compress = (message: Buffer) => Buffer;

/** @throws invalid in Docker's words */
function addressOf(text: string | undefined): Address & { readonly kind: "tcp" | "udp" } {
  if (!text) throw invalid("gelf-address is a required parameter");
  const parts = splitAddress(text);
  if (!parts) throw invalid(`gelf-address should be in form proto://address, got ${text}`);
  const { scheme, host, port } = parts;
  if (scheme !== "tcp" && scheme !== "udp") throw invalid("gelf: endpoint needs to be TCP or UDP");
  if (port === undefined || host === "") throw invalid("gelf: please provide gelf-address as proto://host:port");
  return { kind: scheme, host, port };
}

const unknownValue = (name: string, value: string | undefined) =>
  invalid(`unknown value ${JSON.stringify(value)} for log opt ${JSON.stringify(name)} for gelf log driver`);

/** @throws invalid */
function compressionOf({
  "gelf-compression-type": type = "gzip",
  "gelf-compression-level": level = "1",
}: LogOptions): Compress {
  if (!/^(-1|\d)$/.test(level)) throw unknownValue("gelf-compression-level", level);
  const options = { level: Number(level) };
  if (type === "none") return (message) => message;
  if (type === "gzip") return (message) => gzipSync(message, options);
  if (type === "zlib") return (message) => deflateSync(message, options);
  throw unknownValue("gelf-compression-type", type);
}

const UDP_ONLY = ["gelf-compression-type", "gelf-compression-level"];
const TCP_ONLY = ["gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"];

function checkProtocol(options: LogOptions, { kind }: Address): void {
  const given = (name: string) => options[name] !== undefined;
  if (kind !== "udp" && UDP_ONLY.some(given)) throw invalid("compression is only supported on UDP");
  for (const name of TCP_ONLY.filter(given)) {
    if (kind !== "tcp") throw invalid(`${JSON.stringify(name)} is only valid for TCP`);
    if (!/^\d{1,9}$/.test(options[name] ?? "")) throw invalid(`${JSON.stringify(name)} must be a positive integer`);
  }
}

/** Docker's gives up after three attempts unless told otherwise; ours has a file to wait in. */
function retryOf({ "gelf-tcp-max-reconnect": most, "gelf-tcp-reconnect-delay": delayS }: LogOptions): RetryPolicy {
  const delay = delayS === undefined ? {} : { firstMs: Number(delayS) * 1000, longestMs: Number(delayS) * 1000 };
  return { ...SteadyRetry, ...delay, ...(most !== undefined && { most: Number(most) }) };
}

class GelfSink implements LogSink {
  readonly #line: Line;

  constructor(
    address: Address,
    readonly retry: RetryPolicy,
    readonly fields: GelfFields,
    readonly compress: Compress,
  ) {
    this.#line = new Line(address);
  }

  send(entries: readonly LogEntry[]): Promise<number> {
    const messages = entries.flatMap((entry) => gelfMessage(entry, this.fields) ?? []);
    return this.#line.use((wire) => (wire.isStream ? sendStream(wire, messages) : this.#sendDatagrams(wire, messages)));
  }

  async #sendDatagrams(wire: Wire, messages: readonly Buffer[]): Promise<number> {
    let unfit = 0;
    for (const message of messages) {
      const chunks = gelfChunks(this.compress(message));
      if (!chunks) unfit++;
      for (const chunk of chunks ?? []) await wire.write(chunk);
    }
    return unfit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#line[Symbol.dispose]();
  }
}

/** Each ends with a NUL. */
async function sendStream(wire: Wire, messages: readonly Buffer[]): Promise<number> {
  if (messages.length > 0) await wire.write(Buffer.concat(messages.flatMap((message) => [message, Buffer.of(0)])));
  return 0;
}

export const gelfLog = remoteLog({
  name: "gelf",
  options: ["gelf-address", ...UDP_ONLY, ...TCP_ONLY],
  sink: (options, subject, tag) => {
    const address = addressOf(options["gelf-address"]);
    checkProtocol(options, address);
    return new GelfSink(address, retryOf(options), gelfFields(subject, tag), compressionOf(options));
  },
});
