/** The shim by its command line: bytes in, lines out, as a daemon has it. */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { builtFile } from "../../src/base/built.ts";
import type { Plan } from "../../src/runtime/ops.ts";
import { encodePlan } from "../../src/runtime/protocol.ts";
import type { Box } from "./box.ts";

export interface Shim {
  readonly rundir: string;
  readonly exited: Promise<number>;
  write(bytes: string | Uint8Array): void;
  closeInput(): void;
  /** As the daemon's death: both pipes are closed. */
  die(): void;
  /** @returns undefined at the end */
  line(): Promise<string | undefined>;
  rest(): Promise<string>;
}

/** @param bytes  of stdin; a plan without `go` */
export async function startShim(box: Box, args: "plan" | "run", bytes: string | Uint8Array): Promise<Shim> {
  const rundir = join(box.runRoot, "raw");
  await mkdir(rundir, { recursive: true });
  const child = Bun.spawn([builtFile("bosun-shim"), args, ...(args === "run" ? [rundir] : [])], {
    argv0: "bosun-shim",
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  const output = child.stdout.getReader();
  let text = "";
  const write = (data: string | Uint8Array) => {
    child.stdin.write(data);
    void child.stdin.flush();
  };
  const more = async (): Promise<boolean> => {
    const { done, value } = await output.read();
    if (!done) text += Buffer.from(value).toString();
    return !done;
  };
  write(bytes);
  return {
    rundir,
    exited: child.exited,
    write,
    closeInput() {
      void child.stdin.end();
    },
    die() {
      void child.stdin.end();
      void output.cancel();
    },
    async line() {
      while (!text.includes("\n")) if (!(await more())) return undefined;
      const end = text.indexOf("\n");
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      return line;
    },
    async rest() {
      while (await more());
      return text;
    },
  };
}

export const startPlan = (box: Box, plan: Plan): Promise<Shim> => startShim(box, "run", encodePlan(plan));
