/** Hooks that run on the host's side. Those inside are operations of the plan. Source: runtime-spec config.md, "POSIX-platform Hooks". */

import { internal } from "../base/errors.ts";
import type { OciHook } from "./config.ts";

const firstLine = (output: string): string => (output.trim() === "" ? "" : `, stderr: ${output.trim().slice(0, 500)}`);

/** @throws internal when it cannot be run, ends with a failure or takes longer than it may */
async function runHook({ path, args, env, timeout }: OciHook, state: object): Promise<void> {
  const child = Bun.spawn([path, ...args.slice(1)], {
    argv0: args[0] ?? path,
    env: Object.fromEntries(env.map((variable) => [variable.split("=", 1)[0] ?? "", variable.replace(/^[^=]*=?/, "")])),
    stdin: Buffer.from(JSON.stringify(state)),
    stdout: "ignore",
    stderr: "pipe",
    ...(timeout ? { timeout: timeout * 1000, killSignal: "SIGKILL" as const } : {}),
  });
  const code = await child.exited;
  if (code === 0) return;
  if (child.signalCode === "SIGKILL" && timeout) throw internal(`hook ran past specified timeout of ${timeout}s`);
  throw internal(`exit status ${code}${firstLine(await child.stderr.text())}`);
}

/** @param name  as `prestart`. @throws internal at the first that fails */
export async function runHooks(name: string, hooks: readonly OciHook[] | undefined, state: object): Promise<void> {
  for (const [index, hook] of (hooks ?? []).entries())
    try {
      await runHook(hook, state);
    } catch (error) {
      throw internal(`error running ${name} hook #${index}: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
}
