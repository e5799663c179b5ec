/** DNS messages for tests, as plain as can be. Source: RFC 1035, 6891. */

export const TYPE = { A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, MX: 15, TXT: 16, AAAA: 28, OPT: 41, HTTPS: 65 } as const;
export const RCODE = { ok: 0, format: 1, failure: 2, noName: 3, notImplemented: 4, refused: 5 } as const;

export const u16 = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 2);
  for (const [at, value] of values.entries()) bytes.writeUInt16BE(value & 0xffff, at * 2);
  return bytes;
};
const u32 = (value: number): Buffer => u16(value >>> 16, value);

export const wireName = (name: string): Buffer =>
  Buffer.concat([
    ...(name === "" ? [] : name.split(".")).map((label) =>
      Buffer.concat([Buffer.of(label.length), Buffer.from(label)]),
    ),
    Buffer.of(0),
  ]);

const optOf = (size: number): Buffer => Buffer.concat([Buffer.of(0), u16(TYPE.OPT, size), u32(0), u16(0)]);

/** @param edns  the size that is offered */
export function question(name: string, type: number, { id = 0x1234, edns = 0 } = {}): Buffer {
  const head = u16(id, 0x0100, 1, 0, 0, edns > 0 ? 1 : 0);
  return Buffer.concat([head, wireName(name), u16(type, 1), ...(edns > 0 ? [optOf(edns)] : [])]);
}

/** Of the name that was asked for, unless another is given. */
export const record = (type: number, ttl: number, data: Buffer, name: Buffer = u16(0xc00c)): Buffer =>
  Buffer.concat([name, u16(type, 1), u32(ttl), u16(data.length), data]);

export const a = (address: string, ttl = 60): Buffer =>
  record(TYPE.A, ttl, Buffer.from(address.split(".").map(Number)));

export const soa = (least: number): Buffer =>
  record(
    TYPE.SOA,
    3600,
    Buffer.concat([wireName("ns.example"), wireName("hostmaster.example"), ...[1, 2, 3, 4, least].map(u32)]),
    wireName("example"),
  );

/** Where the question of a message ends. */
export function questionEnd(message: Buffer): number {
  let at = 12;
  while (message.readUInt8(at) !== 0) at += 1 + message.readUInt8(at);
  return at + 5;
}

export interface Answering {
  readonly rcode?: number;
  readonly answers?: readonly Buffer[];
  readonly authority?: readonly Buffer[];
  readonly truncated?: boolean;
  readonly id?: number;
}

/** An answer to a question. */
export function answerTo(
  asked: Buffer,
  { rcode = 0, answers = [], authority = [], truncated = false, id }: Answering,
): Buffer {
  const flags = 0x8180 | rcode | (truncated ? 0x0200 : 0);
  const head = u16(id ?? asked.readUInt16BE(0), flags, 1, answers.length, authority.length, 0);
  return Buffer.concat([head, asked.subarray(12, questionEnd(asked)), ...answers, ...authority]);
}

export interface Parsed {
  readonly id: number;
  readonly rcode: number;
  readonly truncated: boolean;
  /** As it was asked. */
  readonly question: string;
  readonly edns: boolean;
  readonly answers: readonly { readonly type: number; readonly ttl: number; readonly data: Buffer }[];
}

/** Of a well-formed answer. */
export function parse(message: Buffer): Parsed {
  const labels: string[] = [];
  for (let at = 12; message.readUInt16BE(4) > 0 && message.readUInt8(at) !== 0; at += 1 + message.readUInt8(at))
    labels.push(message.toString("latin1", at + 1, at + 1 + message.readUInt8(at)));
  const answers: { type: number; ttl: number; data: Buffer }[] = [];
  let at = message.readUInt16BE(4) > 0 ? questionEnd(message) : 12;
  for (let left = message.readUInt16BE(6); left > 0; left--) {
    while (message.readUInt8(at) > 0 && message.readUInt8(at) < 0xc0) at += 1 + message.readUInt8(at);
    at += message.readUInt8(at) === 0 ? 1 : 2;
    const size = message.readUInt16BE(at + 8);
    answers.push({
      type: message.readUInt16BE(at),
      ttl: message.readUInt32BE(at + 4),
      data: message.subarray(at + 10, at + 10 + size),
    });
    at += 10 + size;
  }
  return {
    id: message.readUInt16BE(0),
    rcode: message.readUInt8(3) & 15,
    truncated: (message.readUInt8(2) & 2) !== 0,
    question: labels.join("."),
    edns: message.readUInt16BE(10) > 0,
    answers,
  };
}

export const addressesIn = (message: Buffer): readonly string[] =>
  parse(message).answers.flatMap(({ type, data }) => (type === TYPE.A ? [[...data].join(".")] : []));
