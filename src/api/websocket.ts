/**
 * A connection that speaks WebSocket, as a stream of bytes: what comes in messages is read, what is written goes out in them.
 * Ours, and not a library's: messages are passed on while they arrive, so that none is ever held whole. Source: RFC 6455.
 */

import { createHash } from "node:crypto";
import { Duplex } from "node:stream";
import { BosunError, forbidden, invalid, messageOf } from "../base/errors.ts";
import type { Ctx, Upgrade } from "./context.ts";
import { Deframer } from "./deframed.ts";
import { CLOSE, closeFrame, controlFrame, FrameReader, frameHead, OPCODE } from "./websocket-frames.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** How long the other side has to answer a close. ms */
const CLOSING_MS = 2000;

/** What of a handshake's answer the key makes. Source: RFC 6455, 4.2.2. */
const acceptKey = (key: string): string => createHash("sha1").update(`${key}${GUID}`).digest("base64");

/** A page of another site must not reach, through its visitor's browser, what only this host can reach. */
function checkOrigin(origin: string | undefined, host: string | undefined): void {
  if (origin === undefined) return; // no browser
  if (URL.canParse(origin) && new URL(origin).host.toLowerCase() === host?.toLowerCase()) return;
  throw forbidden(`websocket: requests of origin ${origin} are not allowed`);
}

/** @returns the connection, raw, after the handshake. @throws invalid, forbidden when it is none */
function shakeHands(c: Ctx): Duplex {
  const upgrade: Upgrade | undefined = c.env.upgrade;
  const key = c.req.header("sec-websocket-key") ?? "";
  if (upgrade?.protocol.toLowerCase() !== "websocket") throw invalid("websocket: want the header Upgrade: websocket");
  if (c.req.header("sec-websocket-version") !== "13")
    throw invalid("websocket: want the header Sec-WebSocket-Version: 13");
  if (!/^[A-Za-z0-9+/]{22}==$/.test(key)) throw invalid("websocket: want a key of 16 bytes");
  checkOrigin(c.req.header("origin"), c.req.header("host"));
  return upgrade.switchProtocols({ "Sec-WebSocket-Accept": acceptKey(key) });
}

export interface WebSocketOptions {
  /** Else it is text. */
  readonly isBinary: boolean;
  /** Whether what is written has Docker's frames, of which the payload is sent. */
  readonly isFramed: boolean;
}

export class WebSocketStream extends Duplex {
  readonly #socket: Duplex;
  readonly #reader = new FrameReader();
  readonly #deframer: Deframer | undefined;
  readonly #opcode: typeof OPCODE.binary | typeof OPCODE.text;
  #isClosing = false;
  /** Whether nothing more will come. */
  #isOver = false;
  /** Whether nobody wants more of what comes. */
  #isFull = false;

  constructor(socket: Duplex, { isBinary, isFramed }: WebSocketOptions) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    this.#opcode = isBinary ? OPCODE.binary : OPCODE.text;
    this.#deframer = isFramed ? new Deframer() : undefined;
    socket.on("data", (bytes: Buffer) => this.#take(bytes));
    socket.on("drain", () => this.#resume());
    socket.on("error", () => this.destroy());
    socket.once("end", () => this.#over());
    socket.once("close", () => this.#over());
    this.once("end", () => this.destroy());
  }

  /** Nothing more will come; what came is read first. */
  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.push(null);
  }

  #take(bytes: Buffer): void {
    try {
      for (const part of this.#reader.push(bytes)) {
        if (part.kind === "data") {
          if (!this.#isOver && !this.#isClosing && !this.push(part.bytes)) this.#pauseFull();
        } else if (part.kind === "ping") this.#answer(controlFrame(OPCODE.pong, part.bytes));
        else this.#closed(part.bytes);
        if (this.destroyed) return;
      }
    } catch (error) {
      this.close(CLOSE.protocolError, messageOf(error));
      this.destroy();
    }
  }

  /** One who pings and reads no answer is not read any further. */
  #answer(frame: Buffer): void {
    if (!this.#isClosing && !this.#socket.write(frame)) this.#socket.pause();
  }

  /** The other side leaves, or agrees that it is over. */
  #closed(payload: Buffer): void {
    if (!this.#isClosing) this.#socket.write(controlFrame(OPCODE.close, payload.subarray(0, 2)));
    this.#isClosing = true;
    this.#socket.end();
    this.#over();
  }

  /** Says that it is over, unless that was said. */
  close(code: number, reason = ""): void {
    if (this.#isClosing || this.destroyed) return;
    this.#isClosing = true;
    this.#socket.write(closeFrame(code, reason));
  }

  #pauseFull(): void {
    this.#isFull = true;
    this.#socket.pause();
  }

  #resume(): void {
    if (!this.#isFull && !this.#socket.writableNeedDrain) this.#socket.resume();
  }

  override _read(): void {
    this.#isFull = false;
    this.#resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const payload = this.#deframer ? Buffer.concat(this.#deframer.push(chunk)) : chunk;
    if (payload.length === 0 || this.#isClosing) {
      done();
      return;
    }
    this.#socket.write(frameHead(this.#opcode, payload.length));
    this.#socket.write(payload, (error) => done(error));
  }

  /** Waits for the other side's answer, but not for long. */
  override _final(done: () => void): void {
    this.close(CLOSE.normal);
    const timer = setTimeout(() => this.destroy(), CLOSING_MS);
    this.once("close", () => clearTimeout(timer));
    this.#socket.resume();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // what is written goes out first
    this.#socket.end();
    const timer = setTimeout(() => this.#socket.destroy(), CLOSING_MS);
    this.#socket.once("close", () => clearTimeout(timer));
    this.#socket.resume();
    done(error);
  }
}

/**
 * Takes the connection over.
 * @param run  called with the client's stream; the connection is closed when it returns. What it throws is the reason of the close
 * @throws invalid, forbidden when the client did not ask for it properly
 */
export function serveWebSocket(c: Ctx, options: WebSocketOptions, run: (client: Duplex) => Promise<void>): Response {
  const client = new WebSocketStream(shakeHands(c), options);
  client.on("error", () => {}); // it left: `run` sees the end
  void run(client).then(
    () => client.end(),
    (error) => {
      client.close(CLOSE.internalError, error instanceof BosunError ? error.message : "internal error");
      client.end();
    },
  );
  return new Response(null);
}
