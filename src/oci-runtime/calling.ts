/** How whoever called us is coupled with the process: its stdio, its descriptors, a file with its pid. */

import { existsSync, renameSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { invalid } from "../base/errors.ts";
import type { Parsed } from "./flags.ts";

export interface ProcessIo {
  readonly consoleSocket: string | undefined;
  readonly pidFile: string | undefined;
  /** How many descriptors of ours, from 3 on, it gets. */
  readonly kept: number;
  /** The shim stays as its parent, and we until its end. */
  readonly stay: boolean;
}

function keptDescriptors(flags: Parsed): number {
  const count = flags.number("preserve-fds") ?? 0;
  if (count < 0 || count > 100) throw invalid(`invalid value "${count}" for flag -preserve-fds`);
  for (let fd = 3; fd < 3 + count; fd++)
    if (!existsSync(`/proc/self/fd/${fd}`))
      throw invalid(`unable to stat preserved-fd ${fd} (of ${count}): bad file descriptor`);
  return count;
}

/** @param stay  whether we wait for the end of the process. @throws invalid */
export function processIo(flags: Parsed, stay: boolean): ProcessIo {
  const socket = flags.text("console-socket");
  return {
    consoleSocket: socket === undefined ? undefined : resolve(socket),
    pidFile: flags.text("pid-file"),
    kept: keptDescriptors(flags),
    stay,
  };
}

/** @throws invalid */
export function checkTerminal(terminal: boolean, { consoleSocket, stay }: ProcessIo): void {
  if (terminal && consoleSocket === undefined)
    throw invalid(
      stay
        ? "a terminal needs --console-socket"
        : "cannot allocate tty if runc will detach without setting console socket",
    );
  if (!terminal && consoleSocket !== undefined)
    throw invalid("cannot use console socket if runc will not detach or allocate tty");
}

/** Whole or not at all: who waits for it reads it at once. */
export function writePidFile(path: string | undefined, pid: number): void {
  if (path === undefined) return;
  writeFileSync(`${path}.new`, String(pid));
  renameSync(`${path}.new`, path);
}

const FORWARDED = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT"] as const;

/** Passes signals on that come while a process is made and runs. @returns to be called with its pid once that is known */
export function forwardSignals(): (pid: number) => void {
  let target = 0;
  const early: NodeJS.Signals[] = [];
  const pass = (name: NodeJS.Signals) => {
    try {
      process.kill(target, name);
    } catch {
      // it has ended: the shim says so at once
    }
  };
  for (const name of FORWARDED) process.on(name, () => (target === 0 ? early.push(name) : pass(name)));
  return (pid) => {
    target = pid;
    for (const name of early) pass(name);
  };
}
