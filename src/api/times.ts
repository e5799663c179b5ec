/** Points in time as clients write them. Source: Docker Engine API; Moby, daemon/internal/timestamp. Pure. */

import { parseDuration } from "../base/duration.ts";
import { invalid } from "../base/errors.ts";

const nanoseconds = (seconds: number | string, fraction = ""): bigint =>
  BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0").slice(0, 9));

/** Seconds since 1970 with a fraction, as `1700000000.000000001`, or RFC 3339 → nanoseconds. @throws invalid */
export function parseTime(name: string, text: string | undefined): bigint | undefined {
  if (text === undefined || text === "") return undefined;
  const [, seconds, part] = /^(-?\d+)(?:\.(\d+))?$/.exec(text) ?? [];
  if (seconds !== undefined) return nanoseconds(seconds, part);
  const [, date, fraction, zone] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/i.exec(text) ?? [];
  const at = Date.parse(`${date}${zone}`);
  if (Number.isNaN(at)) throw invalid(`invalid value for ${JSON.stringify(name)}: ${JSON.stringify(text)}`);
  return nanoseconds(at / 1000, fraction);
}

/** Without a zone, and with less than a second: in the daemon's own zone. */
const LOCAL = /^\d{4}-\d\d-\d\d(T\d\d(:\d\d(:\d\d(\.\d+)?)?)?)?$/;

/**
 * As `parseTime`; also a duration, which is so long before `now`, and a date or time of the daemon's zone.
 * @param now  ms since 1970
 * @throws     invalid
 */
export function parseMoment(name: string, text: string, now: number): Date {
  const ago = parseDuration(text);
  if (ago !== undefined && !/^-?\d+$/.test(text)) return new Date(now - ago / 1e6);
  if (LOCAL.test(text)) {
    const [date = "", time = "00"] = text.split("T");
    const full = [...time.split(":"), "00", "00"].slice(0, 3).join(":");
    const at = new Date(`${date}T${full}`);
    if (!Number.isNaN(at.getTime())) return at;
  }
  return new Date(Number((parseTime(name, text) ?? 0n) / 1_000_000n));
}
