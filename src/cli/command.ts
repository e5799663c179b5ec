/** What a command of the client is. */

import type { Client } from "./client.ts";
import type { Flags, Specs } from "./flags.ts";

export interface Command {
  /** As `run [OPTIONS] IMAGE [COMMAND] [ARG...]`. */
  readonly usage: string;
  readonly summary: string;
  readonly flags: Specs;
  /** How many arguments at least, and at most. */
  readonly args: readonly [least: number, most: number];
  readonly stopAtArgument?: boolean;
  /** Exit code of a failure that is not the program's own. */
  readonly failureCode?: number;
  /** @returns the exit code */
  run(client: Client, flags: Flags): Promise<number>;
}

/** Does it for every name; one that fails does not keep the others from their turn. @returns the exit code */
export async function forEach(names: readonly string[], act: (name: string) => Promise<string>): Promise<number> {
  let failed = 0;
  for (const name of names)
    try {
      process.stdout.write(`${await act(name)}\n`);
    } catch (error) {
      failed = 1;
      process.stderr.write(`${describe(error)}\n`);
    }
  return failed;
}

export const describe = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  return error.name === "DaemonError" ? `Error response from daemon: ${error.message}` : error.message;
};
