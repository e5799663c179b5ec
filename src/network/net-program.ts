/** Processes of the program `bosun-net`, which do what a container's networks need and end with it, whatever becomes of the daemon. */

import { isRunning, processStart, signalProcess } from "../base/processes.ts";

/** A process as it is on record. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks after the boot: tells it from another process that has its pid later. */
  readonly start: string;
}

/** It has told why it cannot, or has ended without a word. */
export class ProgramRefused extends Error {
  /** @param line  the last one that it has told */
  constructor(readonly line: string) {
    super(line || "it has ended");
  }
}

export interface NetProgram extends ProcessIdentity {
  /** What it has told before it was ready. */
  readonly lines: readonly string[];
  /** 128 + n after signal n. */
  readonly exited: Promise<number>;
  /** A line on its standard input, which ends then. */
  tell(line: string): void;
  /** Returns when it is gone. Idempotent. @param signal  by number */
  end(signal: number): Promise<void>;
}

/** Returns when it is ready. @param program  bosun-net. @param words  its mode and what that needs. @throws ProgramRefused */
export async function startNetProgram(program: string, words: readonly string[]): Promise<NetProgram> {
  const child = Bun.spawn([program, ...words], { stdin: "pipe", stdout: "pipe", stderr: "ignore" });
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of child.stdout) {
    text += decoder.decode(bytes, { stream: true });
    if (text.endsWith("ready\n")) break;
  }
  const lines = text.trimEnd().split("\n");
  if (lines.at(-1) !== "ready") {
    await child.exited;
    throw new ProgramRefused(lines.at(-1) ?? "");
  }
  child.unref();
  return {
    pid: child.pid,
    start: processStart(child.pid) ?? "",
    lines: lines.slice(0, -1),
    exited: child.exited,
    tell(line) {
      child.stdin.write(`${line}\n`);
      child.stdin.end();
    },
    async end(signal) {
      child.kill(signal);
      await child.exited;
    },
  };
}

/** Whether one on record lives still. */
export const isAlive = ({ pid, start }: ProcessIdentity): boolean => isRunning(pid, start);

/** A process that was killed is gone within milliseconds; longer than this it is stuck in the kernel. */
const GONE_MS = 2000;

/** An earlier daemon's. @returns undefined when it lives no more */
export function adoptNetProgram(identity: ProcessIdentity): Pick<NetProgram, "end"> | undefined {
  if (!isAlive(identity)) return undefined;
  return {
    async end(signal) {
      signalProcess(identity.pid, signal, () => isAlive(identity));
      const limit = Date.now() + GONE_MS;
      while (isAlive(identity) && Date.now() < limit) await Bun.sleep(1); // not our child: nothing tells of its end
    },
  };
}
