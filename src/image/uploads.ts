/**
 * Blobs that come in pieces. An upload is a file that grows, and the hash of what is in it; it ends as a blob of the content store, leased until
 * a manifest names it. One that nobody continues is forgotten, and none outlives the daemon: clients begin anew.
 */

import { type FileHandle, mkdir, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, isDigest } from "../base/digest.ts";
import { ifMissing, toldOf } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import { Locks } from "../base/lock.ts";
import type { Bytes } from "../base/streams.ts";
import { writeInOrder } from "../base/writing.ts";
import type { ContentStore } from "../store/content.ts";
import { ProtocolError } from "./protocol-error.ts";
import type { ImageRecords } from "./records.ts";
import { leaseMs, type Sweeper } from "./sweep.ts";

export interface UploadLimits {
  /** Bytes of one blob. */
  readonly blobBytes: number;
  /** Uploads under way. */
  readonly sessions: number;
  /** How long an upload is kept without a request, ms. */
  readonly idleMs: number;
  /** How long a blob waits for its manifest, ms. */
  readonly leaseMs: number;
}

const defaultLimits: UploadLimits = {
  blobBytes: 64 * 2 ** 30,
  sessions: 256,
  idleMs: 60 * 60 * 1000,
  leaseMs,
};

const prefix = "new-upload-";

interface Session {
  readonly repository: string;
  readonly path: string;
  readonly file: FileHandle;
  readonly hash: Bun.CryptoHasher;
  size: number;
  /** Ends it when nobody comes back. */
  timer: Timer;
}

/** Where a piece belongs: the offset of its first byte, and how many bytes it has; what is not said is not checked. */
export interface Piece {
  readonly start?: number;
  readonly length?: number;
}

export class Uploads implements AsyncDisposable {
  readonly #sessions = new Map<string, Session>();
  readonly #locks = new Locks();
  readonly #limits: UploadLimits;

  /** @param scratch  a folder on the disk of the content store; made when missing */
  constructor(
    readonly content: ContentStore,
    readonly records: ImageRecords,
    readonly sweeper: Sweeper,
    readonly scratch: string,
    limits: Partial<UploadLimits> = {},
  ) {
    this.#limits = { ...defaultLimits, ...limits };
  }

  /** Removes what a former daemon left. Called at start. */
  async sweep(): Promise<void> {
    const names = await readdir(this.scratch).catch(ifMissing([]));
    const ours = names.filter((name) => name.startsWith(prefix));
    await Promise.all(ours.map((name) => rm(join(this.scratch, name), { force: true })));
  }

  /** @returns the upload's id. @throws ProtocolError when there are too many */
  async begin(repository: string): Promise<string> {
    if (this.#sessions.size >= this.#limits.sessions)
      throw new ProtocolError("TOOMANYREQUESTS", `${this.#sessions.size} uploads are under way: finish some first`);
    const id = newId();
    const path = join(this.scratch, prefix + id);
    await mkdir(this.scratch, { recursive: true, mode: 0o700 });
    const file = await open(path, "wx", 0o600);
    const timer = setTimeout(() => void this.cancel(repository, id).catch(() => {}), this.#limits.idleMs);
    timer.unref();
    this.#sessions.set(id, { repository, path, file, hash: new Bun.CryptoHasher("sha256"), size: 0, timer });
    return id;
  }

  #get(repository: string, id: string): Session {
    const session = this.#sessions.get(id);
    if (session?.repository !== repository)
      throw new ProtocolError("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
    session.timer.refresh();
    return session;
  }

  /** @returns bytes that are there */
  size(repository: string, id: string): number {
    return this.#get(repository, id).size;
  }

  /**
   * Appends. What came before a break stays.
   * @returns bytes that are there now. @throws ProtocolError when the piece does not follow what is there, or is not as long as it says
   */
  async append(repository: string, id: string, body: Bytes, piece: Piece = {}): Promise<number> {
    await using _ = await this.#locks.acquire(id);
    const session = this.#get(repository, id);
    if (piece.start !== undefined && piece.start !== session.size)
      throw new ProtocolError("BLOB_UPLOAD_INVALID", `the piece starts at ${piece.start}, want ${session.size}`);
    const before = session.size;
    for await (const chunk of body) await this.#write(session, chunk, piece);
    const length = session.size - before;
    if (piece.length !== undefined && length !== piece.length)
      throw new ProtocolError("SIZE_INVALID", `the piece has ${length} bytes, want ${piece.length}`);
    return session.size;
  }

  async #write(session: Session, chunk: Uint8Array, { start, length }: Piece): Promise<void> {
    const most = start !== undefined && length !== undefined ? start + length : this.#limits.blobBytes;
    if (session.size + chunk.byteLength > Math.min(most, this.#limits.blobBytes))
      throw new ProtocolError(
        "SIZE_INVALID",
        `the upload has more than ${Math.min(most, this.#limits.blobBytes)} bytes`,
      );
    try {
      await writeInOrder(session.file.fd, chunk, session.size);
    } catch (error) {
      throw toldOf(session.path, error);
    }
    session.hash.update(chunk);
    session.size += chunk.byteLength;
    session.timer.refresh();
  }

  /** Makes a blob of the upload. @throws ProtocolError when it is not what the digest says: the upload is gone then */
  async finish(repository: string, id: string, digest: string): Promise<Digest> {
    await using _ = await this.#locks.acquire(id);
    const session = this.#get(repository, id);
    const actual = `sha256:${session.hash.digest("hex")}`;
    this.#forget(id, session);
    await session.file.close();
    try {
      if (!isDigest(digest) || actual !== digest)
        throw new ProtocolError("DIGEST_INVALID", `provided digest did not match uploaded content: got ${actual}`);
      using _held = await this.sweeper.hold({ blobs: [digest] });
      await this.content.adopt({ digest, size: session.size }, session.path);
      this.lease(digest);
      return digest;
    } finally {
      await rm(session.path, { force: true });
    }
  }

  /** Keeps a blob for a manifest that may come. */
  lease(digest: Digest): void {
    this.records.lease({ blobs: [digest] }, new Date(Date.now() + this.#limits.leaseMs));
  }

  async cancel(repository: string, id: string): Promise<void> {
    await using _ = await this.#locks.acquire(id);
    const session = this.#get(repository, id);
    this.#forget(id, session);
    await session.file.close();
    await rm(session.path, { force: true });
  }

  #forget(id: string, { timer }: Session): void {
    clearTimeout(timer);
    this.#sessions.delete(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [id, { repository }] of this.#sessions) await this.cancel(repository, id).catch(() => {});
  }
}
