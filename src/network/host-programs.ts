/** Programs of the host that set firewall rules. */

import { internal } from "../base/errors.ts";

/** Where they are; an engine's own path may lack the second half. */
export const PROGRAM_PATH = `${process.env.PATH ?? ""}:/usr/sbin:/sbin`;

/** @returns what it prints. @throws internal with its words unless it exits with 0 */
export async function run([name = "", ...args]: readonly string[], input = ""): Promise<string> {
  const program = Bun.which(name, { PATH: PROGRAM_PATH });
  if (!program) throw internal(`${name} is missing`);
  const child = Bun.spawn([program, ...args], { stdin: Buffer.from(input), stdout: "pipe", stderr: "pipe" });
  const [output, error, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw internal(`Cannot run ${name}: ${error.trim() || `it exited with ${code}`}`);
  return output;
}
