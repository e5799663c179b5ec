/** Takes Docker's frames apart again (see frames.ts), for clients that get raw bytes of a container without a terminal. Pure. */

const HEAD = 8;

export class Deframer {
  #head = Buffer.alloc(0);
  /** Of the payload, bytes that are still to come. */
  #left = 0;

  /** @returns the payloads' bytes among these, in order */
  push(bytes: Buffer): Buffer[] {
    const out: Buffer[] = [];
    for (let rest = bytes; rest.length > 0; ) {
      if (this.#left > 0) {
        const payload = rest.subarray(0, this.#left);
        this.#left -= payload.length;
        rest = rest.subarray(payload.length);
        out.push(payload);
        continue;
      }
      const wanted = HEAD - this.#head.length;
      this.#head = Buffer.concat([this.#head, rest.subarray(0, wanted)]);
      rest = rest.subarray(wanted);
      if (this.#head.length < HEAD) break;
      this.#left = this.#head.readUInt32BE(4);
      this.#head = Buffer.alloc(0);
    }
    return out;
  }
}
