/** WebSocket clients that mean harm: each gets its close, and costs neither memory nor the container. */

import { expect, test } from "bun:test";
import { Duplex, duplexPair } from "node:stream";
import { WebSocketStream } from "../../src/api/websocket.ts";
import { OPCODE } from "../../src/api/websocket-frames.ts";
import { clientFrame } from "../support/websocket.ts";

const received = (side: Duplex): { text: () => string; ended: Promise<void> } => {
  const chunks: Buffer[] = [];
  side.on("data", (chunk: Buffer) => void chunks.push(chunk));
  const ended = new Promise<void>((resolve) => side.once("end", resolve).once("close", resolve));
  return { text: () => Buffer.concat(chunks).toString("latin1"), ended };
};

test.each([
  ["a frame that is not masked", Buffer.from([0x82, 1, 0x61])],
  ["reserved bits", Buffer.from([0xf2, 0x80, 0, 0, 0, 0])],
  ["a ping of 64 KiB", Buffer.from([0x89, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])],
  ["HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
])("%s: the connection is closed with 1002", async (_, bytes) => {
  const [client, server] = duplexPair();
  const stream = new WebSocketStream(server, { isBinary: true, isFramed: false });
  stream.on("error", () => {}).resume();
  const got = received(client);
  client.write(bytes);
  await got.ended;
  expect(got.text()).toMatch(/^\x88.\x03\xea/s);
  expect(stream.destroyed).toBe(true);
});

test("one who pings for ever and reads nothing is not read any further", async () => {
  const written: Buffer[] = [];
  let asked = 0;
  const ping = clientFrame(OPCODE.ping, Buffer.alloc(125, "x"));
  const socket = new Duplex({
    read() {
      asked++;
      this.push(ping);
    },
    write(chunk) {
      written.push(chunk); // and never says that it has gone
    },
  });
  const stream = new WebSocketStream(socket, { isBinary: true, isFramed: false });
  stream.resume();
  for (let turn = 0; turn < 5000; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(asked).toBeLessThan(3000); // what streams hold between them is some hundred pongs
  stream.destroy();
});

test("one who writes for ever to a program that reads nothing is not read any further, also while output goes on", async () => {
  let asked = 0;
  const data = clientFrame(OPCODE.binary, Buffer.alloc(60_000, "x"));
  const socket = new Duplex({
    read() {
      asked++;
      this.push(data);
    },
    write(_chunk, _encoding, done) {
      setImmediate(done);
    },
  });
  const stream = new WebSocketStream(socket, { isBinary: true, isFramed: false });
  for (let turn = 0; turn < 500; turn++)
    await new Promise<void>((resolve) => stream.write(Buffer.alloc(70_000), () => resolve()));
  expect(asked).toBeLessThan(20);
  stream.destroy();
});
