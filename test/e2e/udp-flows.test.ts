/** Clients of UDP that send on and on from one port, while the container that answers them is replaced by another. */

import { afterEach, test } from "bun:test";
import { e2e } from "../support/e2e.ts";
import { Hosts, NEAR } from "../support/hosts.ts";
import { PATIENCE_MS } from "../support/patience.ts";

const hosts = new Hosts();

/** Answers every datagram with its name. */
const server = (name: string) =>
  `const s = require("node:dgram").createSocket("udp6"); s.on("message", (_, { port, address }) => s.send("${name}", port, address)); s.bind(53, "::", () => console.log("listens"));`;

/** Sends from one port, all the time, and prints each answerer's name when it is another than before. */
const client = (address: string) =>
  `const s = require("node:dgram").createSocket("${address.includes(":") ? "udp6" : "udp4"}"); let last = "";
  s.on("message", (bytes) => { if (String(bytes) !== last) console.log(last = String(bytes)); });
  s.on("error", () => {}); s.bind(4000, () => setInterval(() => s.send("x", 5353, "${address}", () => {}), 10));`;

/** A program in a network namespace, whose output is read line by line. */
class Beside {
  readonly #child: Bun.Subprocess<"ignore", "pipe", "ignore">;
  readonly #lines: AsyncGenerator<string>;

  constructor(enter: readonly string[], code: string) {
    const words = [...enter, process.execPath, "-e", code];
    this.#child = Bun.spawn(words, { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
    this.#lines = linesOf(this.#child.stdout);
  }

  /** Returns when it has printed this. @throws Error when it does not in time */
  async says(word: string): Promise<void> {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), PATIENCE_MS);
    for (let line = await this.#lines.next(); line.value !== word; line = await this.#lines.next())
      if (line.done) throw new Error(`it never said ${word}`);
    clearTimeout(timer);
  }

  async end(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let text = "";
  for await (const bytes of stream) {
    text += Buffer.from(bytes).toString();
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
  return undefined;
}

e2e(
  "clients of UDP that never stop",
  (engine) => {
    const { ok, inspect } = engine;
    const besides: Beside[] = [];
    const beside = (enter: readonly string[], code: string): Beside => {
      const one = new Beside(enter, code);
      besides.push(one);
      return one;
    };
    const ask = (host: string, address: string) => beside(["nsenter", `--net=/run/netns/${host}`], client(address));

    /** A container that publishes a port, and a server in it. */
    async function serve(name: string): Promise<Beside> {
      await ok("run", "-d", "--name", name, "--network", "both", "-p", "5353:53/udp", "busybox", "sleep", "1000");
      const one = beside(["nsenter", "-t", await inspect(name, "{{.State.Pid}}"), "-n"], server(name));
      await one.says("listens");
      return one;
    }

    /** @param inside  is in its namespace, too, which would go on */
    async function end(name: string, inside: Beside): Promise<void> {
      await inside.end();
      await ok("rm", "-f", name);
    }

    afterEach(async () => {
      for (const one of besides.splice(0)) await one.end();
      await engine.clear();
      await ok("network", "prune", "-f");
    });

    test.each([NEAR.v4, NEAR.v6])("reach the next container that has the port, at %s", async (address) => {
      await ok("network", "create", "--ipv6", "both");
      const [asking, asksItself] = [ask(hosts.far, address), ask(hosts.near, address)];
      const one = await serve("one"); // they have sent to a port that nobody had
      for (const who of [asking, asksItself]) await who.says("one");
      await end("one", one);
      await ok("run", "-d", "--network", "both", "busybox", "sleep", "1000"); // has the first one's address
      const two = await serve("two");
      for (const who of [asking, asksItself]) await who.says("two");
      await end("two", two);
    });

    test("reach it also after somebody has flushed the rules", async () => {
      await ok("network", "create", "--ipv6", "both");
      const one = await serve("one");
      await hosts.sh(hosts.near, "nft flush ruleset");
      const asking = ask(hosts.far, NEAR.v4);
      await asking.says("one");
      await end("one", one);
    });
  },
  ["--userland-proxy=false"], // who relays could hide what the kernel remembers
  hosts,
);
