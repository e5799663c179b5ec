/** An engine that is measured: its command, and what it runs while it does nothing. */

import type { Pen } from "./pen.ts";

export interface Engine {
  readonly name: string;
  /** The command that stands for `docker`. */
  readonly cli: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Unix socket of the Docker Engine API; undefined when there is no daemon to ask. */
  readonly socket: string | undefined;
  /** Processes that are there while nothing runs. */
  readonly pids: readonly number[];
  /** Command names of what stays beside each container. */
  readonly shim: RegExp;
  /** Flags of pull and push for a registry without TLS. */
  readonly insecure: readonly string[];
  /** Its own networks; undefined where benches leave networks alone. */
  readonly pen: Pen | undefined;
  /** Once this is aborted, nothing is begun any more. */
  readonly ending: AbortSignal;
  stop(): Promise<void>;
}

/** Programs of an administrator, too. */
export const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

/** Runs a command to its end. @param onStart  told its pid. @throws Error with its own words when it fails */
export async function finish(
  engine: Engine,
  args: readonly string[],
  onStart: (pid: number) => void = () => {},
): Promise<{
  readonly stdout: string;
  /** What the command itself, and those it waited for, took. */
  readonly cpuS: number;
}> {
  engine.ending.throwIfAborted();
  const child = Bun.spawn([...engine.cli, ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, PATH, ...engine.env },
  });
  onStart(child.pid);
  const [stdout, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${engine.name} ${args.join(" ")}: exit code ${code}\n${err}`);
  return { stdout, cpuS: Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1e6 };
}

/** @returns what it prints. @throws Error with the command's own words when it fails */
export const run = async (engine: Engine, ...args: string[]): Promise<string> => (await finish(engine, args)).stdout;
