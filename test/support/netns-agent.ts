/** Runs in a network namespace of a test's own, and does there what the test asks for; see netns.ts. */

import { createSocket, type Socket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { type Socket as Connection, connect, createServer } from "node:net";
import type { FromAgent, ToAgent } from "./netns.ts";

const tell = (message: FromAgent): void => void process.send?.(message);
const bytesOf = (text: string): Buffer => Buffer.from(text, "base64");

/** By the number of what is asked, how its answers go back. */
const asked = new Map<number, (bytes: Buffer) => void>();
let last = 0;

function ask(server: string, stream: boolean, bytes: Buffer, answer: (bytes: Buffer) => void): void {
  asked.set(++last, answer);
  tell({ kind: "asked", token: last, server, stream, bytes: bytes.toString("base64") });
}

/** Calls with each message of a stream, which come after their lengths. */
function messages(connection: Connection, each: (bytes: Buffer) => void): void {
  let left = Buffer.alloc(0);
  connection.on("data", (data) => {
    left = Buffer.concat([left, Buffer.from(data)]);
    while (left.length >= 2 && left.length >= 2 + left.readUInt16BE(0)) {
      const end = 2 + left.readUInt16BE(0);
      each(left.subarray(2, end));
      left = left.subarray(end);
    }
  });
}

function framed(bytes: Buffer): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(bytes.length);
  return Buffer.concat([head, bytes]);
}

async function listen(server: string): Promise<void> {
  const socket = createSocket("udp4");
  socket.on("error", () => {}); // whoever asked has gone, and the kernel tells
  socket.on("message", (bytes, { port, address }) =>
    ask(server, false, bytes, (answer) => socket.send(answer, port, address)),
  );
  socket.bind(53, server);
  await once(socket, "listening");
  const listener = createServer((connection) => {
    connection.on("error", () => {}); // whoever asked has gone
    messages(connection, (bytes) => ask(server, true, bytes, (answer) => connection.write(framed(answer))));
  });
  listener.listen(53, server);
  await once(listener, "listening");
}

const sockets = new Map<number, Socket>();
const connections = new Map<number, Connection>();

/** The same socket for what has the same number. */
async function send(id: number, bytes: Buffer): Promise<void> {
  const known = sockets.get(id);
  const socket = known ?? createSocket("udp4");
  if (!known) {
    sockets.set(id, socket);
    socket.on("error", () => {}); // nobody listens
    socket.on("message", (answer) => tell({ kind: "answer", id, bytes: answer.toString("base64") }));
  }
  socket.send(bytes, 53, "127.0.0.11");
}

function sendOverStream(id: number, bytes: Buffer): void {
  const connection = connections.get(id) ?? connect(53, "127.0.0.11");
  if (!connections.has(id)) {
    connections.set(id, connection);
    connection.on("error", () => {});
    connection.on("close", () => tell({ kind: "closed", id }));
    messages(connection, (answer) => tell({ kind: "answer", id, bytes: answer.toString("base64") }));
  }
  connection.write(bytes);
}

async function resolve(id: number, name: string, type: string): Promise<void> {
  const resolver = new Resolver({ timeout: 3000, tries: 1 });
  resolver.setServers(["127.0.0.11"]);
  try {
    tell({ kind: "resolved", id, records: await resolver.resolve(name, type) });
  } catch (error) {
    tell({ kind: "resolved", id, records: String(error instanceof Error && "code" in error ? error.code : error) });
  }
}

process.on("message", async (message: ToAgent) => {
  if (message.kind === "listen") {
    await listen(message.server);
    tell({ kind: "listening", server: message.server });
  }
  if (message.kind === "reply") asked.get(message.token)?.(bytesOf(message.bytes));
  if (message.kind === "send") await send(message.id, bytesOf(message.bytes));
  if (message.kind === "stream") sendOverStream(message.id, bytesOf(message.bytes));
  if (message.kind === "resolve") await resolve(message.id, message.name, message.type);
});
process.on("disconnect", () => process.exit(0));
tell({ kind: "ready" });
