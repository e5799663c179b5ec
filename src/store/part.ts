/**
 * An unfinished blob: a file, and the hash of what is in it. Bytes are gathered and written a batch at a time, while the next batch comes:
 * with the small pieces of a network most of the time would go into calls.
 */

import { type FileHandle, open } from "node:fs/promises";
import { internal } from "../base/errors.ts";
import type { Descriptor } from "../base/oci.ts";
import type { Bytes } from "../base/streams.ts";
import { writeInOrder } from "../base/writing.ts";
import { openHasher } from "../wasm/hasher.ts";
import type { Source } from "./content.ts";

/** Bytes that are written, and told of, at a time. */
const BATCH = 1 << 20;

/** Bytes that are not the wanted ones: of no use to a later transfer. */
export class Wrong extends Error {}

export interface Transfer {
  readonly wanted: Pick<Descriptor, "digest" | "size">;
  readonly source: Source;
  /** Told the number of bytes that are in the file, after each batch, and after it was emptied. */
  readonly tell: (bytes: number) => void;
  readonly signal: AbortSignal;
}

export class Part implements AsyncDisposable {
  readonly #file: FileHandle;
  readonly #transfer: Transfer;
  #hash = openHasher();
  /** Bytes that are hashed and written, or being written. */
  #size = 0;
  #batch: Uint8Array;
  #filled = 0;
  /** The other buffer, being written; empty until there is a second batch. */
  #spare: Uint8Array = new Uint8Array();
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(file: FileHandle, transfer: Transfer) {
    this.#file = file;
    this.#transfer = transfer;
    this.#batch = this.#room();
  }

  #room(): Uint8Array {
    return new Uint8Array(Math.max(1, Math.min(BATCH, this.#transfer.wanted.size)));
  }

  /** Goes on with what an earlier transfer left at `path`, if anything. */
  static async open(path: string, transfer: Transfer): Promise<Part> {
    const part = new Part(await open(path, "a+", 0o600), transfer);
    await part.#hashAgain();
    return part;
  }

  /** What is in the file may be the end of a crash: it counts for what it hashes to in the end. */
  async #hashAgain(): Promise<void> {
    const { size } = await this.#file.stat();
    if (size > this.#transfer.wanted.size) return this.#empty();
    while (this.#size < size) {
      this.#transfer.signal.throwIfAborted();
      const { bytesRead } = await this.#file.read(this.#batch, 0, this.#batch.length, this.#size);
      if (bytesRead === 0) break;
      this.#hash.update(this.#batch.subarray(0, bytesRead));
      this.#size += bytesRead;
    }
    this.#transfer.tell(this.#size);
  }

  async #empty(): Promise<void> {
    await this.#file.truncate(0);
    this.#transfer.tell(0);
    this.#hash = openHasher();
    this.#size = 0;
  }

  /** Makes the blob whole. @throws Wrong, or what the source or the disk throws: then the file has what came before */
  async fill(): Promise<void> {
    const resumed = this.#size > 0;
    try {
      if (this.#size < this.#transfer.wanted.size) await this.#append();
      this.#verify();
    } catch (error) {
      if (!resumed || !(error instanceof Wrong)) throw error;
      // The old part may have been the wrong one.
      await this.#empty();
      await this.#append();
      this.#verify();
    }
  }

  async #append(): Promise<void> {
    const { source, wanted, signal } = this.#transfer;
    const { start, body } = await source(this.#size);
    if (start !== this.#size) {
      if (start !== 0) throw internal(`Cannot resume ${wanted.digest} at ${this.#size}: the source starts at ${start}`);
      await this.#empty();
    }
    try {
      await forEach(body, signal, (chunk) => this.#add(chunk));
    } finally {
      await this.#flush();
      await this.#writing;
    }
  }

  /** @returns undefined while there is room: most pieces need not be waited for */
  #add(chunk: Uint8Array): Promise<void> | undefined {
    const { digest, size } = this.#transfer.wanted;
    if (this.#size + this.#filled + chunk.length > size)
      throw new Wrong(`Cannot store ${digest}: got more than ${size} bytes`);
    if (this.#batch.length === 0) this.#batch = this.#room();
    const taken = chunk.subarray(0, this.#batch.length - this.#filled);
    this.#batch.set(taken, this.#filled);
    this.#filled += taken.length;
    return this.#filled < this.#batch.length ? undefined : this.#flushThenAdd(chunk.subarray(taken.length));
  }

  async #flushThenAdd(rest: Uint8Array): Promise<void> {
    await this.#flush();
    if (rest.length > 0) await this.#add(rest);
  }

  /** Starts to write the batch. @throws what the write before failed with */
  async #flush(): Promise<void> {
    await this.#writing;
    const batch = this.#batch.subarray(0, this.#filled);
    if (batch.length === 0) return;
    this.#size += batch.length;
    const size = this.#size;
    this.#writing = this.#write(batch).then(() => this.#transfer.tell(size));
    this.#writing.catch(() => undefined); // looked at before the next batch, and at the end
    this.#hash.update(batch);
    this.#filled = 0;
    [this.#batch, this.#spare] = [this.#spare, this.#batch];
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await writeInOrder(this.#file.fd, bytes);
  }

  #verify(): void {
    const { digest, size } = this.#transfer.wanted;
    const actual = this.#hash.digest();
    if (this.#size !== size) throw new Wrong(`Cannot store ${digest}: got ${this.#size} bytes, want ${size}`);
    if (actual !== digest) throw new Wrong(`Cannot store ${digest}: got ${actual}`);
  }

  /** Waits until the bytes are on disk. */
  sync(): Promise<void> {
    return this.#file.sync();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }
}

/** Hands over chunks until the signal; a read that waits for the network is then cut short. @throws the signal's reason */
async function forEach(body: Bytes, signal: AbortSignal, use: (chunk: Uint8Array) => Promise<void> | undefined) {
  const reader = body.getReader();
  const stop = (): void => void reader.cancel(signal.reason).catch(() => undefined);
  signal.addEventListener("abort", stop);
  try {
    for (;;) {
      signal.throwIfAborted();
      const { done, value } = await reader.read();
      if (done) break;
      await use(value);
    }
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener("abort", stop);
    await reader.cancel().catch(() => undefined);
  }
}
