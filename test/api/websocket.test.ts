/** Attaching over WebSocket: with a client that we did not write, and by hand where that would not do. */

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Listener, listen } from "../../src/api/listen.ts";
import { OPCODE } from "../../src/api/websocket-frames.ts";
import { silent } from "../../src/base/logger.ts";
import { House } from "../support/house.ts";
import { clientFrame, openRaw } from "../support/websocket.ts";

class Place implements AsyncDisposable {
  private constructor(
    readonly house: House,
    readonly tcp: Listener,
    readonly unix: Listener,
    readonly port: number,
  ) {}

  static async open(): Promise<Place> {
    const house = await House.open();
    using probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const { port } = probe;
    probe.stop();
    const options = { tls: undefined, group: 0, scratch: house.folder.path, log: silent };
    const tcp = await listen(`tcp://127.0.0.1:${port}`, house.api, options);
    return new Place(house, tcp, await listen(`unix://${house.folder.path}/socket`, house.api, options), port);
  }

  get path(): string {
    return join(this.house.folder.path, "socket");
  }

  connect(id: string, query: string, version = "/v1.42"): WebSocket {
    const socket = new WebSocket(`ws://127.0.0.1:${this.port}${version}/containers/${id}/attach/ws?${query}`);
    socket.binaryType = "arraybuffer";
    return socket;
  }

  raw = (id: string, query = "stream=1&stdin=1&stdout=1&stderr=1", headers: Record<string, string> = {}) =>
    openRaw(this.path, `/v1.42/containers/${id}/attach/ws?${query}`, headers);

  async [Symbol.asyncDispose](): Promise<void> {
    for (const task of this.house.runtime.tasks.values()) task.end(0);
    await Promise.all([this.tcp, this.unix].map((one) => one[Symbol.asyncDispose]()));
    await this.house[Symbol.asyncDispose]();
  }
}

const ended = (socket: WebSocket): Promise<{ messages: unknown[]; text: string; code: number }> =>
  new Promise((resolve) => {
    const messages: unknown[] = [];
    socket.onmessage = ({ data }) => void messages.push(data);
    socket.onclose = ({ code }) => {
      const text = messages.map((each) =>
        typeof each === "string" ? each : Buffer.from(new Uint8Array(Object(each))).toString(),
      );
      resolve({ messages, text: text.join(""), code });
    };
  });

const opened = (socket: WebSocket): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.onopen = () => resolve();
    socket.onerror = () => reject(new Error("no connection"));
  });

describe("GET /containers/{id}/attach/ws", () => {
  test("what is written is the program's input, and its output comes raw, in binary messages", async () => {
    await using place = await Place.open();
    const id = await place.house.run(["cat"], { OpenStdin: true, StdinOnce: true });
    const socket = place.connect(id, "stream=1&stdin=1&stdout=1&stderr=1");
    const end = ended(socket);
    await opened(socket);
    const echoed = new Promise<void>((resolve) => socket.addEventListener("message", () => resolve(), { once: true }));
    socket.send("typed");
    await echoed;
    place.house.task(id).print("oops", 2);
    place.house.task(id).end(0);
    const { messages, text, code } = await end;
    expect([text, code]).toEqual(["typedoops", 1000]);
    expect(messages.every((each) => each instanceof ArrayBuffer)).toBe(true);
  });

  test("before API 1.28 messages are text, and before 1.42 all streams are meant", async () => {
    await using place = await Place.open();
    const id = await place.house.create(["echo", "hello"]);
    const socket = place.connect(id, "stream=1", "/v1.27");
    const end = ended(socket);
    await opened(socket);
    await place.house.json(`POST /containers/${id}/start`);
    const { messages } = await end;
    expect(messages.join("")).toBe("hello\n");
  });

  test("only the streams that are asked for, from API 1.42 on", async () => {
    await using place = await Place.open();
    const id = await place.house.run(["cat"], { OpenStdin: true });
    const socket = place.connect(id, "stream=1&stdout=1");
    const end = ended(socket);
    await opened(socket);
    socket.send("ignored");
    place.house.task(id).print("said");
    place.house.task(id).end(0);
    expect((await end).text).toBe("said");
  });

  test("the keys detach, and the program runs on", async () => {
    await using place = await Place.open();
    const id = await place.house.run(["sleep"], { OpenStdin: true, Tty: true });
    const socket = place.connect(id, "stream=1&stdin=1&stdout=1&detachKeys=ctrl-a,b");
    const end = ended(socket);
    await opened(socket);
    socket.send("x\x01b");
    expect(await end).toMatchObject({ code: 1000 });
    expect(place.house.task(id).hasEnded).toBe(false);
  });

  test("over a unix socket: the handshake is RFC 6455's, and bytes that came with it are not lost", async () => {
    await using place = await Place.open();
    const id = await place.house.run(["cat"], { OpenStdin: true });
    const raw = place.raw(id);
    raw.socket.write(clientFrame(OPCODE.text, Buffer.from("early")));
    const text = await raw.until((all) => all.includes("early"));
    expect(text).toStartWith(
      "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
    );
    expect(text).toEndWith("\r\n\r\n\x82\x05early");
    raw.socket.destroy();
  });

  test("a close is answered, what came before it is input, and the program's input ends", async () => {
    await using place = await Place.open();
    const id = await place.house.run(["cat"], { OpenStdin: true });
    const task = place.house.task(id);
    const raw = place.raw(id);
    raw.socket.write(clientFrame(OPCODE.text, Buffer.from("last")));
    raw.socket.write(clientFrame(OPCODE.close, Buffer.from([0x03, 0xe8])));
    const text = await raw.until(() => false);
    expect(text).toContain("\x88\x02\x03\xe8");
    await task.exited; // `cat` has met its end
  });

  test("a ping is answered", async () => {
    await using place = await Place.open();
    const id = await place.house.run(["sleep"]);
    const raw = place.raw(id);
    raw.socket.write(clientFrame(OPCODE.ping, Buffer.from("beat")));
    await raw.until((all) => all.endsWith("\x8a\x04beat"));
    raw.socket.destroy();
  });

  test.each<[what: string, headers: Record<string, string>, status: number, words: string]>([
    ["no upgrade", { Connection: "", Upgrade: "" }, 400, "want the header Upgrade: websocket"],
    ["another upgrade", { Upgrade: "tcp" }, 400, "want the header Upgrade: websocket"],
    ["an old version", { "Sec-WebSocket-Version": "8" }, 400, "want the header Sec-WebSocket-Version: 13"],
    ["no key", { "Sec-WebSocket-Key": "" }, 400, "want a key of 16 bytes"],
    ["another site", { Origin: "http://evil.example" }, 403, "requests of origin http://evil.example are not allowed"],
    ["a sandbox", { Origin: "null" }, 403, "requests of origin null are not allowed"],
  ])("%s is refused", async (_, headers, status, words) => {
    await using place = await Place.open();
    const id = await place.house.run(["sleep"]);
    const raw = place.raw(id, "stream=1", {
      ...headers,
      ...(!headers.Connection && "Connection" in headers && { Connection: "close" }),
    });
    const text = await raw.until((all) => all.endsWith("}\n"));
    expect(text).toStartWith(`HTTP/1.1 ${status} `);
    expect(text).toContain(words);
    raw.socket.destroy();
  });

  test("a container that is unknown or paused is refused before the handshake", async () => {
    await using place = await Place.open();
    const raw = place.raw("nobody");
    expect(await raw.until((all) => all.endsWith("}\n"))).toContain("No such container: nobody");
    raw.socket.destroy();
  });
});
