/** Streams of JSON objects: one a line, each sent as soon as it is there, headers before the first. */

import { messageOf } from "../base/errors.ts";

const encoder = new TextEncoder();

/**
 * @param objects    pulled one by one, as fast as the client reads; its `return` is called when the client leaves
 * @param separator  `\r\n` for progress, `\n` for events
 * @param onError    the last object after a throw: the status has been sent, so the failure goes into the stream
 */
export function jsonLines(
  objects: AsyncIterable<unknown>,
  separator: "\n" | "\r\n",
  onError?: (message: string) => unknown,
): Response {
  const iterator = objects[Symbol.asyncIterator]();
  const line = (value: unknown) => encoder.encode(JSON.stringify(value) + separator);
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(out) {
        try {
          const { done, value } = await iterator.next();
          if (done) out.close();
          else out.enqueue(line(value));
        } catch (error) {
          if (onError) out.enqueue(line(onError(messageOf(error))));
          out.close();
        }
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { "Content-Type": "application/json" } });
}

/** Docker's form of a failure in the middle of a stream. */
export const streamError = (message: string) => ({ errorDetail: { message }, error: message });
