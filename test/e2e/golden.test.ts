/**
 * Our answers beside those of a real dockerd 28.5 (test/golden, recorded by test/support/record-shapes.ts): the same status, no key missing, no type
 * different, and the words of errors, which programs match. What differs on purpose is listed, with a reason; a listed difference that is gone fails.
 */

import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openCgroups } from "../../src/runtime/cgroup.ts";
import { e2e } from "../support/e2e.ts";
import { asking, GOLDEN } from "../support/record-shapes.ts";
import { type Answered, type Answers, Questions } from "../support/shape-questions.ts";
import { differences } from "../support/shapes.ts";

/** By `topic: question: difference`; each line a reason. */
const ALLOWED: ReadonlyMap<string, string> = new Map([
  [
    "errors: disconnection of a stranger: 403 container <id> is not connected to network shape, want 500 container <id> is not connected to network shape",
    "a client's mistake",
  ],
  [
    "errors: wrong bind: 400 invalid volume specification: 'a:b:c:d', want 500 invalid volume specification: 'a:b:c:d'",
    "a client's mistake",
  ],
  ["system: info: Containerd: missing", "there is none"],
  ["system: info: Runtimes.*.status: missing", "what runc can do; ours is no other program"],
]);

/** The golden answers are of a machine with them; the other generation counts other things. */
const hasFirstCgroups = openCgroups().version === 1;

const golden = (): Answers =>
  Object.fromEntries(
    readdirSync(GOLDEN).map((file) => [
      file.replace(".json", ""),
      JSON.parse(readFileSync(join(GOLDEN, file), "utf8")),
    ]),
  );

function compared(wanted: Answered, given: Answered | undefined): readonly string[] {
  if (!given) return ["not asked"];
  if (wanted.status !== given.status)
    return [`${given.status} ${given.message ?? ""}, want ${wanted.status} ${wanted.message ?? ""}`];
  if (wanted.message !== given.message) return [`${given.message}, want ${wanted.message}`];
  return wanted.shape === undefined || given.shape === undefined ? [] : differences(wanted.shape, given.shape);
}

function allDifferences(wanted: Answers, given: Answers): readonly string[] {
  return Object.entries(wanted).flatMap(([topic, questions]) =>
    Object.entries(questions).flatMap(([name, answer]) =>
      compared(answer, given[topic]?.[name]).map((line) => `${topic}: ${name}: ${line}`),
    ),
  );
}

e2e("beside dockerd", (engine) => {
  test("answers have the shapes of its answers", async () => {
    const all = allDifferences(golden(), await new Questions(asking(engine.daemon.api)).all());
    const found = all.filter((line) => hasFirstCgroups || !line.startsWith("containers: stats"));
    expect(found.toSorted()).toEqual([...ALLOWED.keys()].toSorted());
  });
});
