/** A body whose rest comes from elsewhere when its source breaks. */

import { kindOf } from "../base/errors.ts";
import type { Bytes } from "../base/streams.ts";

interface Opened {
  readonly start: number;
  readonly body: Bytes;
}

/**
 * @param next  opens the blob anew from an offset, at another source; it may start before that, and what is known then is passed over
 * @returns     the same body; when it breaks, what `next` opens follows. Only once: `next` gives a body that helps itself
 */
export function relayed({ start, body }: Opened, next: (offset: number) => Promise<Opened>): Bytes {
  let reader = body.getReader();
  let at = start;
  /** Bytes of the new source that have been passed on already. */
  let known = 0;
  let isNew = false;
  const read = async () => {
    try {
      return await reader.read();
    } catch (error) {
      if (isNew || kindOf(error) !== "unavailable") throw error;
      isNew = true;
      const opened = await next(at).catch(() => {
        throw error;
      });
      known = at - opened.start;
      reader = opened.body.getReader();
      return reader.read();
    }
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(out) {
        for (;;) {
          const { done, value } = await read();
          if (done) return out.close();
          const fresh = value.subarray(Math.min(known, value.byteLength));
          known -= value.byteLength - fresh.byteLength;
          if (fresh.byteLength === 0) continue;
          at += fresh.byteLength;
          return out.enqueue(fresh);
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
