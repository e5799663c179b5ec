/**
 * The name service of containers in networks of users' own: a process for each, at 127.0.0.11 in its network namespace, and the files from which
 * the processes know who is where. Both outlive the daemon. Its side in C: shim/net-names.c.
 */

import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { internal, messageOf, toldOf } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { errnoName } from "../base/system-error.ts";
import { adoptNetProgram, type NetProgram, ProgramRefused, startNetProgram } from "./net-program.ts";

export interface NameServiceOptions {
  /** Below the exec root: what is in it is true for this run of the machine. */
  readonly folder: string;
  /** bosun-net. */
  readonly program: string;
  readonly log: Logger;
}

const KINDS = ["networks", "containers", "processes"] as const;
type Kind = (typeof KINDS)[number];

export class NameService {
  readonly #options: NameServiceOptions;
  readonly #processes = new Map<string, Pick<NetProgram, "end">>();
  /** What each file holds: one that would say the same is left alone. */
  readonly #written = new Map<string, string>();

  constructor(options: NameServiceOptions) {
    this.#options = options;
    for (const kind of KINDS) mkdirSync(join(options.folder, kind), { recursive: true });
    // read by processes without privileges, whatever the daemon's umask is
    for (const folder of [options.folder, ...KINDS.map((kind) => join(options.folder, kind))]) chmodSync(folder, 0o755);
  }

  #path(kind: Kind, id: string): string {
    return join(this.#options.folder, kind, id);
  }

  /** Whole, or as it was before: on a file system in memory, and at once, so that files are never older than what was written later. */
  #write(kind: Kind, id: string, text: string): void {
    const path = this.#path(kind, id);
    if (this.#written.get(path) === text) return;
    const unfinished = this.#path(kind, `new-${id}`);
    try {
      writeFileSync(unfinished, text);
      chmodSync(unfinished, 0o644);
      renameSync(unfinished, path);
    } catch (error) {
      rmSync(unfinished, { force: true });
      throw toldOf(path, error);
    }
    this.#written.set(path, text);
  }

  #remove(kind: Kind, id: string): void {
    const path = this.#path(kind, id);
    this.#written.delete(path);
    rmSync(path, { force: true });
  }

  setNetwork(id: string, text: string): void {
    this.#write("networks", id, text);
  }

  /** Idempotent. */
  removeNetwork(id: string): void {
    this.#remove("networks", id);
  }

  setContainer(id: string, text: string): void {
    this.#write("containers", id, text);
  }

  /** By this daemon, or by the one before it. */
  isServed(id: string): boolean {
    return existsSync(this.#path("processes", id));
  }

  /** Starts a container's process, whose files are written. @param pid  its first process, with which the service ends. @throws internal */
  async serve(id: string, pid: number): Promise<void> {
    const { program, folder } = this.#options;
    const process = await startNetProgram(program, ["names", String(pid), folder, id]).catch((error: unknown) => {
      throw error instanceof ProgramRefused ? internal(`Cannot start the name service: ${refusal(error.line)}`) : error;
    });
    this.#processes.set(id, process);
    this.#write("processes", id, `${process.pid} ${process.start}\n`);
    process.tell("serve"); // until then it ends with the daemon, which would leave no word of it
    void process.exited.then((code) => this.#ended(id, pid, process, code));
  }

  /** With the container it exits by itself; killed by somebody, it is needed still. */
  async #ended(id: string, pid: number, process: NetProgram, code: number): Promise<void> {
    if (this.#processes.get(id) !== process) return;
    this.#processes.delete(id);
    this.#remove("processes", id);
    if (code === 0) return;
    this.#options.log.warn("a name service has ended, and is started again", { id, code });
    await this.serve(id, pid).catch((error) =>
      this.#options.log.error("a container has no name service", { id, error: messageOf(error) }),
    );
  }

  /** After a restart of the daemon: the process of a container that runs on, or a new one. */
  async adopt(id: string, pid: number): Promise<void> {
    const adopted = this.#recorded(id);
    if (adopted) this.#processes.set(id, adopted);
    else await this.serve(id, pid);
  }

  #recorded(id: string): Pick<NetProgram, "end"> | undefined {
    try {
      const [process = "", start = ""] = readFileSync(this.#path("processes", id), "utf8").trim().split(" ");
      return adoptNetProgram({ pid: Number(process), start });
    } catch {
      return undefined; // it had none
    }
  }

  /** The container has ended. Idempotent. */
  async release(id: string): Promise<void> {
    const process = this.#processes.get(id);
    this.#processes.delete(id);
    await process?.end(9);
    this.#remove("processes", id);
    this.#remove("containers", id);
  }

  /** At start: what a crash has left of containers that do not run, and of networks without containers. */
  sweep(containers: ReadonlySet<string>, networks: ReadonlySet<string>): void {
    for (const kind of KINDS)
      for (const id of readdirSync(join(this.#options.folder, kind)))
        if (!(kind === "networks" ? networks : containers).has(id)) this.#remove(kind, id);
  }
}

function refusal(line: string): string {
  const [, what = "", errno = ""] = /^fail (\S+) (\d+)$/.exec(line) ?? [];
  return what === "" ? "its process has ended" : `${what}: ${errnoName(Number(errno))}`;
}
