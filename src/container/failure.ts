/**
 * Why a container did not start, in the words by which clients choose their own exit code: `executable file not found` and `no such file
 * or directory` mean 127, `permission denied` and `is a directory` 126. Source: docker/cli, command/container/run.go.
 */

import { BosunError, conflict, internal, invalid, kindOf, messageOf } from "../base/errors.ts";
import { type Exit, PlanError } from "../runtime/runtime.ts";

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

/**
 * Whether an operation failed as it does when the container ends before an exec has joined it: its namespaces, its cgroup and the processes in them
 * go, none can be made in a pid namespace whose first process has ended (ENOMEM), and its run directory is removed. Source: pid_namespaces(7).
 */
const isOvertaken = (thrown: unknown): boolean =>
  thrown instanceof PlanError &&
  (["join", "cgroup", "wait"].includes(thrown.op[0] ?? "") ||
    (thrown.op[0] === "clone" && thrown.code === "ENOMEM") ||
    (thrown.op[0] === "plan" && thrown.code === "ENOENT"));

/** As startFailure, for a process that joins a container: to come too late is a conflict. */
export function execFailure(thrown: unknown, containerId: string): StartFailure {
  if (kindOf(thrown) !== "notFound" && !isOvertaken(thrown))
    return startFailure(thrown, "OCI runtime exec failed: exec failed");
  const why =
    thrown instanceof PlanError && thrown.op[0] === "wait"
      ? "ended the process before its program ran"
      : "is not running";
  return { error: conflict(`container ${containerId} ${why}`, { cause: thrown }), exitCode: 128 };
}

const SIGKILL = 9;

/** What inspect tells beside the exit code, which alone could mean anything. @param exit  of the first process */
export function outOfMemory({ signal }: Exit, { memory }: { readonly memory: number }): string {
  const limit = memory > 0 ? ` (limit: ${memory} bytes)` : "";
  return signal === SIGKILL
    ? `out of memory: the kernel killed the container's first process${limit}`
    : `out of memory: the kernel killed a process in the container${limit}`;
}
