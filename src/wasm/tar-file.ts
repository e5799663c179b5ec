/** A layer's raw tar on its way to disk. */

import { closeSync, openSync } from "node:fs";
import type { Digest } from "../base/digest.ts";
import { toldOf } from "../base/errors.ts";
import { writeBlocking } from "../base/writing.ts";
import { openHasher } from "./hasher.ts";

/** Where the tar goes: hashed and written. Dispose of it in the end. */
export interface TarSink extends Disposable {
  /** Blocks until the bytes may be overwritten. @returns false when more is of no use: `finish` throws then */
  write(bytes: Uint8Array): boolean;
  /** Waits until all of it is written. @returns the digest of what was written. @throws unavailable when the disk is full */
  finish(): Promise<Digest>;
}

/** A new file that is written by plain, blocking calls, and not synced: see store/settling.ts. */
export class NewFile implements Disposable {
  readonly #fd: number;

  /** @throws unavailable when the disk is full, as all that follows */
  constructor(readonly path: string) {
    this.#fd = this.#told(() => openSync(path, "wx", 0o600));
  }

  write(bytes: Uint8Array): void {
    this.#told(() => writeBlocking(this.#fd, bytes));
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

/** A tar that is on disk already: hashed only. */
export class PresentTar implements TarSink {
  readonly #hash = openHasher();

  write(bytes: Uint8Array): boolean {
    this.#hash.update(bytes);
    return true;
  }

  async finish(): Promise<Digest> {
    return this.#hash.digest();
  }

  [Symbol.dispose](): void {}
}

/** Hashed and written by this thread. */
export class TarFile implements TarSink {
  readonly #hash = openHasher();
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
    return this.#hash.digest();
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}
