/** A connection whose output is written in another form; what comes in is passed on as it is. */

import { Duplex } from "node:stream";

export class Recoded extends Duplex {
  readonly #inner: Duplex;
  readonly #recode: (bytes: Buffer) => readonly Uint8Array[];

  /** @param recode  called with what is written, in order. @param inner  ended by whoever made it */
  constructor(inner: Duplex, recode: (bytes: Buffer) => readonly Uint8Array[]) {
    super();
    this.#inner = inner;
    this.#recode = recode;
    inner.on("data", (bytes: Buffer) => {
      if (!this.push(bytes)) inner.pause();
    });
    inner.once("end", () => this.push(null));
    inner.once("close", () => this.destroy());
    inner.on("error", () => this.destroy());
  }

  override _read(): void {
    this.#inner.resume();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#inner.write(Buffer.concat(this.#recode(bytes)))) done();
    else this.#inner.once("drain", done);
  }
}
