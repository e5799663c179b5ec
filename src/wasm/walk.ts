/** Trees, read and poured by shim/lib-walk.c and shim/lib-pour.c. */

import { constants } from "node:os";
import { checked, cString, library } from "../base/library.ts";

/** Records in one go: more than this does not make it faster, and their headers stay in the processor's cache. */
const CHUNK_BYTES = 1 << 18;

export interface TreePlace {
  /** A directory: paths of it and of `base` are trusted, what is below them is not. */
  readonly root: string;
  /** The directory beside which it is read. */
  readonly base?: string | undefined;
  /** The one name in `root` that counts. */
  readonly only?: string | undefined;
  /** `root` is a complete tree rather than an overlay's upper directory: what only the base has is gone. */
  readonly whole?: boolean | undefined;
}

/** A walk. Layout of the records: wasm/walk-record.ts. */
export class Walk implements Disposable {
  readonly #walk: number;
  readonly #action: string;

  /** @throws SystemError */
  constructor({ root, base, only, whole }: TreePlace) {
    this.#action = `read the tree ${root}`;
    const names = [root, base ?? "", only ?? ""].map(cString);
    const [at, beside, one] = [names[0] ?? cString(""), names[1] ?? cString(""), names[2] ?? cString("")];
    this.#walk = checked(this.#action, library().bosun_walk_open(at, beside, one, whole === true ? 1 : 0));
  }

  /**
   * Writes the next records to the start of `room`.
   * @param room  1 MiB: no entry has more attributes than fit in there
   * @returns     their bytes, 0 at the end. @throws SystemError
   */
  next(room: Uint8Array): number {
    const read = (bytes: number): number => Number(library().bosun_walk_next(this.#walk, room, bytes));
    const result = read(Math.min(CHUNK_BYTES, room.length));
    return checked(this.#action, result === -constants.errno.E2BIG ? read(room.length) : result);
  }

  [Symbol.dispose](): void {
    library().bosun_walk_close(this.#walk);
  }
}

/** Copies files' contents in between the headers of a tar. Layout of the items: wasm/tar-item.ts. */
export class Pour implements Disposable {
  readonly #pour: number;
  readonly #action: string;

  /** @throws SystemError */
  constructor(root: string) {
    this.#action = `read files of the tree ${root}`;
    this.#pour = checked(this.#action, library().bosun_pour_open(cString(root)));
  }

  /**
   * Writes the next bytes of the tar to the start of `room`.
   * @param items  the same until they are used up
   * @returns      bytes written; less than `room` has when the items are used up. @throws SystemError
   */
  next(items: Uint8Array, room: Uint8Array): number {
    return checked(this.#action, library().bosun_pour(this.#pour, items, items.length, room, room.length));
  }

  [Symbol.dispose](): void {
    library().bosun_pour_close(this.#pour);
  }
}
