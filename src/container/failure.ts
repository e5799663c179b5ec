/**
 * Why a container did not start, in the words by which clients choose their own exit code: `executable file not found` and `no such file
 * or directory` mean 127, `permission denied` and `is a directory` 126. Source: docker/cli, command/container/run.go.
 */

import { BosunError, internal, invalid, messageOf } from "../base/errors.ts";
import { PlanError } from "../runtime/runtime.ts";

export interface StartFailure {
  readonly error: BosunError;
  /** What the container's state shows. */
  readonly exitCode: number;
}

/** Operations whose failure is the request's fault, with the exit code that Docker shows for it. */
const USERS_FAULT: Readonly<Record<string, (code: string) => number>> = {
  exec: (code) => (code === "ENOENT" || code === "ENOTDIR" ? 127 : 126),
  cwd: () => 126,
  user: () => 126,
  bind: () => 128,
  mount: () => 128,
  sysctl: () => 128,
  rlimit: () => 128,
  "oom-score": () => 128,
};

/** @param thrown  whatever ended the start. @param action  what failed, as the message begins */
export function startFailure(thrown: unknown, action = "failed to create task for container"): StartFailure {
  if (thrown instanceof BosunError) return { error: thrown, exitCode: 128 };
  if (!(thrown instanceof PlanError)) return { error: internal(messageOf(thrown), { cause: thrown }), exitCode: 128 };
  const exitCode = USERS_FAULT[thrown.op[0] ?? ""]?.(thrown.code);
  const text = `${action}: unable to start container process: ${thrown.message}`;
  return exitCode === undefined
    ? { error: internal(text, { cause: thrown }), exitCode: 128 }
    : { error: invalid(text, { cause: thrown }), exitCode };
}
