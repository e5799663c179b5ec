/** As much of MessagePack as Fluentd's protocol needs. Pure. Source: msgpack's spec.md; Fluentd's Forward Protocol Specification v1. */

import { corrupt } from "../base/errors.ts";

/** Seconds since 1970, and nanoseconds of that second: the forward protocol's extension type 0. */
export class EventTime {
  constructor(
    readonly seconds: number,
    readonly nanoseconds: number,
  ) {}
}

export type Packable = string | number | EventTime | readonly Packable[] | { readonly [name: string]: Packable };

/** A type's head with a length: in the type byte, or in 1, 2 or 4 bytes after it. 0 for a form that the type has not. */
function head(length: number, [fix, room, one, two, four]: readonly [number, number, number, number, number]): Buffer {
  if (length < room) return Buffer.of(fix | length);
  if (length < 0x100 && one !== 0) return Buffer.of(one, length);
  const wide = length >= 0x10000;
  const bytes = Buffer.alloc(wide ? 5 : 3);
  bytes[0] = wide ? four : two;
  if (wide) bytes.writeUInt32BE(length, 1);
  else bytes.writeUInt16BE(length, 1);
  return bytes;
}

const TEXT = [0xa0, 32, 0xd9, 0xda, 0xdb] as const;
const ARRAY = [0x90, 16, 0, 0xdc, 0xdd] as const;
const MAP = [0x80, 16, 0, 0xde, 0xdf] as const;

function wholeNumber(value: number): Buffer {
  if (!Number.isSafeInteger(value) || value < 0 || value > 0xffff_ffff)
    throw corrupt(`Cannot pack ${value}: want a whole number of 32 bits`);
  if (value < 0x80) return Buffer.of(value);
  const bytes = Buffer.alloc(5);
  bytes[0] = 0xce;
  bytes.writeUInt32BE(value, 1);
  return bytes;
}

function eventTime({ seconds, nanoseconds }: EventTime): Buffer {
  const bytes = Buffer.alloc(10);
  bytes[0] = 0xd7; // fixext 8
  bytes.writeUInt32BE(seconds >>> 0, 2);
  bytes.writeUInt32BE(nanoseconds, 6);
  return bytes;
}

function add(out: Buffer[], value: Packable): void {
  if (typeof value === "number") out.push(wholeNumber(value));
  else if (typeof value === "string") {
    const text = Buffer.from(value);
    out.push(head(text.length, TEXT), text);
  } else if (value instanceof EventTime) out.push(eventTime(value));
  else if (isList(value)) {
    out.push(head(value.length, ARRAY));
    for (const each of value) add(out, each);
  } else {
    const entries = Object.entries(value);
    out.push(head(entries.length, MAP));
    for (const [name, each] of entries) {
      add(out, name);
      add(out, each);
    }
  }
}

const isList = (value: Packable): value is readonly Packable[] => Array.isArray(value);

export function pack(value: Packable): Buffer {
  const out: Buffer[] = [];
  add(out, value);
  return Buffer.concat(out);
}

/** @returns the text at a position, and what follows it. @throws corrupt */
function textAt(bytes: Buffer, at: number): { text: string; end: number } {
  const type = bytes[at] ?? 0;
  const [length, start] =
    type >= 0xa0 && type < 0xc0
      ? [type - 0xa0, at + 1]
      : type === 0xd9 && at + 2 <= bytes.length
        ? [bytes.readUInt8(at + 1), at + 2]
        : [Number.NaN, 0];
  if (!(start + length <= bytes.length)) throw corrupt("Cannot read a text of MessagePack");
  return { text: bytes.toString("utf8", start, start + length), end: start + length };
}

/** `{"ack": "…"}` → its text. @throws corrupt for anything else */
export function unpackAck(bytes: Uint8Array): string {
  const whole = Buffer.from(bytes);
  const name = whole[0] === 0x81 ? textAt(whole, 1) : undefined;
  if (name?.text !== "ack") throw corrupt("Cannot read a collector's answer: want an ack");
  return textAt(whole, name.end).text;
}
