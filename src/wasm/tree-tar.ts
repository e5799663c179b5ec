/** A tree as a tar that streams by, made by a thread of its own: whoever reads it slowly keeps no Worker of the pool from its work. */

import { BosunError, type ErrorKind } from "../base/errors.ts";
import type { Bytes } from "../base/streams.ts";
import type { PackOptions } from "./packer.ts";

/** What is in the tar: all that is in a directory, or one thing in it. */
export type TreeTarOptions = Pick<PackOptions, "only" | "rename">;

/** The first message starts it; each one after that is a wish for the next piece. One is on its way while the one before is read. */
export interface TreeTarOrder extends TreeTarOptions {
  readonly root: string;
}

export type TreeTarReply =
  | { readonly type: "piece"; readonly piece: Uint8Array<ArrayBuffer> }
  | { readonly type: "end" }
  | { readonly type: "failed"; readonly kind: ErrorKind; readonly message: string };

class TreeTar {
  readonly #worker = new Worker(new URL("./tree-tar-worker.ts", import.meta.url));
  #waiting = Promise.withResolvers<TreeTarReply>();

  constructor(order: TreeTarOrder) {
    this.#worker.onmessage = ({ data }: MessageEvent<TreeTarReply>) => this.#waiting.resolve(data);
    this.#worker.onerror = ({ message }) =>
      this.#waiting.resolve({ type: "failed", kind: "internal", message: `Cannot read a tree: ${message}` });
    this.#worker.postMessage(order);
    this.#worker.postMessage("next");
  }

  /** @returns undefined at the end */
  async next(): Promise<Uint8Array | undefined> {
    const reply = await this.#waiting.promise;
    if (reply.type === "piece") {
      this.#waiting = Promise.withResolvers();
      this.#worker.postMessage("next");
      return reply.piece;
    }
    this.end();
    if (reply.type === "failed") throw new BosunError(reply.kind, reply.message);
    return undefined;
  }

  end(): void {
    this.#waiting.resolve({ type: "failed", kind: "internal", message: "Cannot read a tree: it was given up" });
    this.#worker.terminate();
  }
}

/**
 * The entries are in order of the bytes of their names, a directory before what is in it; the directory itself is none of them. A tree that stays
 * the same gives the same bytes. What changes meanwhile is told as it was when it was met, at the size that it had.
 * @param root     a directory; nothing outside of it is read, whatever its symlinks say
 * @param options  `only`: the one name in it that counts; `rename`: what that is called in the tar
 * @returns        a tar; errors corrupt for names longer than 4,095 bytes, SystemError's text as internal
 */
export function tarOfTree(root: string, options: TreeTarOptions = {}): Bytes {
  let tar: TreeTar | undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(out) {
        tar ??= new TreeTar({ root, ...options });
        const piece = await tar.next();
        if (piece === undefined) out.close();
        else out.enqueue(piece);
      },
      cancel() {
        tar?.end();
      },
    },
    { highWaterMark: 0 },
  );
}
