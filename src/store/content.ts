/**
 * Port: bytes by digest.
 *
 * A *blob* is complete, verified and immutable once `put` returns; nobody ever sees half of one. What a broken `put` leaves is
 * a *part* which the next `put` of the same digest continues. Deleting is the caller's decision: the store keeps no references.
 */

import type { Digest } from "../base/digest.ts";
import type { Descriptor } from "../base/oci.ts";
import type { Bytes } from "../base/streams.ts";
import type { Arrival } from "../wasm/arrival.ts";

export interface Blob {
  /** Absolute path of an ordinary file that holds exactly the blob's bytes. Read only. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/**
 * Opens a source at `offset` bytes. A source that cannot resume answers from another offset (0) and says so in `start`:
 * the store then begins anew.
 */
export type Source = (offset: number) => Promise<{ readonly start: number; readonly body: Bytes }>;

export interface ContentStore {
  /** @returns undefined unless the blob is complete. */
  find(digest: Digest): Promise<Blob | undefined>;

  /** @throws notFound */
  get(digest: Digest): Promise<Blob>;

  /**
   * Makes the blob present. Idempotent; two callers with one digest share one transfer. On success the bytes have the
   * promised digest and size and survive a crash (file and directory are synced).
   * @param options.onProgress  called with the number of bytes present so far, now and then
   * @param options.durable     false for a blob that can be done without: a crash of the machine (not of this process) may take or damage it, and
   *                            whoever reads it verifies it. Default: true
   * @param options.arrival     told how far the file has come, for somebody who reads it meanwhile: unverified bytes. It stays silent when the blob
   *                            is there already, or another caller brings it
   * @throws corrupt when digest or size differ (nothing is kept), or what `source` throws (the part is kept)
   */
  put(
    blob: Pick<Descriptor, "digest" | "size">,
    source: Source,
    options?: {
      readonly onProgress?: (bytes: number) => void;
      readonly durable?: boolean;
      readonly arrival?: Arrival | undefined;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<Blob>;

  /**
   * Makes a blob of a file on the store's file system that holds exactly its bytes, as the caller has verified: it is moved. What was there under
   * the digest is replaced. The blob is as durable as one that was put with `durable: false`; a `put` makes it durable.
   * @throws corrupt when the file has another size
   */
  adopt(blob: Pick<Descriptor, "digest" | "size">, path: string): Promise<Blob>;

  /** Removes the blob, and a part of it that nobody is continuing. Idempotent. Files that are open stay readable. */
  remove(digest: Digest): Promise<void>;

  /** Every complete blob, in no order. */
  list(): AsyncIterable<{ readonly digest: Digest; readonly size: number }>;

  /**
   * Removes parts and leftovers of a crash. Called once, at start, before anything else.
   * @param wanted  parts of these blobs stay, for a `put` that continues them
   */
  sweep(wanted?: (digest: Digest) => boolean): Promise<void>;
}
