/** `docker top`: the host's ps, shown for the processes of one container. Source of the rules: Moby, daemon/top_unix.go. */

import { invalid, unavailable } from "../base/errors.ts";

export interface Processes {
  readonly titles: readonly string[];
  /** A row has a cell for each title; the last one may have blanks in it. */
  readonly rows: readonly (readonly string[])[];
}

/** A heading of the user's for the column that we look for: `-o pid=PROCESS`. */
const RENAMED_PID = /(^|[\s,])pid\s*=/i;

/** @throws invalid */
export function psWords(args: string): readonly string[] {
  if (RENAMED_PID.test(args)) throw invalid("specifying 'pid=' in ps arguments is not allowed");
  const words = args.split(/\s+/).filter((word) => word !== "");
  return words.length > 0 ? words : ["-ef"];
}

/** Pure. @param text  what ps says of all processes. @throws invalid when it has no column of pids */
export function parseProcesses(text: string, pids: ReadonlySet<number>): Processes {
  const [head = "", ...lines] = text.split("\n");
  const titles = head.trim().split(/\s+/);
  const at = titles.indexOf("PID");
  if (at < 0) throw invalid("Couldn't find PID field in ps output");
  const rows: string[][] = [];
  let isOurs = false;
  for (const line of lines) {
    const words = line.trim().split(/\s+/);
    if (words.length < titles.length) continue;
    const pid = words[at];
    // Threads, which have `-` there, belong to the process above them.
    if (pid !== "-") isOurs = pids.has(Number(pid));
    if (isOurs) rows.push([...words.slice(0, titles.length - 1), words.slice(titles.length - 1).join(" ")]);
  }
  return { titles, rows };
}

/** @throws invalid when ps refuses the arguments, unavailable when there is no ps */
export async function listProcesses(args: string, pids: readonly number[]): Promise<Processes> {
  const program = Bun.which("ps");
  if (!program) throw unavailable("Cannot list processes: ps is not installed on the host (Debian: procps)");
  const child = Bun.spawn([program, ...psWords(args)], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [text, complaint, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw invalid(`ps: ${complaint.trim().split("\n")[0] ?? `exit code ${code}`}`);
  return parseProcesses(text, new Set(pids));
}
