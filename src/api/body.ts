/**
 * A request's body as a web stream that is pulled, never read far ahead, so that a slow handler slows the client.
 *
 * Clients send tars in chunks as small as a header of 512 bytes, and each of them would pass through every stream on its way by itself. What has come
 * by the time that somebody asks is one piece.
 */

import type { IncomingMessage } from "node:http";
import type { Bytes } from "../base/streams.ts";

/** Chunks of so many bytes are worth a piece of their own; smaller ones become pieces of at least so many, if they have come. */
const WORTH_A_PIECE = 16 << 10;
/** Bytes that wait for a reader before the client does; what the socket had by then comes on top. */
const MOST_WAITING = 256 << 10;

const cutOff = (): Error => new Error("the client left before all of its request had come");

class Body {
  readonly #chunks: Uint8Array[] = [];
  #size = 0;
  #isOver = false;
  #failure: unknown;
  #wake: (() => void) | undefined;

  constructor(readonly incoming: IncomingMessage) {
    incoming.on("data", (chunk: Uint8Array) => this.#take(chunk));
    incoming.on("end", () => this.#end(undefined));
    incoming.on("error", (error) => this.#end(error));
    incoming.on("close", () => this.#end(cutOff()));
    if (incoming.readableEnded) this.#end(undefined);
    else if (incoming.destroyed) this.#end(cutOff());
  }

  #take(chunk: Uint8Array): void {
    if (this.#isOver) return;
    this.#chunks.push(chunk);
    this.#size += chunk.byteLength;
    if (this.#size >= MOST_WAITING) this.incoming.pause();
    // Not at once: the next chunks of what was read from the socket come before.
    if (this.#chunks.length === 1 && this.#wake) setImmediate(this.#wake);
  }

  /** Counts once. @param failure  undefined when all has come */
  #end(failure: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failure = failure;
    this.#wake?.();
  }

  /** @returns what has come, at least a byte; undefined at the end */
  async next(): Promise<Uint8Array | undefined> {
    if (this.#chunks.length === 0 && !this.#isOver) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
      this.#wake = undefined;
    }
    if (this.#chunks.length === 0 && this.#failure !== undefined) throw this.#failure;
    const piece = this.#gather();
    this.#size -= piece?.byteLength ?? 0;
    if (this.incoming.isPaused() && this.#size < MOST_WAITING) this.incoming.resume();
    return piece;
  }

  /** Nobody wants the rest. It is read all the same: a client that still sends may look for the answer only afterwards. */
  discard(): void {
    this.#end(undefined);
    this.#chunks.length = 0;
    this.incoming.resume();
  }

  #gather(): Uint8Array | undefined {
    let count = 0;
    let size = 0;
    while (size < WORTH_A_PIECE && count < this.#chunks.length) size += this.#chunks[count++]?.byteLength ?? 0;
    const [first, ...more] = this.#chunks.splice(0, count);
    return first && more.length > 0 ? Buffer.concat([first, ...more], size) : first;
  }
}

export function bodyOf(incoming: IncomingMessage): Bytes {
  let body: Body | undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(out) {
        body ??= new Body(incoming);
        const piece = await body.next();
        if (piece) out.enqueue(piece);
        else out.close();
      },
      cancel() {
        body?.discard();
      },
    },
    { highWaterMark: 0 },
  );
}
