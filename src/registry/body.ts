/** Bodies on the wire: what comes fails when it stalls, what goes tells that it moves. */

import { messageOf, unavailable } from "../base/errors.ts";
import { type Bytes, collect } from "../base/streams.ts";
import type { Request } from "./transport.ts";

/** A body that is sent as it is read; it may be sent again. */
export interface Upload {
  /** Bytes. */
  readonly size: number;
  open(): Bytes;
}

/** Bytes. */
const shortBody = 16 << 10;

/** A short body is read to its end, so that its connection can serve the next request; a long or endless one is cut off. */
export async function discard(body: Bytes, headers: Headers): Promise<void> {
  const length = Number(headers.get("content-length") ?? Number.NaN);
  if (length <= shortBody) await collect(body, shortBody).catch(() => {});
  else await body.cancel();
}

/**
 * Says `unavailable` when the connection breaks, or when no byte comes for `idleMs` although one was asked for.
 * @param failed  how a failure of this request is said
 */
export function answerBody(
  request: Request,
  response: Response,
  stop: AbortController,
  idleMs: number,
  failed: (reason: string) => string,
): Bytes {
  const reader = response.body?.getReader();
  const stalled = unavailable(failed(`no data for ${idleMs / 1000} s`));
  let isAsked = false;
  // One for the whole body: it begins anew with every read, and means nothing while nobody reads.
  const timer = setTimeout(() => isAsked && stop.abort(stalled), idleMs);
  const read = async () => {
    isAsked = true;
    timer.refresh();
    try {
      return await reader?.read();
    } catch (error) {
      clearTimeout(timer);
      const isStalled = stop.signal.aborted;
      stop.abort();
      request.signal?.throwIfAborted();
      throw isStalled ? stalled : unavailable(failed(`unexpected EOF (${messageOf(error)})`), { cause: error });
    } finally {
      isAsked = false;
    }
  };
  return new ReadableStream(
    {
      pull: async (out) => {
        const piece = await read();
        if (piece?.value) return out.enqueue(piece.value);
        clearTimeout(timer);
        out.close();
      },
      cancel: () => {
        clearTimeout(timer);
        stop.abort();
      },
    },
    { highWaterMark: 0 },
  );
}

/** @param onPiece  called whenever the connection has taken what it was given, and wants more */
export function uploadBody(upload: Upload, onPiece: () => void): Bytes {
  const reader = upload.open().getReader();
  return new ReadableStream<Uint8Array>(
    {
      pull: async (out) => {
        onPiece();
        const piece = await reader.read();
        if (piece.done) out.close();
        else out.enqueue(piece.value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
