/**
 * The runtime on somebody else's OCI runtime: a plan becomes a bundle, and the shim, which keeps stdio, log and exit as ever, has the runtime make
 * what it then watches. So all that outlives the daemon does so here, too.
 */

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Duplex } from "node:stream";
import { conflict, ifMissing, internal, invalid, kindOf } from "../base/errors.ts";
import { isObject } from "../base/objects.ts";
import { type OciBundle, toBundle } from "./oci-bundle.ts";
import * as op from "./ops.ts";
import { CLONE, MS, type Plan } from "./ops.ts";
import * as oci from "./ops-oci.ts";
import { type AttachOptions, type Exit, PlanError, type Runtime, type Task } from "./runtime.ts";

/** A runtime as daemon.json names it. */
export interface OciProgram {
  /** Absolute, or to be found in PATH. */
  readonly path: string;
  /** Before its command. */
  readonly args: readonly string[];
}

export interface OciRuntimeOptions {
  readonly shims: Runtime;
  /** Bundles and the runtimes' own state; one daemon's own. Short, since sockets lie in it. */
  readonly root: string;
  readonly programs: Readonly<Record<string, OciProgram>>;
  /** Where the trees of cgroups are mounted. */
  readonly cgroupMounts: readonly string[];
}

/** What a bundle's folder says of it, beside the bundle. */
interface Made {
  /** The container's id for the runtime; undefined for a process that joined one. */
  readonly container: string | undefined;
  /** The runtime's command line, without its command. */
  readonly command: readonly string[];
}

const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The last error that a runtime has logged as JSON, as runc and crun do. */
function loggedError(path: string): string | undefined {
  const lines = existsSync(path) ? readFileSync(path, "utf8").trim().split("\n").reverse() : [];
  for (const line of lines)
    try {
      const entry: unknown = JSON.parse(line);
      if (isObject(entry) && entry.level === "error" && typeof entry.msg === "string") return entry.msg;
    } catch {
      return line || undefined; // a runtime that logs otherwise
    }
  return undefined;
}

/** What clients tell failures by, from the words of runtimes. */
function codeOf(message: string): string {
  if (/not found|no such file/i.test(message)) return "ENOENT";
  return /permission denied|operation not permitted/i.test(message) ? "EACCES" : "EINVAL";
}

class OciTask implements Task {
  #size: readonly [rows: number, columns: number] | undefined;

  constructor(
    readonly task: Task,
    readonly bundle: string,
    readonly made: Made,
    /** A process that joins others has its terminal only when it runs. */
    private waiting: boolean,
  ) {}

  get pid(): number {
    return this.task.pid;
  }

  get exited(): Promise<Exit> {
    return this.task.exited;
  }

  async go(): Promise<void> {
    await failuresOf(this.bundle, () => this.task.go());
    this.waiting = false;
    if (this.#size) await this.task.resize(...this.#size);
  }

  attach(options: AttachOptions): Promise<Duplex> {
    return this.task.attach(options);
  }

  async resize(rows: number, columns: number): Promise<void> {
    if (this.waiting && this.made.container === undefined) this.#size = [rows, columns];
    else await this.task.resize(rows, columns);
  }

  kill(signal: number): Promise<void> {
    return this.task.kill(signal);
  }

  logChanges(signal?: AbortSignal): AsyncIterable<void> {
    return this.task.logChanges(signal);
  }

  async delete(): Promise<void> {
    await this.task.delete();
    await forget(this.bundle, this.made);
  }
}

async function forget(bundle: string, { container, command }: Made): Promise<void> {
  if (container !== undefined) {
    const call = [...command, "delete", "--force", container];
    await Bun.spawn(call, { stdin: "ignore", stdout: "ignore", stderr: "ignore" }).exited; // what it could not, the cgroup's removal does
  }
  await rm(bundle, { recursive: true, force: true });
}

/** The runtime's words in the place of the shim's, which only knows that it failed. */
async function failuresOf<T>(bundle: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    const words =
      error instanceof PlanError && error.code === "ECANCELED" ? loggedError(join(bundle, "log")) : undefined;
    if (words === undefined) throw error;
    throw new PlanError(["exec"], codeOf(words), words);
  }
}

export class OciRuntime implements Runtime {
  readonly #options: OciRuntimeOptions;

  constructor(options: OciRuntimeOptions) {
    this.#options = options;
  }

  /** A name of any task's, short enough for a socket's address. */
  #bundle(id: string): string {
    return join(this.#options.root, createHash("sha256").update(id).digest("hex").slice(0, 16));
  }

  /** @throws invalid */
  #command(name: string, bundle: string): readonly string[] {
    const program = this.#options.programs[name];
    if (program === undefined) throw invalid(`unknown or invalid runtime name: ${name}`);
    const path = program.path.startsWith("/") ? program.path : Bun.which(program.path, { PATH: PATH.slice(5) });
    if (path === null) throw invalid(`exec: ${JSON.stringify(program.path)}: executable file not found in $PATH`);
    const state = join(this.#options.root, `state-${name}`);
    return [path, ...program.args, "--root", state, "--log", join(bundle, "log"), "--log-format", "json"];
  }

  readonly #cgroupOf = (procs: string): string => {
    const mount = this.#options.cgroupMounts.find((each) => procs.startsWith(`${each}/`));
    if (mount === undefined) throw internal(`Cannot tell the runtime of ${procs}: it is in no tree of cgroups`);
    return dirname(procs).slice(mount.length);
  };

  async create(id: string, plan: Plan): Promise<Task> {
    const [, name = ""] = plan[0] ?? [];
    const told = toBundle(plan, this.#cgroupOf);
    const bundle = this.#bundle(id);
    if (await this.#runs(id)) throw conflict(`task ${id} exists already`); // its bundle is not to be touched
    const before = await this.#madeIn(bundle);
    if (before) await forget(bundle, before);
    await mkdir(bundle, { recursive: true, mode: 0o700 });
    const container = told.root === undefined ? undefined : id;
    const made: Made = { container, command: this.#command(name, bundle) };
    await writeFile(join(bundle, "made.json"), JSON.stringify(made));
    try {
      const shimPlan =
        container === undefined ? joiningPlan(id, plan, told, bundle, made) : makingPlan(container, told, bundle, made);
      const task = await failuresOf(bundle, () => this.#options.shims.create(id, shimPlan));
      return new OciTask(task, bundle, made, true);
    } catch (error) {
      await forget(bundle, made);
      throw error;
    }
  }

  async #runs(id: string): Promise<boolean> {
    const task = await this.find(id);
    try {
      await task?.kill(0);
      return task !== undefined;
    } catch (error) {
      if (kindOf(error) === "notFound") return false;
      throw error;
    }
  }

  async find(id: string): Promise<Task | undefined> {
    const bundle = this.#bundle(id);
    const made = await this.#madeIn(bundle);
    const task = made && (await this.#options.shims.find(id));
    return task && made && new OciTask(task, bundle, made, false);
  }

  /** @returns undefined when there is no such bundle. @throws internal */
  async #madeIn(bundle: string): Promise<Made | undefined> {
    const text = await readFile(join(bundle, "made.json"), "utf8").catch(ifMissing(undefined));
    if (text === undefined) return undefined;
    const made: unknown = JSON.parse(text);
    if (!isMade(made)) throw internal(`Cannot read ${bundle}/made.json: it is not what we wrote`);
    return made;
  }

  list(): Promise<readonly string[]> {
    return this.#options.shims.list();
  }

  run(plan: Plan): Promise<void> {
    return this.#options.shims.run(plan);
  }
}

const isMade = (value: unknown): value is Made =>
  isObject(value) &&
  Array.isArray(value.command) &&
  value.command.every((word) => typeof word === "string") &&
  (value.container === undefined || typeof value.container === "string");

const consoleOf = ({ terminal }: OciBundle, bundle: string): string | undefined =>
  terminal ? join(bundle, "console") : undefined;

const consoleWords = (told: OciBundle, bundle: string): readonly string[] => {
  const socket = consoleOf(told, bundle);
  return socket === undefined ? [] : ["--console-socket", socket];
};

const exec = ([program = "", ...args]: readonly string[]) => op.exec(program, ...args);

/** The root is mounted in a namespace of the shim's, from which the runtime takes it. */
function makingPlan(id: string, told: OciBundle, bundle: string, { command }: Made): Plan {
  const pidFile = join(bundle, "pid");
  const { spec, groups } = told.user;
  return [
    ...told.outside,
    oci.madeBy({ pidFile, consoleSocket: consoleOf(told, bundle), start: [...command, "start", id] }),
    op.clone(CLONE.newNs),
    op.propagation(MS.rec | MS.slave),
    ...told.inside.filter(([name]) => name !== "propagation"),
    op.root(told.root ?? ""),
    oci.identity(join(bundle, "config.json"), spec, told.document, groups),
    op.umask(0o022),
    op.env([PATH]),
    exec([...command, "create", "--bundle", bundle, "--pid-file", pidFile, ...consoleWords(told, bundle), id]),
  ];
}

/** A process that joins a container's: made when it is told to go. */
function joiningPlan(id: string, plan: Plan, told: OciBundle, bundle: string, { command }: Made): Plan {
  const [pidFile, document] = [join(bundle, "pid"), join(bundle, "process.json")];
  const { spec, groups } = told.user;
  const init = /^\/proc\/\d+/.exec(plan.find(([name]) => name === "join")?.[1] ?? "")?.[0] ?? "/proc/self";
  const words = ["exec", "--process", document, "--pid-file", pidFile, "--detach", ...consoleWords(told, bundle)];
  return [
    ...told.outside,
    oci.madeBy({ pidFile, consoleSocket: consoleOf(told, bundle), start: [] }),
    op.clone(0),
    op.root(`${init}/root`),
    oci.identity(document, spec, told.document, groups),
    op.umask(0o022),
    op.env([PATH]),
    op.wait(),
    exec([...command, ...words, dirname(id)]),
  ];
}
