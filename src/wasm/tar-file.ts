/** A layer's raw tar on its way to disk. */

import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import type { Digest } from "../base/digest.ts";
import { toldOf } from "../base/errors.ts";
import { startWriting } from "../base/files.ts";

/** Where the tar goes: hashed and written. Dispose of it in the end. */
export interface TarSink extends Disposable {
  /** Blocks until the bytes may be overwritten. @returns false when more is of no use: `finish` throws then */
  write(bytes: Uint8Array): boolean;
  /** Waits until all of it is on disk. @returns the digest of what was written. @throws unavailable when the disk is full */
  finish(): Promise<Digest>;
}

/** The disk gets to work after every so many bytes, rather than for all of them at the end. */
const STRETCH = 16 << 20;

/** A new file that is written by plain, blocking calls. */
export class NewFile implements Disposable {
  readonly #fd: number;
  #size = 0;
  /** Bytes that are on their way to disk. */
  #begun = 0;

  /** @throws unavailable when the disk is full, as all that follows */
  constructor(readonly path: string) {
    this.#fd = this.#told(() => openSync(path, "wx", 0o600));
  }

  write(bytes: Uint8Array): void {
    this.#told(() => {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
      this.#size += bytes.length;
      if (this.#size < this.#begun + STRETCH) return;
      startWriting(this.#fd, this.#begun, this.#size - this.#begun);
      this.#begun = this.#size;
    });
  }

  sync(): void {
    this.#told(() => fsyncSync(this.#fd));
  }

  #told<T>(act: () => T): T {
    try {
      return act();
    } catch (error) {
      throw toldOf(this.path, error);
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** Hashed and written by this thread. */
export class TarFile implements TarSink {
  readonly #hash = new Bun.CryptoHasher("sha256");
  readonly #file: NewFile;

  constructor(path: string) {
    this.#file = new NewFile(path);
  }

  write(bytes: Uint8Array): boolean {
    this.#hash.update(bytes);
    this.#file.write(bytes);
    return true;
  }

  async finish(): Promise<Digest> {
    this.#file.sync();
    return `sha256:${this.#hash.digest("hex")}`;
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}
