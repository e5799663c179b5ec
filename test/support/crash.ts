/** kill -9 of a daemon at instants of an operation, and what has to hold after each. */

import { expect } from "bun:test";
import { type Api, Refusal } from "./api.ts";
import { errorsIn, lastingContradictions } from "./audit.ts";
import { INSTANTS, instantOf, pass } from "./instants.ts";

export interface Operation {
  /** What has to be there before. */
  readonly before?: () => Promise<unknown>;
  /** What is interrupted. */
  readonly act: () => Promise<unknown>;
  /** Done by the next daemon, in any state that the first one left. Unless given: everything once more, from the beginning. */
  readonly again?: () => Promise<unknown>;
  /** What else has to hold then. */
  readonly judge?: () => Promise<void>;
}

/** Lets pass what a client gets whose daemon is killed, or who comes too late. */
export function interrupted(error: unknown): void {
  const isKilled = error instanceof Error && "code" in error && /^(ECONN|Connection|FailedTo)/.test(String(error.code));
  if (!isKilled && !(error instanceof Refusal)) throw error;
}

export interface Surroundings {
  /** Takes away what an operation has made. */
  readonly tidy: () => Promise<unknown>;
  /** After every kill. @param when  for messages */
  readonly check: (when: string) => Promise<void>;
  readonly rounds?: number;
}

/** How long it takes, ms, when nobody is in its way. */
async function timed({ before, act, again }: Operation, tidy: Surroundings["tidy"]): Promise<number> {
  await before?.();
  const began = performance.now();
  await act();
  const took = performance.now() - began;
  await tidy();
  await again?.();
  return took;
}

async function repeat({ before, act, again }: Operation, tidy: Surroundings["tidy"]): Promise<void> {
  if (again) await again();
  else {
    await tidy();
    await before?.();
    await act();
  }
  await tidy();
}

/** An operation whose daemon dies at instants that are spread over it. */
export async function killedAtInstants(
  api: Api,
  operation: Operation,
  { tidy, check, rounds = INSTANTS }: Surroundings,
): Promise<void> {
  const took = await timed(operation, tidy);
  for (let round = 0; round < rounds; round++) {
    await operation.before?.();
    const instant = instantOf(round, took, rounds);
    const acting = operation.act().catch(interrupted);
    await pass(instant);
    await api.daemon.stop("SIGKILL");
    await acting;
    await api.daemon.launch();
    const when = `killed after ${instant.toFixed(2)} of ${took.toFixed(2)} ms`;
    expect([when, await lastingContradictions(api.daemon)]).toEqual([when, []]);
    await operation.judge?.();
    await check(when);
    await repeat(operation, tidy);
    expect([when, await lastingContradictions(api.daemon)]).toEqual([when, []]);
    expect([when, errorsIn(api.daemon.log)]).toEqual([when, []]);
  }
}
