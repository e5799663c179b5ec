/**
 * What is known of containers between two calls of the runtime: a directory each below `--root`, with `state.json` and, while the process has not
 * been started, its `start.sock`. Source: runtime-spec runtime.md, "State".
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { conflict, hasCode, invalid, notFound } from "../base/errors.ts";
import { signalProcess } from "../base/processes.ts";
import type { Cgroups } from "../runtime/cgroup.ts";
import type { Op } from "../runtime/ops.ts";
import { configDecoder } from "./config.ts";
import { type Decoded, type Decoder, list, natural, object, parseDocument, text } from "./schema.ts";

const op: Decoder<Op> = (value, path) => {
  const [name = "", ...args] = list(text)(value, path);
  return [name, ...args];
};

const recordDecoder = object({
  id: text,
  bundle: text,
  rootfs: text,
  /** Of the first process, as the host counts; with `start` (field 22 of its stat) it never means another. */
  pid: natural,
  start: text,
  /** RFC 3339. */
  created: text,
  owner: text,
  /** Path of its cgroup below the roots of all trees. */
  cgroup: text,
  config: configDecoder,
  /** What of the plan has yet to be done when it is started. */
  parked: object({ first: natural, ops: list(op) }),
});

export type ContainerRecord = Decoded<typeof recordDecoder>;
/** What is known of a container before it has a process. */
export type About = Pick<ContainerRecord, "id" | "bundle" | "config">;
export type Status = "creating" | "created" | "running" | "paused" | "stopped";

const NAME = /^[\w+.-]+$/;

/** @throws invalid in runc's words */
function checkId(id: string): string {
  if (id === "") throw invalid("container id cannot be empty");
  if (!NAME.test(id) || id === "." || id === "..") throw invalid("invalid container ID format");
  return id;
}

/** @returns fields of /proc/PID/stat; undefined when there is no such process */
function statOf(pid: number): { readonly state: string; readonly start: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] ?? "", start: fields[19] ?? "" };
  } catch (error) {
    if (hasCode(error, "ENOENT", "ESRCH")) return undefined;
    throw error;
  }
}

export const startOf = (pid: number): string => statOf(pid)?.start ?? "";

/** A process that has ended and was not waited for yet is none any more. */
export function isAlive({ pid, start }: Pick<ContainerRecord, "pid" | "start">): boolean {
  const stat = statOf(pid);
  return stat !== undefined && stat.start === start && stat.state !== "Z" && stat.state !== "X";
}

/** @returns whether there was a process to be signalled */
export const signalInit = (record: ContainerRecord, signal: number): boolean =>
  isAlive(record) && signalProcess(record.pid, signal, () => isAlive(record));

export class States {
  readonly root: string;

  /** @param root  `--root` */
  constructor(root: string) {
    this.root = resolve(root);
  }

  directory(id: string): string {
    return join(this.root, checkId(id));
  }

  /** Makes the container's directory. @throws conflict when it is there */
  reserve(id: string): string {
    const directory = this.directory(id);
    mkdirSync(this.root, { recursive: true, mode: 0o711 });
    try {
      mkdirSync(directory, { mode: 0o711 });
    } catch (error) {
      if (hasCode(error, "EEXIST")) throw conflict("container with given ID already exists", { cause: error });
      throw error;
    }
    return directory;
  }

  save(record: ContainerRecord): void {
    const path = join(this.directory(record.id), "state.json");
    writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  /** @throws notFound */
  load(id: string): ContainerRecord {
    try {
      return parseDocument("state.json", readFileSync(join(this.directory(id), "state.json"), "utf8"), recordDecoder);
    } catch (error) {
      if (hasCode(error, "ENOENT")) throw notFound("container does not exist", { cause: error });
      throw error;
    }
  }

  forget(id: string): void {
    rmSync(this.directory(id), { recursive: true, force: true });
  }

  /** Records of all containers that can be read. */
  list(): readonly ContainerRecord[] {
    const names = existsSync(this.root) ? readdirSync(this.root) : [];
    return names.flatMap((name) => {
      try {
        return [this.load(name)];
      } catch {
        return []; // it is being made or removed, or is none
      }
    });
  }

  isParked(id: string): boolean {
    return existsSync(join(this.directory(id), "start.sock"));
  }

  async status(record: ContainerRecord, cgroups: Cgroups): Promise<Status> {
    if (!isAlive(record)) return "stopped";
    if (this.isParked(record.id)) return "created";
    return (await cgroups.isFrozen(record.cgroup)) ? "paused" : "running";
  }
}

/** The state that hooks and `state` are told. */
export const stateOf = (
  { id, bundle, config: { ociVersion, annotations } }: About,
  status: Status,
  pid: number,
): Readonly<Record<string, unknown>> => ({
  ociVersion,
  id,
  status,
  ...(pid === 0 ? {} : { pid }),
  bundle,
  ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
});
