/** A content store in a folder of its own, as simple as the port allows: no syncing, one transfer at a time by digest. */

import { mkdtemp, rename, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Digest, digestOf, hexOf, isDigest } from "../../src/base/digest.ts";
import { corrupt, notFound } from "../../src/base/errors.ts";
import { Locks } from "../../src/base/lock.ts";
import type { Blob, ContentStore, Source } from "../../src/store/content.ts";

type Put = Parameters<ContentStore["put"]>;

export class FakeContent implements ContentStore, AsyncDisposable {
  readonly #blobs = new Map<Digest, Blob>();
  readonly #parts = new Map<Digest, Uint8Array>();
  readonly #locks = new Locks();
  readonly #folder: Promise<string> = mkdtemp(join(tmpdir(), "bosun-content-"));

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(await this.#folder, { recursive: true, force: true });
  }

  async find(digest: Digest): Promise<Blob | undefined> {
    return this.#blobs.get(digest);
  }

  async get(digest: Digest): Promise<Blob> {
    const blob = this.#blobs.get(digest);
    if (!blob) throw notFound(`no blob ${digest}`);
    return blob;
  }

  async put({ digest, size }: Put[0], source: Source, options: Put[2] = {}): Promise<Blob> {
    await using _ = await this.#locks.acquire(digest);
    const known = this.#blobs.get(digest);
    if (known) return known;
    const bytes = await this.#receive(digest, size, source, options);
    this.#parts.delete(digest);
    if (bytes.byteLength !== size || digestOf(bytes) !== digest)
      throw corrupt(`Cannot store ${digest}: got ${digestOf(bytes)}, ${bytes.byteLength} bytes, want ${size}`);
    const path = join(await this.#folder, hexOf(digest));
    await Bun.write(`${path}.new`, bytes);
    await rename(`${path}.new`, path);
    const blob = { path, size };
    this.#blobs.set(digest, blob);
    return blob;
  }

  async #receive(digest: Digest, size: number, source: Source, options: NonNullable<Put[2]>): Promise<Uint8Array> {
    const part = this.#parts.get(digest) ?? new Uint8Array();
    const { start, body } = await source(part.byteLength);
    const pieces: Uint8Array[] = [part.subarray(0, start)];
    let seen = start;
    const reader = body.getReader();
    try {
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        options.signal?.throwIfAborted();
        pieces.push(piece.value);
        seen += piece.value.byteLength;
        if (seen > size) throw corrupt(`Cannot store ${digest}: more than ${size} bytes`);
        options.onProgress?.(seen);
      }
    } catch (error) {
      await reader.cancel().catch(() => {});
      this.#parts.set(digest, Buffer.concat(pieces));
      throw error;
    }
    return Buffer.concat(pieces);
  }

  async adopt({ digest, size }: Put[0], path: string): Promise<Blob> {
    const blob = { path: join(await this.#folder, hexOf(digest)), size };
    await rename(path, blob.path);
    this.#blobs.set(digest, blob);
    return blob;
  }

  async remove(digest: Digest): Promise<void> {
    const blob = this.#blobs.get(digest);
    this.#blobs.delete(digest);
    if (blob) await rm(blob.path, { force: true });
  }

  async *list(): AsyncGenerator<{ digest: Digest; size: number }> {
    for (const [digest, { size }] of this.#blobs) yield { digest, size };
  }

  async sweep(wanted: (digest: Digest) => boolean = () => false): Promise<void> {
    for (const digest of [...this.#parts.keys()]) if (!wanted(digest)) this.#parts.delete(digest);
  }

  /** For tests: what is here, sorted. */
  digests(): readonly Digest[] {
    return [...this.#blobs.keys()].filter(isDigest).sort();
  }

  /** For tests: bytes of the part that a broken transfer left. */
  partBytes(digest: Digest): number {
    return this.#parts.get(digest)?.byteLength ?? 0;
  }

  async exists(digest: Digest): Promise<boolean> {
    const blob = this.#blobs.get(digest);
    return blob !== undefined && (await stat(blob.path)).size === blob.size;
  }
}
