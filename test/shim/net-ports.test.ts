/** bosun-net ports: what is held, what is told, and that bytes and datagrams get through. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { builtFile } from "../../src/base/built.ts";

const PROGRAM = builtFile("bosun-net");
const ROOT = process.getuid?.() === 0;

/** Holds ports for a process of its own. */
class Held implements AsyncDisposable {
  readonly #life = Bun.spawn(["sleep", "1000"]);
  readonly process;

  constructor(...words: readonly string[]) {
    this.process = Bun.spawn([PROGRAM, "ports", ...words], { stdin: "pipe", stdout: "pipe" });
  }

  /** What it tells, line by line, until it is ready or has ended. */
  async told(): Promise<readonly string[]> {
    let text = "";
    for await (const bytes of this.process.stdout) {
      text += new TextDecoder().decode(bytes);
      if (text.endsWith("ready\n")) break;
    }
    return text.trimEnd().split("\n");
  }

  async ports(): Promise<number[]> {
    const lines = await this.told();
    this.process.stdin.write(`${this.#life.pid}\n`);
    this.process.stdin.end();
    return lines.slice(0, -1).map((line) => Number(line.split(" ")[1]));
  }

  /** The process that it lives for ends. */
  async end(): Promise<number> {
    this.#life.kill("SIGKILL");
    return this.process.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#life.kill("SIGKILL");
    this.process.kill("SIGKILL");
    await Promise.all([this.#life.exited, this.process.exited]);
  }
}

describe.skipIf(!ROOT)("bosun-net ports", () => {
  /** Sends back what it gets, and closes when the other side has. */
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    allowHalfOpen: true,
    socket: { data: (socket, bytes) => void socket.write(bytes), end: (socket) => void socket.end() },
  });
  const datagrams = createSocket("udp4", (text, { port, address }) => datagrams.send(`re: ${text}`, port, address));
  beforeAll(async () => {
    datagrams.bind(0, "127.0.0.1");
    await once(datagrams, "listening");
  });
  afterAll(() => {
    server.stop(true);
    datagrams.close();
  });

  const tcp = (addresses: string, range = "0-0") => ["tcp", addresses, range, "127.0.0.1", String(server.port)];

  /** Sends text over a connection and its end, and gathers the answer until the end. */
  function exchange(hostname: string, port: number, text: string): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    let answer = "";
    void Bun.connect({
      ...{ hostname, port, allowHalfOpen: true },
      socket: {
        open(socket) {
          socket.write(text);
          socket.shutdown();
        },
        data(_, bytes) {
          answer += bytes.toString();
        },
        end: (socket) => void socket.end(),
        close: () => resolve(answer),
        connectError: (_, error) => reject(error),
      },
    }).catch(reject);
    return promise;
  }

  test("holds one port on every address, and relays connections to their end", async () => {
    await using held = new Held(...tcp("127.0.0.1,::1"));
    const [port = 0] = await held.ports();
    expect(await exchange("127.0.0.1", port, "four")).toBe("four");
    expect(await exchange("::1", port, "six")).toBe("six");
  });

  test("takes the first port of a range that is free on all addresses", async () => {
    await using first = new Held(...tcp("127.0.0.1"));
    const [taken = 0] = await first.ports();
    await using second = new Held(...tcp("127.0.0.1,::1", `${taken}-${taken + 20}`));
    const [port = 0] = await second.ports();
    expect(port).toBeGreaterThan(taken);
    expect(port).toBeLessThanOrEqual(taken + 20);
  });

  test("tells which port of which group is taken, and holds none then", async () => {
    await using first = new Held(...tcp("127.0.0.1"));
    const [taken = 0] = await first.ports();
    await using second = new Held(...tcp("127.0.0.1"), ...tcp("::1,127.0.0.1", `${taken}-${taken}`));
    expect((await second.told()).at(-1)).toBe(`fail 1 98 127.0.0.1 ${taken}`);
    expect(await second.process.exited).toBe(1);
  });

  test("relays datagrams, and answers from where they were sent to", async () => {
    await using held = new Held("udp", "0.0.0.0,::", "0-0", "127.0.0.1", String(datagrams.address().port));
    const [port = 0] = await held.ports();
    for (const hostname of ["127.0.0.1", "127.0.0.2", "::1"]) {
      const client = createSocket(hostname.includes(":") ? "udp6" : "udp4");
      client.connect(port, hostname);
      await once(client, "connect");
      client.send("hello");
      const [answer] = await once(client, "message");
      expect(String(answer)).toBe("re: hello");
      client.close();
    }
  });

  test("lets ports go when it is told to, and connections last until they end", async () => {
    await using held = new Held(...tcp("127.0.0.1"));
    const [port = 0] = await held.ports();
    const { promise, resolve } = Promise.withResolvers<string>();
    const client = await Bun.connect({
      ...{ hostname: "127.0.0.1", port, allowHalfOpen: true },
      socket: { data: (_, bytes) => resolve(bytes.toString()) },
    });
    client.write("before");
    expect(await promise).toBe("before");
    held.process.kill("SIGTERM");
    expect(await held.process.exited).toBe(0);
    using free = Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } });
    expect(free.port).toBe(port);
    const after = Promise.withResolvers<string>();
    client.reload({ socket: { data: (_, bytes) => after.resolve(bytes.toString()) } });
    client.write("after");
    expect(await after.promise).toBe("after");
    client.end();
  });

  test("ends with the process that it lives for", async () => {
    await using held = new Held(...tcp("127.0.0.1"));
    await held.ports();
    expect(await held.end()).toBe(0);
  });

  test("ends when nobody says for whom it lives", async () => {
    await using held = new Held(...tcp("127.0.0.1"));
    await held.told();
    held.process.stdin.end();
    expect(await held.process.exited).toBe(1);
  });

  test("needs no privileges while it serves", async () => {
    await using held = new Held(...tcp("127.0.0.1"));
    const [port = 0] = await held.ports();
    await exchange("127.0.0.1", port, "x"); // it has got that far
    const status = await Bun.file(`/proc/${held.process.pid}/status`).text();
    expect(status).toMatch(/^Uid:\s+65534\s+65534\s+65534/m);
    expect(status).toMatch(/^CapEff:\s+0+$/m);
  });

  test.each(["tcp", "x :: 1-1 ::1 1", "tcp :: 1 ::1 1", "tcp :: 1-1 nowhere 1"])("refuses %p", async (words) => {
    await using held = new Held(...words.split(" "));
    expect(await held.process.exited).not.toBe(0);
  });
});
