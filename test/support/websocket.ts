/** The client's side of WebSocket, by hand: for frames that no client would send. */

import net from "node:net";

export function clientFrame(opcode: number, payload: Buffer, { isFinal = true } = {}): Buffer {
  const mask = Buffer.from([0x12, 0x34, 0x56, 0x78]);
  const head =
    payload.length < 126
      ? Buffer.of(0x80 | payload.length)
      : Buffer.of(0x80 | 126, payload.length >> 8, payload.length & 0xff);
  const masked = payload.map((byte, at) => byte ^ (mask[at % 4] ?? 0));
  return Buffer.concat([Buffer.of((isFinal ? 0x80 : 0) | opcode), head, mask, masked]);
}

export const HANDSHAKE: Readonly<Record<string, string>> = {
  Host: "docker",
  Connection: "Upgrade",
  Upgrade: "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", // RFC 6455, 1.3
};

export interface RawSocket {
  readonly socket: net.Socket;
  /** All that came so far. */
  text(): string;
  /** Settles when the condition holds, or the connection is closed. */
  until(holds: (text: string) => boolean): Promise<string>;
}

/** @param path  of a unix socket. @param headers  over those of a handshake; an empty one is left out */
export function openRaw(path: string, target: string, headers: Readonly<Record<string, string>> = {}): RawSocket {
  const socket = net.connect({ path });
  const chunks: Buffer[] = [];
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const each of waiting) each();
  };
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    wake();
  });
  socket.on("error", () => {});
  socket.on("close", wake);
  const lines = Object.entries({ ...HANDSHAKE, ...headers }).filter(([, value]) => value !== "");
  socket.write(`GET ${target} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`);
  const text = () => Buffer.concat(chunks).toString("latin1");
  return {
    socket,
    text,
    until: (holds) =>
      new Promise((resolve) => {
        const look = () => {
          if (!holds(text()) && !socket.closed) return;
          waiting.delete(look);
          resolve(text());
        };
        waiting.add(look);
        look();
      }),
  };
}
