/** POST /bosun/fsck, which Docker does not have: what is wrong with the stores, a JSON object a line as it is found, and a line that sums up. */

import { Hono } from "hono";
import { messageOf } from "../base/errors.ts";
import type { Check, Problem } from "../base/finding.ts";
import { Exclusive } from "../base/lock.ts";
import { finished } from "../base/streams.ts";
import { type Env, flag } from "./context.ts";
import { jsonLines, streamError } from "./jsonl.ts";

interface Finding {
  readonly what: Problem["what"];
  readonly name: string;
  readonly detail: string;
  /** What was done; absent when nothing was. */
  readonly repaired?: string;
  /** Why nothing could be done. */
  readonly failed?: string;
  /** Whether something can be done. */
  readonly repairable: boolean;
}

async function settled({ what, name, detail, repair }: Problem, repairs: boolean): Promise<Finding> {
  const finding = { what, name, detail, repairable: repair !== undefined };
  if (!repairs || !repair) return finding;
  try {
    return { ...finding, repaired: await repair() };
  } catch (error) {
    return { ...finding, failed: messageOf(error) };
  }
}

/** `left`: how much is still wrong. */
async function* findings(checks: readonly Check[], full: boolean, repairs: boolean): AsyncGenerator<object> {
  let found = 0;
  let left = 0;
  for (const check of checks)
    for await (const problem of check({ full })) {
      const finding = await settled(problem, repairs);
      found++;
      if (finding.repaired === undefined) left++;
      yield finding;
    }
  yield { found, left };
}

/** @param checks  what depends on others first: containers before the images that they stand on */
export function fsckRouter(checks: readonly Check[]): Hono<Env> {
  const checking = new Exclusive("a check is already running");
  return new Hono<Env>().post("/bosun/fsck", (c) => {
    const hold = checking.hold();
    const lines = jsonLines(findings(checks, flag(c, "full"), flag(c, "repair")), "\n", streamError);
    const body = lines.body && finished(lines.body, () => hold[Symbol.dispose]());
    return new Response(body, lines);
  });
}
