/** Spans of time as Go writes them: `300ms`, `1.5h`, `-1h30m`. Source: pkg.go.dev/time#ParseDuration. */

const NANOSECONDS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};
const PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;
const WHOLE = /^([+-]?)(?:0|((?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+))$/;

/** @returns nanoseconds; undefined when it is no duration */
export function parseDuration(text: string): number | undefined {
  const match = WHOLE.exec(text);
  if (!match) return undefined;
  const [, sign, parts = ""] = match;
  let total = 0;
  for (const [, count, unit = ""] of parts.matchAll(PART)) total += Number(count) * (NANOSECONDS[unit] ?? 0);
  return sign === "-" ? -total : total;
}
