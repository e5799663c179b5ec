/** MessagePack, read as its specification has it, to judge what is written. */

export interface Extension {
  readonly type: number;
  readonly bytes: Buffer;
}

class Reader {
  at = 0;
  constructor(readonly bytes: Buffer) {}

  take(size: number): Buffer {
    if (this.at + size > this.bytes.length) throw new RangeError("cut short");
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }

  #length(size: number): number {
    return this.take(size).readUIntBE(0, size);
  }

  #list(count: number): unknown[] {
    return Array.from({ length: count }, () => this.value());
  }

  #map(count: number): Record<string, unknown> {
    return Object.fromEntries(Array.from({ length: count }, () => [String(this.value()), this.value()]));
  }

  value(): unknown {
    const type = this.#length(1);
    if (type < 0x80) return type;
    if (type < 0x90) return this.#map(type - 0x80);
    if (type < 0xa0) return this.#list(type - 0x90);
    if (type < 0xc0) return this.take(type - 0xa0).toString();
    if (type >= 0xcc && type <= 0xce) return this.#length(2 ** (type - 0xcc));
    if (type === 0xd7) return { type: this.#length(1), bytes: this.take(8) } satisfies Extension;
    if (type >= 0xd9 && type <= 0xdb) return this.take(this.#length(2 ** (type - 0xd9))).toString();
    if (type === 0xdc || type === 0xdd) return this.#list(this.#length(type === 0xdc ? 2 : 4));
    if (type === 0xde || type === 0xdf) return this.#map(this.#length(type === 0xde ? 2 : 4));
    throw new TypeError(`not expected: 0x${type.toString(16)}`);
  }
}

/** All values that are whole. */
export function unpackAll(bytes: Buffer): unknown[] {
  const values: unknown[] = [];
  const reader = new Reader(bytes);
  for (;;) {
    try {
      values.push(reader.value());
    } catch (error) {
      if (error instanceof RangeError) return values;
      throw error;
    }
  }
}
