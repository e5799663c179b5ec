/** WebSocket's framing, the server's side of it. Pure. Source: RFC 6455, section 5. */

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
type Opcode = (typeof OPCODE)[keyof typeof OPCODE];

/** Codes of a close. Source: RFC 6455, 7.4.1. */
export const CLOSE = { normal: 1000, goingAway: 1001, protocolError: 1002, internalError: 1011 } as const;

/** What came, unmasked: bytes of messages as they arrive, however long those are, and control frames whole. */
export type Part =
  | { readonly kind: "data"; readonly bytes: Buffer }
  | { readonly kind: "ping"; readonly bytes: Buffer }
  | { readonly kind: "close"; readonly bytes: Buffer };

/** What a client must not send. */
class FrameError extends Error {
  override readonly name = "FrameError";
}

/** Of control frames, bytes. */
const CONTROL_LIMIT = 125;
const MASK = 4;

interface Frame {
  readonly opcode: number;
  readonly mask: Buffer;
  /** Bytes of the payload that have come. */
  at: number;
  /** … and that are still to come. Past 2^53 it is not exact, and nobody will live to see. */
  left: number;
  /** Of a control frame. */
  held: Buffer;
}

const isControl = (opcode: number): boolean => opcode >= OPCODE.close;

/** How long a frame's head is, as far as its first bytes tell. */
const headLength = (head: Buffer): number => {
  const length = (head[1] ?? 0) & 0x7f;
  return 2 + (length === 127 ? 8 : length === 126 ? 2 : 0) + MASK;
};

export class FrameReader {
  #head = Buffer.alloc(0);
  #frame: Frame | undefined;
  /** Whether a message goes on in the next frame. */
  #isFragmented = false;

  /** @returns what these bytes bring. @throws FrameError */
  push(bytes: Buffer): Part[] {
    const parts: Part[] = [];
    for (let rest = bytes; rest.length > 0 || this.#frame?.left === 0; ) {
      if (this.#frame) rest = this.#takePayload(this.#frame, rest, parts);
      else rest = this.#takeHead(rest);
    }
    return parts;
  }

  #takeHead(bytes: Buffer): Buffer {
    const wanted = (this.#head.length < 2 ? 2 : headLength(this.#head)) - this.#head.length;
    this.#head = Buffer.concat([this.#head, bytes.subarray(0, wanted)]);
    if (this.#head.length >= 2) this.#check(this.#head[0] ?? 0, this.#head[1] ?? 0);
    if (this.#head.length >= 2 && this.#head.length === headLength(this.#head)) this.#begin(this.#head);
    return bytes.subarray(wanted);
  }

  #check(first: number, second: number): void {
    const opcode = first & 0x0f;
    const isFinal = (first & 0x80) !== 0;
    if ((first & 0x70) !== 0) throw new FrameError("reserved bits are set");
    if (!Object.values<number>(OPCODE).includes(opcode)) throw new FrameError(`unknown opcode ${opcode}`);
    if ((second & 0x80) === 0) throw new FrameError("a client's frame is not masked");
    if (isControl(opcode)) {
      if (!isFinal || (second & 0x7f) > CONTROL_LIMIT) throw new FrameError("a control frame is too long or in parts");
    } else if ((opcode === OPCODE.continuation) !== this.#isFragmented)
      throw new FrameError(this.#isFragmented ? "a message begins within another" : "nothing is to be continued");
  }

  #begin(head: Buffer): void {
    const opcode = (head[0] ?? 0) & 0x0f;
    const short = (head[1] ?? 0) & 0x7f;
    const left = short === 127 ? Number(head.readBigUInt64BE(2)) : short === 126 ? head.readUInt16BE(2) : short;
    if (short === 127 && (head[2] ?? 0) >= 0x80) throw new FrameError("a length is negative");
    if (!isControl(opcode)) this.#isFragmented = ((head[0] ?? 0) & 0x80) === 0;
    this.#frame = { opcode, mask: head.subarray(head.length - MASK), at: 0, left, held: Buffer.alloc(0) };
    this.#head = Buffer.alloc(0);
  }

  #takePayload(frame: Frame, bytes: Buffer, parts: Part[]): Buffer {
    const payload = Buffer.from(bytes.subarray(0, frame.left)); // a copy: unmasking writes
    for (let index = 0; index < payload.length; index++)
      payload[index] = (payload[index] ?? 0) ^ (frame.mask[(frame.at + index) % MASK] ?? 0);
    frame.at = (frame.at + payload.length) % MASK;
    frame.left -= payload.length;
    if (isControl(frame.opcode)) frame.held = Buffer.concat([frame.held, payload]);
    else if (payload.length > 0) parts.push({ kind: "data", bytes: payload });
    if (frame.left === 0) {
      if (frame.opcode === OPCODE.ping) parts.push({ kind: "ping", bytes: frame.held });
      if (frame.opcode === OPCODE.close) parts.push({ kind: "close", bytes: frame.held });
      this.#frame = undefined;
    }
    return bytes.subarray(payload.length);
  }
}

/** The head of a frame that is a whole message: a server's is not masked. */
export function frameHead(opcode: Opcode, length: number): Buffer {
  const first = 0x80 | opcode;
  if (length < 126) return Buffer.of(first, length);
  if (length < 0x10000) return Buffer.of(first, 126, length >> 8, length & 0xff);
  const head = Buffer.alloc(10);
  head[0] = first;
  head[1] = 127;
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

export const controlFrame = (opcode: Opcode, payload: Buffer): Buffer =>
  Buffer.concat([frameHead(opcode, payload.length), payload]);

/** @param reason  cut to what a control frame holds */
export function closeFrame(code: number, reason = ""): Buffer {
  const payload = Buffer.from(`\0\0${reason}`).subarray(0, CONTROL_LIMIT);
  payload.writeUInt16BE(code, 0);
  return controlFrame(OPCODE.close, payload);
}
