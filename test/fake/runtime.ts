/**
 * A runtime whose processes are a few lines of TypeScript. What a "program" does is told by the plan's last words: `exit N`, `echo WORDS`,
 * `cat`, `sleep` (deaf to all signals but SIGKILL), `polite` (ends by any signal). Anything else is not found.
 */

import { type Duplex, duplexPair } from "node:stream";
import { conflict, invalid, notFound } from "../../src/base/errors.ts";
import type { Plan } from "../../src/runtime/ops.ts";
import { planError } from "../../src/runtime/protocol.ts";
import type { AttachOptions, Exit, Runtime, Task } from "../../src/runtime/runtime.ts";

const ENOENT = 2;

/** Docker's frame of a stream with two outputs. */
function framed(stream: number, text: string): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt8(stream, 0);
  head.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([head, Buffer.from(text)]);
}

export class FakeTask implements Task {
  readonly #exit = Promise.withResolvers<Exit>();
  readonly #clients: Duplex[] = [];
  readonly exited = this.#exit.promise;
  readonly signals: number[] = [];
  readonly sizes: (readonly [rows: number, columns: number])[] = [];
  hasEnded = false;

  constructor(
    readonly id: string,
    readonly plan: Plan,
    readonly pid: number,
    readonly runtime: FakeRuntime,
  ) {}

  get #argv(): readonly string[] {
    return this.plan.at(-1)?.slice(1) ?? [];
  }

  get #hasTerminal(): boolean {
    return this.plan.some(([name, kind]) => name === "stdio" && kind === "pty");
  }

  async go(): Promise<void> {
    await this.runtime.at("go");
    const [program, ...args] = this.#argv;
    if (program === "exit") this.end(Number(args[0]));
    else if (program === "echo") {
      this.print(`${args.join(" ")}\n`);
      this.end(0);
    } else if (program !== "cat" && program !== "sleep" && program !== "polite") {
      await this.delete();
      const index = this.plan.length - 1;
      throw planError(this.plan, { index, errno: ENOENT, detail: "executable file not found in $PATH" });
    }
  }

  print(text: string, stream = 1): void {
    for (const client of this.#clients) client.write(this.#hasTerminal ? text : framed(stream, text));
  }

  end(code: number, signal?: number): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    for (const client of this.#clients) client.end();
    this.#exit.resolve({ code, at: new Date(), ...(signal !== undefined && { signal }) });
  }

  async attach({ stdin }: AttachOptions): Promise<Duplex> {
    await this.runtime.at("attach");
    if (this.hasEnded) throw notFound(`task ${this.id} has ended`);
    const [ours, theirs] = duplexPair();
    this.#clients.push(ours);
    ours.on("data", (chunk: Buffer) => {
      if (stdin && this.#argv[0] === "cat") this.print(chunk.toString());
    });
    ours.on("end", () => {
      if (stdin && this.#argv[0] === "cat") this.end(0);
    });
    return theirs;
  }

  async resize(rows: number, columns: number): Promise<void> {
    await this.runtime.at("resize");
    if (!this.#hasTerminal) throw invalid(`task ${this.id} cannot be resized: ENOTTY`);
    this.sizes.push([rows, columns]);
  }

  async kill(signal: number): Promise<void> {
    if (this.hasEnded) throw notFound(`task ${this.id} has ended`);
    this.signals.push(signal);
    if (signal === 9 || this.#argv[0] === "polite") this.end(128 + signal, signal);
  }

  async *logChanges(signal?: AbortSignal): AsyncGenerator<void> {
    yield;
    const left = new Promise<void>((resolve) => {
      if (signal?.aborted) resolve();
      signal?.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([this.exited, left]);
  }

  async delete(): Promise<void> {
    this.runtime.tasks.delete(this.id);
  }
}

export class FakeRuntime implements Runtime {
  readonly tasks = new Map<string, FakeTask>();
  /** Called at every step with its name; may wait, or throw. */
  at: (step: "create" | "attach" | "go" | "resize") => Promise<void> = async () => {};
  #lastPid = 1000;

  async create(id: string, plan: Plan): Promise<FakeTask> {
    await this.at("create");
    if (this.tasks.has(id)) throw conflict(`task ${id} exists already`);
    const task = new FakeTask(id, plan, ++this.#lastPid, this);
    this.tasks.set(id, task);
    return task;
  }

  async find(id: string): Promise<FakeTask | undefined> {
    return this.tasks.get(id);
  }

  async list(): Promise<readonly string[]> {
    return [...this.tasks.keys()];
  }

  async run(): Promise<void> {}
}
