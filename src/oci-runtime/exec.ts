/** A further process in a container that runs. Source: runc-exec(8). */

import { readFileSync } from "node:fs";
import { conflict, invalid } from "../base/errors.ts";
import { Handover } from "../runtime/handover.ts";
import { checkLabels, seccompOf } from "./bundle.ts";
import { checkTerminal, forwardSignals, type ProcessIo, processIo, writePidFile } from "./calling.ts";
import { placesOf } from "./cgroups.ts";
import { type OciProcess, processDecoder } from "./config.ts";
import type { Parsed } from "./flags.ts";
import type { Lifecycle } from "./lifecycle.ts";
import { execPlan } from "./plan.ts";
import { parseDocument } from "./schema.ts";
import { type ContainerRecord, isAlive } from "./state.ts";

function userOf(spec: string | undefined, standard: OciProcess["user"]): OciProcess["user"] {
  if (spec === undefined) return standard;
  const [uid, gid = "0"] = spec.split(":");
  if (!/^\d+$/.test(uid ?? "") || !/^\d+$/.test(gid)) throw invalid(`parsing ${spec} as int for uid failed`);
  return { ...standard, uid: Number(uid), gid: Number(gid) };
}

const withCapabilities = (process: OciProcess, names: readonly string[]): OciProcess => {
  if (names.length === 0) return process;
  const had = process.capabilities ?? { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] };
  const added = names.map((name) => name.toUpperCase());
  const both = (names: readonly string[]) => [...names, ...added];
  return {
    ...process,
    capabilities: {
      ...had,
      bounding: both(had.bounding),
      effective: both(had.effective),
      permitted: both(had.permitted),
    },
  };
};

/** The container's own process with other words, or one from a file. */
function processOf({ config }: ContainerRecord, flags: Parsed): OciProcess {
  const file = flags.text("process");
  const words = flags.args.slice(1);
  if (file !== undefined) {
    if (words.length > 0) throw invalid("runc exec: a process file and arguments exclude each other");
    return parseDocument(file, readFileSync(file, "utf8"), processDecoder);
  }
  if (config.process === undefined) throw invalid("process property must not be empty");
  const own = withCapabilities(config.process, flags.texts("cap"));
  const user = userOf(flags.text("user"), own.user);
  return {
    ...own,
    args: words,
    terminal: flags.has("tty"),
    env: [...own.env, ...flags.texts("env")],
    cwd: flags.text("cwd") ?? own.cwd,
    user: { ...user, additionalGids: [...user.additionalGids, ...flags.texts("additional-gids").map(Number)] },
    noNewPrivileges: own.noNewPrivileges || flags.has("no-new-privs"),
    apparmorProfile: flags.text("apparmor") ?? own.apparmorProfile,
    selinuxLabel: flags.text("process-label") ?? own.selinuxLabel,
  };
}

/** A cgroup below the container's. @throws invalid when it leads out of it */
function cgroupBelow(path: string, below: string | undefined): string {
  if (below === undefined) return path;
  if (below.split("/").includes("..")) throw invalid(`bad sub cgroup path: ${below}`);
  return `${path}/${below.replace(/^\/+|\/+$/g, "")}`.replace(/\/$/, "");
}

const isJoinable = (status: string, ignorePaused: boolean): boolean =>
  status === "running" || status === "created" || (status === "paused" && ignorePaused);

/** @returns the exit code: the process's own unless it is left to itself. @throws conflict, PlanError */
export async function exec(lifecycle: Lifecycle, flags: Parsed): Promise<number> {
  const [id = ""] = flags.args;
  const { states, cgroups } = lifecycle;
  const record = states.load(id);
  if (!isAlive(record)) throw conflict("cannot exec in a stopped container");
  const status = await states.status(record, cgroups);
  if (!isJoinable(status, flags.has("ignore-paused"))) throw conflict(`cannot exec in a ${status} container`);
  const process = processOf(record, flags);
  checkLabels(process);
  const { linux } = record.config;
  if (linux === undefined) throw invalid("linux property must not be empty");
  const io = processIo(flags, !flags.has("detach"));
  checkTerminal(process.terminal, io);
  const cgroup = cgroupBelow(record.cgroup, flags.text("cgroup"));
  const plan = execPlan({
    process,
    namespaces: linux.namespaces,
    pid: record.pid,
    cgroups: placesOf(cgroups, cgroup, await cgroups.entrances(cgroup)),
    seccomp: seccompOf(linux),
    consoleSocket: io.consoleSocket,
  });
  return follow(await Handover.start({ ...io, directory: states.directory(id), plan }), io);
}

async function follow(shim: Handover, { pidFile, stay }: ProcessIo): Promise<number> {
  await using undo = new AsyncDisposableStack();
  undo.defer(() => shim.abandon());
  const forwardTo = stay ? forwardSignals() : undefined;
  const pid = await shim.ready();
  await shim.go();
  writePidFile(pidFile, pid);
  undo.move();
  forwardTo?.(pid);
  return stay ? shim.exited : 0;
}
