/** Our own command, asked beside docker's. */

import type { Engine, Result } from "./e2e.ts";

const BOSUN = [process.execPath, new URL("../../src/main.ts", import.meta.url).pathname];

export interface Bosun {
  (...args: readonly string[]): Promise<Result>;
  /** @returns what it prints, without the newline at the end. @throws Error unless it exits with 0 */
  ok(...args: readonly string[]): Promise<string>;
}

export function bosunOf(engine: Engine): Bosun {
  const bosun = async (...args: readonly string[]): Promise<Result> => {
    const child = Bun.spawn([...BOSUN, ...args], {
      env: { ...process.env, ...engine.daemon.env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { code, stdout, stderr };
  };
  const ok = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await bosun(...args);
    if (code !== 0) throw new Error(`bosun ${args.join(" ")}: exit code ${code}: ${stderr}`);
    return stdout.replace(/\n$/, "");
  };
  return Object.assign(bosun, { ok });
}
