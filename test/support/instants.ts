/** Instants that are spread over an operation, at random within each part of it, from a seed: BOSUN_CRASH_SEED and BOSUN_CRASH_COUNT give other ones, and more. */

/** How many there are in an operation. */
export const INSTANTS = Number(process.env.BOSUN_CRASH_COUNT ?? 8);

let seed = Number(process.env.BOSUN_CRASH_SEED ?? 1);

/** Numerical Recipes' generator: enough to choose instants with. @returns 0 to 1 */
function random(): number {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
}

/** @param took  ms, of the operation when nobody is in its way. @returns ms after its beginning, some of them after its end */
export const instantOf = (round: number, took: number, count = INSTANTS): number =>
  ((round + random()) / count) * (took * 1.4 + 2);

/** Timers come by the millisecond; whole operations take two. */
export async function pass(ms: number): Promise<void> {
  const end = performance.now() + ms;
  while (performance.now() < end) await new Promise((resolve) => setImmediate(resolve));
}
