/**
 * The runtime on shims: a run directory per task (`pid`, `exit`, `shim.sock`), from which a daemon that restarts finds its tasks again.
 * The program is run from a sealed copy in memory, which all shims share and no container can overwrite.
 */

import { readFileSync } from "node:fs";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Duplex } from "node:stream";
import { conflict, hasCode, invalid, messageOf, notFound } from "../base/errors.ts";
import { sealedCopy, signalProcess } from "../base/kernel.ts";
import type { Plan } from "./ops.ts";
import { parseExit, parsePid, startOf } from "./protocol.ts";
import type { AttachOptions, Exit, Runtime, Task } from "./runtime.ts";
import { ShimProcess } from "./shim-process.ts";
import { ask, RequestError, readToEnd } from "./shim-socket.ts";

const SIGKILL = 9;

const textOf = (path: string): Promise<string | undefined> =>
  readFile(path, "utf8").catch((error) => {
    if (hasCode(error, "ENOENT", "ENOTDIR", "ESRCH")) return undefined;
    throw error;
  });

/** Whether a process is the one that was started then. */
function isRunning({ pid, start }: { readonly pid: number; readonly start: string }): boolean {
  try {
    return startOf(readFileSync(`/proc/${pid}/stat`, "utf8")) === start;
  } catch {
    return false;
  }
}

/** Whether no shim listens any more. */
const isGone = (error: unknown): boolean =>
  hasCode(error, "ENOENT", "ENOTDIR", "ECONNREFUSED", "ECONNRESET", "EPIPE") ||
  (error instanceof RequestError && error.code === "ESRCH");

/** The exit of a task whose shim has ended: as it wrote it down, or, when it vanished, by killing what it left. */
async function exitOf(directory: string): Promise<Exit> {
  const exit = parseExit((await textOf(join(directory, "exit"))) ?? "");
  if (exit) return exit;
  const known = parsePid((await textOf(join(directory, "pid"))) ?? "");
  if (known) signalProcess(known.pid, SIGKILL, () => isRunning(known));
  return { code: 128 + SIGKILL, signal: SIGKILL, at: new Date() };
}

/** Settles when the shim tells the exit, or is no more. */
async function awaitExit(directory: string): Promise<Exit> {
  try {
    const text = await readToEnd(await ask(directory, "wait"));
    return parseExit(text.replace(/^exit /, "")) ?? (await exitOf(directory));
  } catch {
    return exitOf(directory).catch(() => ({ code: 128 + SIGKILL, signal: SIGKILL, at: new Date() }));
  }
}

class ShimTask implements Task {
  readonly exited: Promise<Exit>;

  /** @param shim  its process, while the program has not started */
  constructor(
    readonly id: string,
    readonly pid: number,
    readonly directory: string,
    private shim?: ShimProcess,
  ) {
    this.exited = awaitExit(directory);
  }

  async go(): Promise<void> {
    const { shim } = this;
    if (shim === undefined) throw conflict(`task ${this.id} has been started already`);
    delete this.shim;
    try {
      await shim.go();
    } catch (error) {
      await shim.abandon();
      await this.delete();
      throw error;
    }
  }

  async #ask(request: string): Promise<Duplex> {
    try {
      return await ask(this.directory, request);
    } catch (error) {
      if (isGone(error)) throw notFound(`task ${this.id} has ended`, { cause: error });
      throw error;
    }
  }

  attach({ stdin, stdout, stderr }: AttachOptions): Promise<Duplex> {
    return this.#ask(`attach ${Number(stdin)} ${Number(stdout)} ${Number(stderr)}`);
  }

  async resize(rows: number, columns: number): Promise<void> {
    try {
      (await this.#ask(`resize ${rows} ${columns}`)).destroy();
    } catch (error) {
      if (error instanceof RequestError) throw invalid(`task ${this.id} cannot be resized: ${error.code}`);
      throw error;
    }
  }

  async kill(signal: number): Promise<void> {
    try {
      (await this.#ask(`kill ${signal}`)).destroy();
    } catch (error) {
      if (error instanceof RequestError) throw invalid(`task ${this.id} cannot get signal ${signal}: ${error.code}`);
      throw error;
    }
  }

  async *logChanges(signal?: AbortSignal): AsyncIterable<void> {
    yield;
    const socket = await this.#ask("log").catch((error) => {
      if (messageOf(error) === `task ${this.id} has ended`) return undefined;
      throw error;
    });
    if (socket === undefined) return;
    const stop = () => socket.destroy();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      // What was written before the connection stood counts as a change, too.
      yield;
      for await (const _ of socket) yield;
    } catch (error) {
      if (!signal?.aborted) throw error;
    } finally {
      signal?.removeEventListener("abort", stop);
      socket.destroy();
    }
  }

  async delete(): Promise<void> {
    const { shim } = this;
    delete this.shim;
    await shim?.abandon();
    await rm(this.directory, { recursive: true, force: true });
  }
}

export interface ShimRuntimeOptions {
  /** Holds the run directories; one daemon's own. */
  readonly runRoot: string;
  /** The shim's program file. */
  readonly program: string;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

export class ShimRuntime implements Runtime {
  readonly #runRoot: string;
  readonly #program: string;

  constructor({ runRoot, program }: ShimRuntimeOptions) {
    this.#runRoot = runRoot;
    this.#program = `/proc/${process.pid}/fd/${sealedCopy(program)}`;
  }

  #directory(id: string): string {
    const parts = id.split("/");
    if (parts.length > 2 || !parts.every((part) => NAME.test(part)))
      throw invalid(`invalid task id ${JSON.stringify(id)}: want <container> or <container>/<exec>`);
    return join(this.#runRoot, ...parts);
  }

  async create(id: string, plan: Plan): Promise<Task> {
    const directory = this.#directory(id);
    await mkdir(dirname(directory), { recursive: true, mode: 0o711 });
    await mkdir(directory, { mode: 0o700 }).catch((error) => {
      throw hasCode(error, "EEXIST") ? conflict(`task ${id} exists already`, { cause: error }) : error;
    });
    try {
      const shim = await ShimProcess.start(this.#program, ["run", directory], plan);
      const report = await shim.report();
      if (report.type !== "ready") throw invalid(`Cannot create task ${id}: its plan has no wait`);
      return new ShimTask(id, report.pid, directory, shim);
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  async find(id: string): Promise<Task | undefined> {
    const directory = this.#directory(id);
    const known = parsePid((await textOf(join(directory, "pid"))) ?? "");
    return known && new ShimTask(id, known.pid, directory);
  }

  async list(): Promise<readonly string[]> {
    const ids: string[] = [];
    for (const name of await this.#namesIn(this.#runRoot)) {
      const inner = await this.#namesIn(join(this.#runRoot, name));
      for (const id of [name, ...inner.map((exec) => `${name}/${exec}`)])
        if ((await textOf(join(this.#runRoot, id, "pid"))) !== undefined) ids.push(id);
    }
    return ids;
  }

  async #namesIn(directory: string): Promise<string[]> {
    const entries = await readdir(directory, { withFileTypes: true }).catch((error) => {
      if (hasCode(error, "ENOENT")) return [];
      throw error;
    });
    return entries.filter((entry) => entry.isDirectory() && NAME.test(entry.name)).map(({ name }) => name);
  }

  async run(plan: Plan): Promise<void> {
    const shim = await ShimProcess.start(this.#program, ["plan"], plan);
    await shim.report();
    await shim.abandon();
  }
}
