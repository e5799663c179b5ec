/**
 * Connections taken over for raw bytes: attach and exec.
 * Source: Docker Engine API, ContainerAttach, "Hijacking" and "Stream format".
 */

import { Duplex } from "node:stream";
import { messageOf } from "../base/errors.ts";
import type { Bytes } from "../base/streams.ts";
import type { Ctx } from "./context.ts";
import { apiVersion } from "./context.ts";
import { frame, SYSTEM_ERROR } from "./frames.ts";

export const RAW = "application/vnd.docker.raw-stream";
const MULTIPLEXED = "application/vnd.docker.multiplexed-stream";

/** @returns the content type of a stream: framed ones are called so from API 1.42 on. */
export const streamType = (c: Ctx, tty: boolean): string =>
  tty || c.env.version < apiVersion(1, 42) ? RAW : MULTIPLEXED;

function duplexOf(input: Bytes, output: WritableStream<Uint8Array>): Duplex {
  const reader = input.getReader();
  const writer = output.getWriter();
  return new Duplex({
    read() {
      reader.read().then(
        ({ done, value }) => this.push(done ? null : value),
        (error) => this.destroy(error),
      );
    },
    write(chunk, _encoding, done) {
      writer.write(chunk).then(() => done(), done);
    },
    final(done) {
      writer.close().then(() => done(), done);
    },
    destroy(error, done) {
      void reader.cancel().catch(() => {});
      void writer.abort(error).catch(() => {});
      done(error);
    },
  });
}

/**
 * Hands the connection over.
 *
 * A client that asked for an upgrade gets `101 UPGRADED` and bytes both ways. One that did not (old docker-py, curl) gets a 200 whose body is
 * the output; its request body is the input.
 * @param run  called with the client's connection; the stream ends when it returns. What it throws goes into the stream, since the status
 *             line is out
 */
export function hijack(c: Ctx, contentType: string, run: (client: Duplex) => Promise<void>): Response {
  if (c.env.upgrade) {
    const client = c.env.upgrade.accept(contentType);
    void serve(client, contentType, run);
    return new Response(null);
  }
  const output = new TransformStream<Uint8Array, Uint8Array>();
  const client = duplexOf(c.req.raw.body ?? new Blob([]).stream(), output.writable);
  client.on("error", () => {}); // the client left: `run` sees the end
  void serve(client, contentType, run);
  return new Response(output.readable, { headers: { "Content-Type": RAW } });
}

async function serve(client: Duplex, contentType: string, run: (client: Duplex) => Promise<void>): Promise<void> {
  try {
    await run(client);
  } catch (error) {
    const text = Buffer.from(`${messageOf(error)}\r\n`);
    client.write(contentType === MULTIPLEXED ? frame(SYSTEM_ERROR, text) : text);
  }
  client.end();
}
