/** Coupling a client's connection with a task's stdio: bytes both ways, half-closes, and the keys that detach. */

import type { Duplex } from "node:stream";
import { Transform, type TransformCallback } from "node:stream";
import { invalid } from "../base/errors.ts";

/** ctrl-p ctrl-q */
const DEFAULT_DETACH_KEYS: readonly number[] = [16, 17];

const CONTROL = "@abcdefghijklmnopqrstuvwxyz[\\]^_";

/**
 * `ctrl-p,ctrl-q`, `a`, `ctrl-\` → the bytes of the sequence. Source: moby/term, ToBytes.
 * @throws invalid
 */
export function parseDetachKeys(text: string): readonly number[] {
  if (text === "") return DEFAULT_DETACH_KEYS;
  return text.split(",").map((key) => {
    const control = /^ctrl-(.)$/.exec(key)?.[1];
    const code = control === undefined ? -1 : CONTROL.indexOf(control);
    if (code >= 0) return code;
    if (key.length === 1 && key.charCodeAt(0) < 128) return key.charCodeAt(0);
    throw invalid(`Invalid escape keys (${text}) provided: unknown character: '${key}'`);
  });
}

/** Passes bytes on until the sequence appears, and ends there; a beginning of it that goes on otherwise is delivered. */
export class DetachKeys extends Transform {
  /** The last bytes, as long as they may become the sequence. */
  readonly #held: number[] = [];
  #detached = false;

  constructor(readonly keys: readonly number[]) {
    super();
  }

  /** Whether the sequence is why it ended. */
  get detached(): boolean {
    return this.#detached;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const out: number[] = [];
    for (const byte of this.#detached ? [] : chunk) {
      this.#held.push(byte);
      while (this.#held.some((held, at) => held !== this.keys[at])) out.push(...this.#held.splice(0, 1));
      if (this.#held.length < this.keys.length) continue;
      this.#detached = true;
      break;
    }
    if (out.length > 0) this.push(Buffer.from(out));
    if (this.#detached) this.push(null);
    done();
  }

  override _flush(done: TransformCallback): void {
    done(null, this.#detached ? null : Buffer.from(this.#held));
  }
}

export interface Coupling {
  readonly stdin: boolean;
  /** Undefined: no sequence detaches (there is no terminal). */
  readonly detachKeys: readonly number[] | undefined;
}

export type CouplingEnd = "ended" | "detached" | "left";

/**
 * @param client  closed by the caller, after this returns
 * @param task    closed here
 * @returns why it is over: the task ended, the keys were pressed, or the client left
 */
export async function couple(client: Duplex, task: Duplex, { stdin, detachKeys }: Coupling): Promise<CouplingEnd> {
  const { promise, resolve } = Promise.withResolvers<CouplingEnd>();
  task.once("end", () => resolve("ended")).once("close", () => resolve("ended"));
  task.on("error", () => resolve("ended"));
  client.once("close", () => resolve("left"));
  client.on("error", () => resolve("left"));
  // An exec may be over before its client is coupled, and then none of these comes any more.
  if (task.readableEnded || task.destroyed) resolve("ended");
  task.pipe(client, { end: false });
  if (stdin) {
    if (detachKeys) pipeUntil(new DetachKeys(detachKeys), client, task, () => resolve("detached"));
    else client.pipe(task);
  } else {
    client.resume(); // so that its leaving is noticed
  }
  const end = await promise;
  task.unpipe(client);
  client.unpipe();
  task.destroy();
  return end;
}

/** What was typed before the sequence arrives first; the sequence leaves stdin open, unlike the client's end. */
function pipeUntil(keys: DetachKeys, client: Duplex, task: Duplex, onDetach: () => void): void {
  client.pipe(keys).pipe(task, { end: false });
  keys.once("end", () => {
    if (keys.detached) task.write("", onDetach);
    else task.end();
  });
}
