/**
 * Blobs as files.
 *
 *   <root>/blobs/sha256/<hex>        complete: verified, never written again; synced unless it was put as not durable
 *   <root>/blobs/sha256/part-<hex>   what a broken transfer left, or a crash; the next one hashes it again and goes on from its end
 */

import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, hexOf, isDigest } from "../base/digest.ts";
import { corrupt, ifMissing, notFound, toldOf } from "../base/errors.ts";
import { syncDirectory } from "../base/files.ts";
import type { Descriptor } from "../base/oci.ts";
import type { Arrival } from "../wasm/arrival.ts";
import type { Blob, ContentStore, Source } from "./content.ts";
import { Part, type Transfer, Wrong } from "./part.ts";

type Wanted = Pick<Descriptor, "digest" | "size">;
type PutOptions = NonNullable<Parameters<ContentStore["put"]>[2]>;

/** A transfer and those who wait for it. It stops when all of them have given up. */
interface Shared {
  readonly done: Promise<Blob>;
  readonly stop: AbortController;
  readonly listeners: Set<(bytes: number) => void>;
  waiting: number;
}

export class DiskContentStore implements ContentStore {
  readonly #directory: string;
  readonly #transfers = new Map<Digest, Shared>();
  /** Complete blobs that a crash may take or damage. */
  readonly #unsynced = new Set<Digest>();

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
    const durable = options.durable ?? true;
    for (;;) {
      const shared = this.#transfers.get(wanted.digest) ?? this.#start(wanted, source, durable, options.arrival);
      if (!shared.stop.signal.aborted) {
        const blob = await waitFor(shared, options);
        if (durable && this.#unsynced.has(wanted.digest)) await this.#sync(wanted.digest);
        return blob;
      }
      // Given up, but not yet out of the way.
      await shared.done.catch(() => undefined);
      options.signal?.throwIfAborted();
    }
  }

  #start(wanted: Wanted, source: Source, durable: boolean, arrival: Arrival | undefined): Shared {
    const stop = new AbortController();
    const listeners = new Set<(bytes: number) => void>();
    const tell = (bytes: number): void => {
      arrival?.advance(this.#part(wanted.digest), bytes);
      for (const listener of listeners) listener(bytes);
    };
    const transfer: Transfer = { wanted, source, tell, signal: stop.signal };
    const done = this.#bring(transfer, durable).finally(() => this.#transfers.delete(wanted.digest));
    const shared: Shared = { done, stop, listeners, waiting: 0 };
    this.#transfers.set(wanted.digest, shared);
    return shared;
  }

  async #bring(transfer: Transfer, durable: boolean): Promise<Blob> {
    const { digest, size } = transfer.wanted;
    const there = await this.find(digest);
    if (there !== undefined) return checkSize(transfer.wanted, there);
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const path = this.#part(digest);
    const part = await Part.open(path, transfer);
    try {
      await using _ = part;
      await part.fill();
      if (durable) await part.sync();
    } catch (error) {
      throw await this.#settle(path, error);
    }
    if (!durable) this.#unsynced.add(digest);
    await rename(path, this.#path(digest));
    if (durable) await syncDirectory(this.#directory);
    return { path: this.#path(digest), size };
  }

  /** Makes a blob durable after all. */
  async #sync(digest: Digest): Promise<void> {
    await using file = await open(this.#path(digest), "r");
    await file.sync();
    await syncDirectory(this.#directory);
    this.#unsynced.delete(digest);
  }

  /** A part is worth keeping unless it is wrong, or takes the space that is missing. @returns what to throw */
  async #settle(path: string, error: unknown): Promise<unknown> {
    const told = toldOf(path, error);
    if (told !== error || error instanceof Wrong) await rm(path, { force: true });
    return error instanceof Wrong ? corrupt(error.message) : told;
  }

  async adopt(wanted: Wanted, path: string): Promise<Blob> {
    const { size } = await stat(path);
    const blob = checkSize(wanted, { path: this.#path(wanted.digest), size });
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    this.#unsynced.add(wanted.digest);
    await rename(path, blob.path);
    return blob;
  }

  async remove(digest: Digest): Promise<void> {
    const transfer = this.#transfers.get(digest);
    // Who gave it up did not wait for its last write; its part would stay when nobody knows of it any more.
    if (transfer?.stop.signal.aborted) await transfer.done.catch(() => undefined);
    await rm(this.#path(digest), { force: true });
    if (!this.#transfers.has(digest)) await rm(this.#part(digest), { force: true });
    this.#unsynced.delete(digest);
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

  async sweep(wanted: (digest: Digest) => boolean = () => false): Promise<void> {
    for (const name of await this.#names()) {
      const part = `sha256:${name.replace(/^part-/, "")}`;
      const isWanted = name.startsWith("part-") && isDigest(part) && wanted(part);
      if (/^(part|new|rm)-/.test(name) && !isWanted)
        await rm(join(this.#directory, name), { recursive: true, force: true });
    }
  }
}

function checkSize({ digest, size }: Wanted, blob: Blob): Blob {
  if (blob.size !== size) throw corrupt(`Cannot store ${digest}: it is there with ${blob.size} bytes, want ${size}`);
  return blob;
}

const sizeOf = (path: string): Promise<number | undefined> => stat(path).then(({ size }) => size, ifMissing(undefined));

/** Waits for a transfer until it is done or this caller gives up. */
async function waitFor(shared: Shared, { signal, onProgress }: PutOptions): Promise<Blob> {
  const { promise: left, reject: leave } = Promise.withResolvers<never>();
  const abort = (): void => leave(signal?.reason);
  signal?.addEventListener("abort", abort);
  if (onProgress !== undefined) shared.listeners.add(onProgress);
  shared.waiting++;
  try {
    return await Promise.race([shared.done, left]);
  } finally {
    signal?.removeEventListener("abort", abort);
    if (onProgress !== undefined) shared.listeners.delete(onProgress);
    if (--shared.waiting === 0) shared.stop.abort(signal?.reason);
  }
}
