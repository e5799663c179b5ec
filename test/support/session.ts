/** A program that runs beside the test: what it prints can be waited for, and with a terminal it can be typed at. */

import { PATIENCE_MS } from "./patience.ts";

export interface Size {
  readonly rows: number;
  readonly columns: number;
}

export interface SessionOptions {
  readonly env: Readonly<Record<string, string>>;
  /** Gives the program a terminal of that size. */
  readonly terminal?: Size;
}

interface Waiter {
  readonly pattern: string | RegExp;
  readonly from: number;
  readonly promise: PromiseWithResolvers<string>;
}

const indexOf = (text: string, pattern: string | RegExp): number =>
  typeof pattern === "string" ? text.indexOf(pattern) : text.search(pattern);

export class Session implements AsyncDisposable {
  readonly #exited: Promise<number>;
  readonly #child: Bun.Subprocess;
  readonly #waiters = new Set<Waiter>();
  #text = "";
  #ended = false;

  constructor(command: readonly string[], { env, terminal }: SessionOptions) {
    const decoder = new TextDecoder();
    if (terminal) {
      const data = (_: Bun.Terminal, bytes: Uint8Array) => this.#add(decoder.decode(bytes, { stream: true }));
      const { rows, columns: cols } = terminal;
      this.#child = Bun.spawn([...command], { env: { ...env, TERM: "xterm" }, terminal: { rows, cols, data } });
      this.#exited = this.#child.exited.then((code) => this.#end(code));
      return;
    }
    const child = Bun.spawn([...command], { env: { ...env }, stdin: "pipe", stdout: "pipe", stderr: "pipe" });
    this.#child = child;
    const read = async (stream: ReadableStream<Uint8Array>) => {
      for await (const bytes of stream) this.#add(decoder.decode(bytes, { stream: true }));
    };
    this.#exited = Promise.all([child.exited, read(child.stdout), read(child.stderr)]).then(([code]) =>
      this.#end(code),
    );
  }

  /** Its exit code, 128 + n after signal n. Rejects when it does not end. */
  get exited(): Promise<number> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(this.#unseen("its end")), PATIENCE_MS);
    return Promise.race([this.#exited, late.promise]).finally(() => clearTimeout(timer));
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** All that it has printed so far, standard output and error in the order in which they came. */
  get output(): string {
    return this.#text;
  }

  #add(text: string): void {
    this.#text += text;
    for (const waiter of this.#waiters) if (this.#found(waiter)) this.#waiters.delete(waiter);
  }

  #found({ pattern, from, promise }: Waiter): boolean {
    const rest = this.#text.slice(from);
    if (indexOf(rest, pattern) < 0) return false;
    promise.resolve(rest);
    return true;
  }

  #end(code: number): number {
    this.#ended = true;
    for (const waiter of this.#waiters) waiter.promise.reject(this.#unseen(waiter.pattern));
    this.#waiters.clear();
    return code;
  }

  #unseen(pattern: string | RegExp): Error {
    const end = this.#ended ? "it ended before" : `${PATIENCE_MS / 1000} seconds were over before`;
    return new Error(`${end} it printed ${String(pattern)}; all it printed: ${JSON.stringify(this.#text)}`);
  }

  /**
   * @param from  position in `output` from where to look
   * @returns     what was printed from there on, as soon as the pattern is in it. @throws Error when it does not come
   */
  async until(pattern: string | RegExp, from = 0): Promise<string> {
    const waiter: Waiter = { pattern, from, promise: Promise.withResolvers<string>() };
    if (this.#found(waiter)) return waiter.promise.promise;
    if (this.#ended) throw this.#unseen(pattern);
    this.#waiters.add(waiter);
    const late = setTimeout(() => waiter.promise.reject(this.#unseen(pattern)), PATIENCE_MS);
    return waiter.promise.promise.finally(() => clearTimeout(late));
  }

  write(bytes: string | Uint8Array): void {
    const { terminal, stdin } = this.#child;
    if (terminal) terminal.write(bytes);
    else if (stdin && typeof stdin === "object") {
      stdin.write(bytes);
      void stdin.flush();
    }
  }

  closeInput(): void {
    const { stdin } = this.#child;
    if (stdin && typeof stdin === "object") void stdin.end();
  }

  resize({ rows, columns }: Size): void {
    this.#child.terminal?.resize(columns, rows);
  }

  /**
   * Resizes until the program shows it: a client tells of changes only from some moment on, which nothing shows, and the kernel only of
   * changes.
   */
  async resizeUntil({ rows, columns }: Size, pattern: string | RegExp): Promise<void> {
    const seen = this.until(pattern, this.#text.length).then(() => true);
    for (let done = false; !done; ) {
      this.resize({ rows, columns });
      done = await Promise.race([seen, Bun.sleep(50).then(() => false)]);
      if (!done) this.resize({ rows: rows + 1, columns });
    }
  }

  kill(signal: NodeJS.Signals = "SIGTERM"): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill("SIGKILL");
    await this.#exited;
    this.#child.terminal?.close();
  }
}
