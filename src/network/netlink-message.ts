/**
 * Netlink messages as bytes: headers, attributes, answers. All numbers are little-endian, as on every host we run on, unless a protocol says
 * otherwise. Source: netlink(7), linux/netlink.h.
 */

export const NLM_F = { request: 0x1, ack: 0x4, dump: 0x300, replace: 0x100, exclusive: 0x200, create: 0x400 } as const;

export const NLMSG_ERROR = 2;
const HEADER = 16;
const NESTED = 0x8000;

export const concat = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts);

export function u16(value: number): Uint8Array {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

export function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

/** `struct nlattr`: length and type, 16 bits each, then the value, padded to 4. */
export function attribute(type: number, ...value: readonly Uint8Array[]): Uint8Array {
  const length = 4 + value.reduce((sum, part) => sum + part.length, 0);
  const bytes = Buffer.alloc((length + 3) & ~3);
  bytes.writeUInt16LE(length, 0);
  bytes.writeUInt16LE(type, 2);
  let at = 4;
  for (const part of value) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export const nested = (type: number, ...attributes: readonly Uint8Array[]): Uint8Array =>
  attribute(type | NESTED, ...attributes);

export const textAttribute = (type: number, text: string): Uint8Array => attribute(type, Buffer.from(`${text}\0`));

/** `struct nlmsghdr`: length, type, flags, sequence, port. */
export function message(type: number, flags: number, ...body: readonly Uint8Array[]): Uint8Array {
  const payload = concat(...body);
  const header = Buffer.alloc(HEADER);
  header.writeUInt32LE(HEADER + payload.length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(NLM_F.request | flags, 6);
  header.writeUInt32LE(1, 8);
  return concat(header, payload);
}

export interface Answer {
  readonly type: number;
  readonly body: Buffer;
}

export function* answers(bytes: Uint8Array): Generator<Answer> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + HEADER <= buffer.length; ) {
    const length = buffer.readUInt32LE(at);
    if (length < HEADER || at + length > buffer.length) return;
    yield { type: buffer.readUInt16LE(at + 4), body: buffer.subarray(at + HEADER, at + length) };
    at += (length + 3) & ~3;
  }
}

/** @returns what the kernel refused; 0 for an acknowledgement or any other message */
export const errnoOf = ({ type, body }: Answer): number => (type === NLMSG_ERROR ? -body.readInt32LE(0) : 0);

export function attributesOf(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4) break;
    found.set(bytes.readUInt16LE(at + 2) & ~NESTED, bytes.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}
