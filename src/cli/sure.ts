/** Asked back before something is removed. */

import { createInterface } from "node:readline/promises";
import type { Flags } from "./flags.ts";

/** @returns whether the user wants it: `--force` says so, too */
export async function isSure(flags: Flags, warning: string): Promise<boolean> {
  if (flags.on("force")) return true;
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const answer = await terminal.question(`WARNING! ${warning}\nAre you sure you want to continue? [y/N] `);
    return answer.trim().toLowerCase() === "y";
  } finally {
    terminal.close();
  }
}
