/**
 * Blobs as files.
 *
 *   <root>/blobs/sha256/<hex>        complete: verified, synced, never written again
 *   <root>/blobs/sha256/part-<hex>   what a broken transfer left; the next one hashes it again and goes on from its end
 */

import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, hexOf, isDigest } from "../base/digest.ts";
import { corrupt, hasCode, ifMissing, internal, messageOf, notFound, unavailable } from "../base/errors.ts";
import { syncDirectory } from "../base/files.ts";
import type { Descriptor } from "../base/oci.ts";
import type { Bytes } from "../base/streams.ts";
import type { Blob, ContentStore, Source } from "./content.ts";

type Wanted = Pick<Descriptor, "digest" | "size">;
type PutOptions = NonNullable<Parameters<ContentStore["put"]>[2]>;

/** Progress is told every so many bytes. */
const STEP = 1 << 20;

/** A transfer and those who wait for it. It stops when all of them have given up. */
interface Transfer {
  readonly done: Promise<Blob>;
  readonly stop: AbortController;
  readonly listeners: Set<(bytes: number) => void>;
  waiting: number;
}

export class DiskContentStore implements ContentStore {
  readonly #directory: string;
  readonly #transfers = new Map<Digest, Transfer>();

  /** @param root  data root; `blobs` is made below it */
  constructor(root: string) {
    this.#directory = join(root, "blobs", "sha256");
  }

  #path(digest: Digest): string {
    return join(this.#directory, hexOf(digest));
  }

  #part(digest: Digest): string {
    return join(this.#directory, `part-${hexOf(digest)}`);
  }

  async find(digest: Digest): Promise<Blob | undefined> {
    const path = this.#path(digest);
    const size = await sizeOf(path);
    return size === undefined ? undefined : { path, size };
  }

  async get(digest: Digest): Promise<Blob> {
    const blob = await this.find(digest);
    if (blob === undefined) throw notFound(`There is no blob ${digest}`);
    return blob;
  }

  async put(wanted: Wanted, source: Source, options: PutOptions = {}): Promise<Blob> {
    options.signal?.throwIfAborted();
    for (;;) {
      const transfer = this.#transfers.get(wanted.digest) ?? this.#start(wanted, source);
      if (!transfer.stop.signal.aborted) return waitFor(transfer, options);
      // Given up, but not yet out of the way.
      await transfer.done.catch(() => undefined);
      options.signal?.throwIfAborted();
    }
  }

  #start(wanted: Wanted, source: Source): Transfer {
    const stop = new AbortController();
    const listeners = new Set<(bytes: number) => void>();
    const tell = (bytes: number): void => {
      for (const listener of listeners) listener(bytes);
    };
    const done = this.#bring(wanted, source, tell, stop.signal).finally(() => this.#transfers.delete(wanted.digest));
    const transfer: Transfer = { done, stop, listeners, waiting: 0 };
    this.#transfers.set(wanted.digest, transfer);
    return transfer;
  }

  async #bring(wanted: Wanted, source: Source, tell: (bytes: number) => void, signal: AbortSignal): Promise<Blob> {
    const there = await this.find(wanted.digest);
    if (there !== undefined) return checkSize(wanted, there);
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const path = this.#part(wanted.digest);
    const part = await Part.open(path, wanted, tell, signal);
    try {
      await using _ = part;
      await part.fill(source);
      await part.sync();
    } catch (error) {
      throw await this.#settle(path, error);
    }
    await rename(path, this.#path(wanted.digest));
    await syncDirectory(this.#directory);
    return { path: this.#path(wanted.digest), size: wanted.size };
  }

  /** A part is worth keeping unless it is wrong, or takes the space that is missing. @returns what to throw */
  async #settle(path: string, error: unknown): Promise<unknown> {
    const full = hasCode(error, "ENOSPC", "EDQUOT", "EFBIG");
    if (full || error instanceof Wrong) await rm(path, { force: true });
    if (error instanceof Wrong) return corrupt(error.message);
    return full ? unavailable(`Cannot write ${path}: ${messageOf(error)}`, { cause: error }) : error;
  }

  async remove(digest: Digest): Promise<void> {
    await rm(this.#path(digest), { force: true });
  }

  async *list(): ReturnType<ContentStore["list"]> {
    for (const name of await this.#names()) {
      const digest = `sha256:${name}`;
      const size = isDigest(digest) ? await sizeOf(join(this.#directory, name)) : undefined;
      if (isDigest(digest) && size !== undefined) yield { digest, size };
    }
  }

  async #names(): Promise<string[]> {
    return readdir(this.#directory).catch(ifMissing([]));
  }

  async sweep(): Promise<void> {
    for (const name of await this.#names())
      if (/^(part|new|rm)-/.test(name)) await rm(join(this.#directory, name), { recursive: true, force: true });
  }
}

/** Bytes that are not the wanted ones: of no use to a later transfer. */
class Wrong extends Error {}

function checkSize({ digest, size }: Wanted, blob: Blob): Blob {
  if (blob.size !== size) throw corrupt(`Cannot store ${digest}: it is there with ${blob.size} bytes, want ${size}`);
  return blob;
}

const sizeOf = (path: string): Promise<number | undefined> => stat(path).then(({ size }) => size, ifMissing(undefined));

/** Waits for a transfer until it is done or this caller gives up. */
async function waitFor(transfer: Transfer, { signal, onProgress }: PutOptions): Promise<Blob> {
  const { promise: left, reject: leave } = Promise.withResolvers<never>();
  const abort = (): void => leave(signal?.reason);
  signal?.addEventListener("abort", abort);
  if (onProgress !== undefined) transfer.listeners.add(onProgress);
  transfer.waiting++;
  try {
    return await Promise.race([transfer.done, left]);
  } finally {
    signal?.removeEventListener("abort", abort);
    if (onProgress !== undefined) transfer.listeners.delete(onProgress);
    if (--transfer.waiting === 0) transfer.stop.abort(signal?.reason);
  }
}

/** An unfinished blob: a file, and the hash of what is in it. */
class Part implements AsyncDisposable {
  #hash = new Bun.CryptoHasher("sha256");
  #size = 0;
  #told = 0;

  private constructor(
    readonly file: FileHandle,
    readonly wanted: Wanted,
    readonly tell: (bytes: number) => void,
    readonly signal: AbortSignal,
  ) {}

  static async open(path: string, ...rest: [Wanted, (bytes: number) => void, AbortSignal]): Promise<Part> {
    const part = new Part(await open(path, "a+", 0o600), ...rest);
    await part.#hashAgain();
    return part;
  }

  /** What is in the file may be the end of a crash: it counts for what it hashes to in the end. */
  async #hashAgain(): Promise<void> {
    const { size } = await this.file.stat();
    if (size > this.wanted.size) return this.#empty();
    const buffer = Buffer.allocUnsafe(Math.min(STEP, Math.max(size, 1)));
    while (this.#size < size) {
      this.signal.throwIfAborted();
      const { bytesRead } = await this.file.read(buffer, 0, buffer.length, this.#size);
      if (bytesRead === 0) break;
      this.#hash.update(buffer.subarray(0, bytesRead));
      this.#size += bytesRead;
    }
  }

  async #empty(): Promise<void> {
    await this.file.truncate(0);
    this.#hash = new Bun.CryptoHasher("sha256");
    this.#size = 0;
    this.#told = 0;
  }

  /** @throws Wrong, or what the source throws */
  async fill(source: Source): Promise<void> {
    const resumed = this.#size > 0;
    try {
      if (this.#size < this.wanted.size) await this.#append(source);
      this.#verify();
    } catch (error) {
      if (!resumed || !(error instanceof Wrong)) throw error;
      // The old part may have been the wrong one.
      await this.#empty();
      await this.#append(source);
      this.#verify();
    }
  }

  async #append(source: Source): Promise<void> {
    const { start, body } = await source(this.#size);
    if (start !== this.#size) {
      if (start !== 0)
        throw internal(`Cannot resume ${this.wanted.digest} at ${this.#size}: the source starts at ${start}`);
      await this.#empty();
    }
    for await (const chunk of stoppable(body, this.signal)) await this.#add(chunk);
  }

  async #add(chunk: Uint8Array): Promise<void> {
    const { digest, size } = this.wanted;
    if (this.#size + chunk.length > size) throw new Wrong(`Cannot store ${digest}: got more than ${size} bytes`);
    for (let at = 0; at < chunk.length; ) at += (await this.file.write(chunk, at)).bytesWritten;
    this.#hash.update(chunk);
    this.#size += chunk.length;
    if (this.#size < this.#told + STEP && this.#size < size) return;
    this.#told = this.#size;
    this.tell(this.#size);
  }

  #verify(): void {
    const { digest, size } = this.wanted;
    const actual = `sha256:${this.#hash.digest("hex")}`;
    if (this.#size !== size) throw new Wrong(`Cannot store ${digest}: got ${this.#size} bytes, want ${size}`);
    if (actual !== digest) throw new Wrong(`Cannot store ${digest}: got ${actual}`);
  }

  sync(): Promise<void> {
    return this.file.sync();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.file.close();
  }
}

/** The same chunks until the signal; a read that waits for the network is then cut short. */
async function* stoppable(body: Bytes, signal: AbortSignal): AsyncIterable<Uint8Array> {
  const reader = body.getReader();
  const stop = (): void => void reader.cancel(signal.reason).catch(() => undefined);
  signal.addEventListener("abort", stop);
  try {
    signal.throwIfAborted();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      signal.throwIfAborted();
      yield next.value;
    }
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener("abort", stop);
    await reader.cancel().catch(() => undefined);
  }
}
