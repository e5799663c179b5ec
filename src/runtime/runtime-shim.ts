/**
 * The runtime on shims: a run directory per task (`pid`, `exit`, `shim.sock`), from which a daemon that restarts finds its tasks again.
 * The program is run from a sealed copy in memory, which all shims share and no container can overwrite.
 */

import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Duplex } from "node:stream";
import { conflict, hasCode, ifMissing, internal, invalid, kindOf, messageOf, notFound } from "../base/errors.ts";
import { processStart, sealedCopy, signalProcess } from "../base/processes.ts";
import type { Plan } from "./ops.ts";
import { parseExit, parsePid } from "./protocol.ts";
import type { AttachOptions, Exit, Runtime, Task } from "./runtime.ts";
import { ShimProcess } from "./shim-process.ts";
import { ask, RequestError, readToEnd } from "./shim-socket.ts";

const SIGKILL = 9;

/** Run directories are in memory: what is in them is asked for then and there, for a trip to a thread and back takes several times as long. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    return ifMissing(undefined, "ENOTDIR", "ESRCH")(error);
  }
}

const REMOVAL_ATTEMPTS = 100;

/** Execs go at the same time as their container, and to Bun's rm a part that vanishes under it means that all is gone. */
function removeDirectory(directory: string): void {
  for (let attempt = 0; attempt < REMOVAL_ATTEMPTS; attempt++) {
    rmSync(directory, { recursive: true, force: true });
    if (!existsSync(directory)) return;
  }
  throw internal(`Cannot remove ${directory}: something is made in it again and again`);
}

/** Names a process for ever; see parsePid. */
type Known = NonNullable<ReturnType<typeof parsePid>>;

/** Of a task whose shim never got as far as making a process. */
const NOBODY: Known = { pid: 0, start: "" };

const knownIn = (directory: string): Known => parsePid(textOf(join(directory, "pid")) ?? "") ?? NOBODY;

/** Whether a process is the one that was started then. */
const isRunning = ({ pid, start }: Known): boolean => processStart(pid) === start;

const signalKnown = (known: Known, signal: number): boolean => signalProcess(known.pid, signal, () => isRunning(known));

/** Whether no shim listens any more. */
const isGone = (error: unknown): boolean =>
  hasCode(error, "ENOENT", "ENOTDIR", "ECONNREFUSED", "ECONNRESET", "EPIPE") ||
  (error instanceof RequestError && error.code === "ESRCH");

/** The exit of a task whose shim has ended: as it wrote it down, or, when it vanished, by killing what it left. */
function exitOf(directory: string, known: Known): Exit {
  const exit = parseExit(textOf(join(directory, "exit")) ?? "");
  if (exit) return exit;
  signalKnown(known, SIGKILL);
  return { code: 128 + SIGKILL, signal: SIGKILL, at: new Date() };
}

const LONGEST_PAUSE_MS = 1000;

/**
 * Settles when the shim tells the exit, or is no more. That we cannot ask just now (no descriptor to spare, too many ask at once) says nothing
 * about the task: its process must not pay for it.
 */
async function awaitExit(directory: string, known: () => Known): Promise<Exit> {
  for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    try {
      const text = await readToEnd(await ask(directory, "wait"));
      return parseExit(text.replace(/^exit /, "")) ?? exitOf(directory, known());
    } catch (error) {
      if (isGone(error)) return exitOf(directory, known());
      await Bun.sleep(pause);
    }
  }
}

class ShimTask implements Task {
  readonly exited: Promise<Exit>;

  /** @param shim  its process, while the program has not started */
  constructor(
    readonly id: string,
    public known: Known,
    readonly directory: string,
    private shim?: ShimProcess,
  ) {
    this.exited = awaitExit(directory, () => this.known);
  }

  get pid(): number {
    return this.known.pid;
  }

  async go(): Promise<void> {
    const { shim } = this;
    if (shim === undefined) throw conflict(`task ${this.id} has been started already`);
    delete this.shim;
    try {
      await shim.go();
      const now = knownIn(this.directory);
      if (now.pid !== NOBODY.pid) this.known = now; // what another runtime has made
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
      // Without its run directory nobody reaches a shim, though it may well be there.
      if (kindOf(error) !== "notFound" || !signalKnown(this.known, signal)) throw error;
    }
  }

  async *logChanges(signal?: AbortSignal, what: "all" | "rotations" = "all"): AsyncIterable<void> {
    yield;
    const socket = await this.#ask(what === "all" ? "log" : "rotations").catch((error) => {
      if (messageOf(error) === `task ${this.id} has ended`) return undefined;
      throw error;
    });
    if (socket === undefined) return;
    const stop = () => socket.destroy();
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted) stop(); // who left while the connection was made is not told again
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
    removeDirectory(this.directory);
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
    this.#makeDirectory(id, directory);
    try {
      const shim = await ShimProcess.start(this.#program, ["run", directory], plan);
      const report = await shim.report();
      if (report.type !== "ready") throw invalid(`Cannot create task ${id}: its plan has no wait`);
      return new ShimTask(id, knownIn(directory), directory, shim);
    } catch (error) {
      removeDirectory(directory);
      throw error;
    }
  }

  /** The directory of a task that ended and was not deleted is taken over. */
  #makeDirectory(id: string, directory: string): void {
    // A task's directory is never made for what joins it: it would be left behind when the task has just ended.
    if (!id.includes("/")) mkdirSync(this.#runRoot, { recursive: true, mode: 0o711 });
    if (textOf(join(directory, "exit")) !== undefined) removeDirectory(directory);
    try {
      mkdirSync(directory, { mode: 0o700 });
    } catch (error) {
      if (hasCode(error, "EEXIST")) throw conflict(`task ${id} exists already`, { cause: error });
      if (hasCode(error, "ENOENT")) throw notFound(`task ${dirname(id)} has ended`, { cause: error });
      throw error;
    }
  }

  async find(id: string): Promise<Task | undefined> {
    const directory = this.#directory(id);
    return existsSync(directory) ? new ShimTask(id, knownIn(directory), directory) : undefined;
  }

  async list(): Promise<readonly string[]> {
    const ids: string[] = [];
    for (const name of await this.#namesIn(this.#runRoot)) {
      const inner = await this.#namesIn(join(this.#runRoot, name));
      ids.push(name, ...inner.map((exec) => `${name}/${exec}`));
    }
    return ids;
  }

  async #namesIn(directory: string): Promise<string[]> {
    const entries = await readdir(directory, { withFileTypes: true }).catch(ifMissing([]));
    return entries.filter((entry) => entry.isDirectory() && NAME.test(entry.name)).map(({ name }) => name);
  }

  async run(plan: Plan): Promise<void> {
    const shim = await ShimProcess.start(this.#program, ["plan"], plan);
    await shim.report();
    await shim.abandon();
  }
}
