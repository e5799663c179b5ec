/** A network namespace of a test's own, with clients of 127.0.0.11 and servers that the test plays in it. */

import { onAbort } from "./abort.ts";

export type ToAgent =
  | { readonly kind: "listen"; readonly server: string }
  | { readonly kind: "reply"; readonly token: number; readonly bytes: string }
  | { readonly kind: "send" | "stream"; readonly id: number; readonly bytes: string }
  | { readonly kind: "resolve"; readonly id: number; readonly name: string; readonly type: string };

export type FromAgent =
  | { readonly kind: "ready" }
  | { readonly kind: "listening"; readonly server: string }
  | {
      readonly kind: "asked";
      readonly token: number;
      readonly server: string;
      readonly stream: boolean;
      readonly bytes: string;
    }
  | { readonly kind: "answer"; readonly id: number; readonly bytes: string }
  | { readonly kind: "closed"; readonly id: number }
  | { readonly kind: "resolved"; readonly id: number; readonly records: unknown };

/** What a server of the test's says to a question: any number of answers. */
export type Server = (question: Buffer, stream: boolean) => readonly Buffer[];

const AGENT = new URL("netns-agent.ts", import.meta.url).pathname;

/** A process that does what a test asks for, in a namespace or, without one, in the test's own. */
class Agent implements AsyncDisposable {
  readonly #servers = new Map<string, Server>();
  readonly #waiting = new Map<string, (message: FromAgent) => void>();
  readonly #process: Bun.Subprocess;
  readonly #ready: Promise<FromAgent>;
  #last = 0;

  constructor(entering: readonly string[]) {
    this.#ready = this.#told("ready");
    this.#process = Bun.spawn([...entering, process.execPath, AGENT], {
      ipc: (message: FromAgent) => this.#take(message),
      stdio: ["ignore", "inherit", "inherit"],
    });
  }

  ready(): Promise<unknown> {
    return this.#ready;
  }

  #told(key: string): Promise<FromAgent> {
    const { promise, resolve } = Promise.withResolvers<FromAgent>();
    this.#waiting.set(key, resolve);
    return promise;
  }

  #take(message: FromAgent): void {
    if (message.kind === "asked") {
      const answers = this.#servers.get(message.server)?.(Buffer.from(message.bytes, "base64"), message.stream) ?? [];
      for (const one of answers) this.#send({ kind: "reply", token: message.token, bytes: one.toString("base64") });
      return;
    }
    const key = "id" in message ? String(message.id) : message.kind === "listening" ? message.server : message.kind;
    this.#waiting.get(key)?.(message);
  }

  #send(message: ToAgent): void {
    this.#process.send(message);
  }

  /** Port 53 of an address, for UDP and TCP. */
  async serve(server: string, answer: Server): Promise<void> {
    const isKnown = this.#servers.has(server);
    this.#servers.set(server, answer);
    if (isKnown) return;
    const listening = this.#told(server);
    this.#send({ kind: "listen", server });
    await listening;
  }

  /** Sends what may be a question. @returns the first answer; empty when the connection is closed. @param id  of a connection to go on with */
  async ask(bytes: Buffer, kind: "send" | "stream" = "send", id = ++this.#last): Promise<Buffer> {
    const told = this.#told(String(id));
    this.#send({ kind, id, bytes: bytes.toString("base64") });
    const message = await told;
    return message.kind === "answer" ? Buffer.from(message.bytes, "base64") : Buffer.alloc(0);
  }

  /** Sends what gets no answer. */
  say(bytes: Buffer): void {
    this.#send({ kind: "send", id: ++this.#last, bytes: bytes.toString("base64") });
  }

  /** As c-ares understands it. @returns records, or the code of an error */
  async resolve(name: string, type: string): Promise<unknown> {
    const id = ++this.#last;
    const told = this.#told(String(id));
    this.#send({ kind: "resolve", id, name, type });
    const message = await told;
    return message.kind === "resolved" ? message.records : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }
}

export class NetNamespace implements AsyncDisposable {
  readonly #settled = onAbort(() => this[Symbol.asyncDispose]());

  private constructor(
    readonly process: Bun.Subprocess,
    readonly agent: Agent,
  ) {}

  static async open(): Promise<NetNamespace> {
    const script = "ip link set lo up && echo up && exec sleep 1000";
    const child = Bun.spawn(["unshare", "--net", "sh", "-c", script], { stdout: "pipe" });
    for await (const _ of child.stdout) break; // it is up
    const agent = new Agent(["nsenter", `--net=/proc/${child.pid}/ns/net`]);
    await agent.ready();
    return new NetNamespace(child, agent);
  }

  /** Clients and servers outside, in the namespace of the test. */
  static async host(): Promise<Agent> {
    const agent = new Agent([]);
    await agent.ready();
    return agent;
  }

  get pid(): number {
    return this.process.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent[Symbol.asyncDispose]();
    this.process.kill("SIGKILL");
    await this.process.exited;
    this.#settled();
  }
}
