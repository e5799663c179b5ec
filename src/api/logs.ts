/** GET /containers/{id}/logs, and the replay that attach can ask for. Source: Docker Engine API, ContainerLogs. */

import type { Duplex } from "node:stream";
import { conflict, invalid, messageOf } from "../base/errors.ts";
import type { Container } from "../container/records.ts";
import { isLive } from "../container/state.ts";
import type { LogEntry, ReadOptions } from "../log/driver.ts";
import { type Ctx, flag } from "./context.ts";
import { frame, STDERR, STDOUT, SYSTEM_ERROR } from "./frames.ts";
import { RAW, streamType } from "./hijack.ts";
import { parseTime } from "./times.ts";

export interface LogReader {
  /** @throws notImplemented when its driver's logs cannot be read */
  read(container: Container, options: ReadOptions): AsyncIterable<readonly LogEntry[]>;
  /** Yields while the container writes, ends when it has ended. */
  changes(container: Container, signal: AbortSignal): AsyncIterable<void>;
}

interface Selection {
  readonly stdout: boolean;
  readonly stderr: boolean;
}

interface Rendering extends Selection {
  readonly tty: boolean;
  readonly timestamps: boolean;
  readonly details: boolean;
}

/** Nine digits of a second always, so that the columns stand under each other. */
const fixedWidth = (time: string): string => {
  const [seconds = "", fraction = ""] = time.replace(/Z$/, "").split(".");
  return `${seconds}.${fraction.padEnd(9, "0")}Z`;
};

const encoder = new TextEncoder();

/** `a=1,b=2`, in order of the names. Source: Moby, api/server/httputils/write_log_stream.go. */
const detailsOf = (attributes: LogEntry["attributes"] = {}): string =>
  Object.entries(attributes)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => new URLSearchParams({ [name]: value }).toString())
    .join();

/** One buffer for a batch: a client reads as fast as the disk gives. */
function render(batch: readonly LogEntry[], { tty, stdout, stderr, timestamps, details }: Rendering): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { stream, time, line, attributes } of batch) {
    if (stream === "stdout" ? !stdout : !stderr) continue;
    const text = `${timestamps ? `${fixedWidth(time)} ` : ""}${details ? `${detailsOf(attributes)} ` : ""}${line}`;
    const bytes = encoder.encode(text);
    parts.push(tty ? bytes : frame(stream === "stdout" ? STDOUT : STDERR, bytes));
  }
  return Buffer.concat(parts);
}

function tailOption(text: string | undefined): number | undefined {
  if (text === undefined || text === "" || text === "all") return undefined;
  const count = Number(text);
  return Number.isInteger(count) && count >= 0 ? count : undefined; // dockerd takes anything else for "all"
}

function readOptions(c: Ctx, changes: AsyncIterable<void> | undefined): ReadOptions {
  const tail = tailOption(c.req.query("tail"));
  const since = parseTime("since", c.req.query("since"));
  const until = parseTime("until", c.req.query("until"));
  return {
    ...(tail !== undefined && { tail }),
    ...(since && { since }),
    ...(until && { until }),
    ...(changes && { changes }),
  };
}

/** `-f --until`: the stream ends at that time, whether or not the container writes. */
function untilSignal(c: Ctx, until: bigint | undefined): AbortSignal {
  if (until === undefined) return c.env.signal;
  const ms = Number(until / 1_000_000n) - Date.now();
  return AbortSignal.any([c.env.signal, AbortSignal.timeout(Math.max(0, Math.min(ms, 2 ** 31 - 1)))]);
}

export function logs(c: Ctx, container: Container, reader: LogReader): Response {
  const selection = { stdout: flag(c, "stdout"), stderr: flag(c, "stderr") };
  if (!selection.stdout && !selection.stderr) throw invalid("Bad parameters: you must choose at least one stream");
  if (container.state.phase === "dead" || container.state.phase === "removing")
    throw conflict("can not get logs from container which is dead or marked for removal");
  const { tty } = container.config;
  const following = flag(c, "follow") && isLive(container.state);
  const signal = untilSignal(c, parseTime("until", c.req.query("until")) || undefined);
  const options = readOptions(c, following ? reader.changes(container, signal) : undefined);
  const batches = reader.read(container, options)[Symbol.asyncIterator]();
  const rendering = { ...selection, tty, timestamps: flag(c, "timestamps"), details: flag(c, "details") };
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(out) {
        try {
          for (;;) {
            const { done, value } = await batches.next();
            if (done) return out.close();
            const bytes = render(value, rendering);
            if (bytes.byteLength > 0) return out.enqueue(bytes);
          }
        } catch (error) {
          if (!tty) out.enqueue(frame(SYSTEM_ERROR, encoder.encode(`${messageOf(error)}\n`)));
          out.close();
        }
      },
      async cancel() {
        await batches.return?.();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { "Content-Type": streamType(c, tty) || RAW } });
}

/** What the log holds so far, before an attach goes on with what is new. */
export async function replay(
  reader: LogReader,
  container: Container,
  selection: Selection,
  client: Duplex,
): Promise<void> {
  const rendering = { ...selection, tty: container.config.tty, timestamps: false, details: false };
  for await (const batch of reader.read(container, {})) client.write(render(batch, rendering));
}
