/** The shim's language as bytes and lines: pure. Source: shim/PROTOCOL.md. */

import { internal, invalid } from "../base/errors.ts";
import { errnoName } from "../base/system-error.ts";
import type { Op, Plan } from "./ops.ts";
import { type Exit, PlanError } from "./runtime.ts";

/** @returns the plan as NUL-ended words, `name count arg…`, ended by an empty name. @throws invalid when an argument has a NUL */
export function encodePlan(plan: Plan): Uint8Array {
  const words: string[] = [];
  for (const [name, ...args] of plan) {
    if (name === "" || [name, ...args].some((word) => word.includes("\0")))
      throw invalid(`invalid argument of ${name}: it has a NUL byte`);
    words.push(name, String(args.length), ...args);
  }
  return Buffer.from(`${words.join("\0")}\0\0`);
}

export const GO = Buffer.from("go\0");

export type Report =
  | { readonly type: "ready"; readonly pid: number }
  | { readonly type: "started" }
  | { readonly type: "parked" }
  | { readonly type: "done" }
  | { readonly type: "fail"; readonly index: number; readonly errno: number; readonly detail: string };

/** A line that the shim reported, without its newline. @throws internal when it is none of them */
export function parseReport(line: string): Report {
  const ready = /^ready (\d+)$/.exec(line);
  if (ready) return { type: "ready", pid: Number(ready[1]) };
  if (line === "started" || line === "parked" || line === "done") return { type: line };
  const fail = /^fail (\d+) (\d+) ?(.*)$/s.exec(line);
  if (fail) return { type: "fail", index: Number(fail[1]), errno: Number(fail[2]), detail: (fail[3] ?? "").trimEnd() };
  throw internal(`Cannot read the shim's report ${JSON.stringify(line.slice(0, 200))}`);
}

/** The usual words for the failures that users cause. Source: errno(3). */
const REASONS: Readonly<Record<string, string>> = {
  EPERM: "operation not permitted",
  ENOENT: "no such file or directory",
  ESRCH: "no such process",
  EIO: "input/output error",
  E2BIG: "argument list too long",
  ENOEXEC: "exec format error",
  EAGAIN: "resource temporarily unavailable",
  ENOMEM: "cannot allocate memory",
  EACCES: "permission denied",
  EBUSY: "device or resource busy",
  EEXIST: "file exists",
  ENODEV: "no such device",
  ENOTDIR: "not a directory",
  EISDIR: "is a directory",
  EINVAL: "invalid argument",
  ETXTBSY: "text file busy",
  ENOSPC: "no space left on device",
  EROFS: "read-only file system",
  ENAMETOOLONG: "file name too long",
  ENOSYS: "function not implemented",
  ELOOP: "too many levels of symbolic links",
};

/** Arguments that say what an operation was about; the rest is detail. */
const SUBJECTS: Readonly<Record<string, (args: readonly string[]) => string>> = {
  hook: ([, , , path]) => `${path}`,
  "console-socket": ([path]) => `${path}`,
  bind: ([source, target]) => `${source} to ${target}`,
  mount: ([type, , target]) => `${type} at ${target}`,
  overlay: ([target]) => `${target}`,
  layer: ([index]) => `${index}`,
  sysctl: ([name, value]) => `${name} to ${value}`,
  seccomp: () => "filter",
  env: () => "",
  caps: () => "",
};

function subjectOf([name, ...args]: Op): string {
  const subject = (SUBJECTS[name] ?? ((all) => all.slice(0, 1).join("")))(args);
  return subject === "" ? name : `${name} ${subject}`;
}

/** What went wrong, for people: an explanation of the shim stands for itself, an errno gets its operation. */
function failureText(op: Op, code: string, detail: string): string {
  const reason = REASONS[code] ?? code;
  if ((op[0] === "user" || op[0] === "hook") && detail !== "") return detail;
  if (op[0] === "exec" || op[0] === "find") return `exec: ${JSON.stringify(op[1] ?? "")}: ${detail || reason}`;
  return `Cannot ${subjectOf(op)}: ${reason}${detail === "" ? "" : ` (${detail})`}`;
}

/** @returns the failure of `plan`; an index outside of it means that the plan never began */
export function planError(plan: Plan, report: { index: number; errno: number; detail: string }): PlanError {
  const op = plan[report.index] ?? ["plan"];
  const code = errnoName(report.errno);
  return new PlanError(op, code, failureText(op, code, report.detail));
}

/** `CODE SIGNAL SECONDS NANOSECONDS`, as in the file `exit` and after the word `exit`. @returns undefined when it is not that */
export function parseExit(text: string): Exit | undefined {
  const match = /^(\d+) (\d+) (\d+) (\d+)\s*$/.exec(text);
  if (!match) return undefined;
  const [code = 0, signal = 0, seconds = 0, nanoseconds = 0] = match.slice(1).map(Number);
  const at = new Date(seconds * 1000 + Math.floor(nanoseconds / 1e6));
  return signal === 0 ? { code, at } : { code, signal, at };
}

/** `PID START`, START in clock ticks after boot: together they never name another process. @returns undefined when it is not that */
export function parsePid(text: string): { readonly pid: number; readonly start: string } | undefined {
  const match = /^(\d+) (\d+)\s*$/.exec(text);
  return match ? { pid: Number(match[1]), start: match[2] ?? "" } : undefined;
}
