import { describe, expect, test } from "bun:test";
import {
  beginning,
  type Check,
  checkHealthcheck,
  checkOf,
  type Health,
  mergeHealthcheck,
  type ProbeResult,
  pauseBefore,
  withResult,
} from "../../../src/container/health.ts";

const S = 1e9;
const STARTED = "2024-01-01T00:00:00.000Z";
const at = (seconds: number): string => new Date(Date.parse(STARTED) + seconds * 1000).toISOString();
const result = (exitCode: number, seconds = 100): ProbeResult => ({
  ...{ start: at(seconds), end: at(seconds + 1), exitCode, output: "" },
});
const CHECK: Check = {
  ...{ command: ["true"], intervalMs: 30_000, timeoutMs: 30_000, startPeriodMs: 0, startIntervalMs: 5000, retries: 3 },
};

describe("checkOf()", () => {
  test("checkOf() fills in the defaults", () => {
    expect(checkOf({ Test: ["CMD", "true"] })).toEqual(CHECK);
    expect(checkOf({ Test: ["CMD-SHELL", "a | b"], Interval: S, Retries: 1 })).toMatchObject({
      ...{ command: ["/bin/sh", "-c", "a | b"], intervalMs: 1000, retries: 1 },
    });
    expect(checkOf({ Test: ["CMD-SHELL", "a"] }, ["/bin/ash", "-c"])?.command).toEqual(["/bin/ash", "-c", "a"]);
  });

  test.each([[undefined], [{}], [{ Test: [] }], [{ Test: ["NONE"] }], [{ Test: ["CMD"] }], [{ Test: ["HTTP", "x"] }]])(
    "checkOf(%p) is no check",
    (healthcheck) => {
      expect(checkOf(healthcheck)).toBeUndefined();
    },
  );
});

test("mergeHealthcheck() takes from the image what the request leaves out", () => {
  const image = { Test: ["CMD", "a"], Interval: S, Retries: 5 };
  expect(mergeHealthcheck(image, undefined)).toEqual(image);
  expect(mergeHealthcheck(image, { Test: [], Interval: 2 * S, Retries: 0 })).toEqual({ ...image, Interval: 2 * S });
  expect(mergeHealthcheck(image, { Test: ["NONE"] })?.Test).toEqual(["NONE"]);
  expect(mergeHealthcheck(undefined, undefined)).toBeUndefined();
});

test.each<[check: object, words: string]>([
  [{ Interval: 10 }, "Interval in Healthcheck cannot be less than 1ms"],
  [{ Timeout: -1 }, "Timeout in Healthcheck cannot be less than 1ms"],
  [{ StartPeriod: 1 }, "StartPeriod in Healthcheck cannot be less than 1ms"],
  [{ StartInterval: 1 }, "StartInterval in Healthcheck cannot be less than 1ms"],
  [{ Retries: -1 }, "Retries in Healthcheck cannot be negative"],
])("checkHealthcheck(%p) throws %p", (check, words) => {
  expect(() => checkHealthcheck(check)).toThrow(words);
});

/** @param codes  of probes, one every 10 s. @returns status and streak after each */
function course(codes: readonly number[], check: Partial<Check> = {}): string[] {
  let health: Health = beginning(undefined);
  return codes.map((code, index) => {
    health = withResult(health, result(code, index * 10), { ...CHECK, ...check }, STARTED);
    return `${health.status} ${health.failingStreak}`;
  });
}

describe("withResult()", () => {
  test("withResult() is unhealthy after so many failures in a row, and healthy after one success", () => {
    expect(course([1, 1, 0, 1, 1, 1, 1, 0])).toEqual([
      ...["starting 1", "starting 2", "healthy 0", "healthy 1", "healthy 2", "unhealthy 3", "unhealthy 4", "healthy 0"],
    ]);
  });

  test("withResult() does not count failures in the start period, until the first success", () => {
    expect(course([1, 1, 1, 1], { startPeriodMs: 20_000, retries: 2 })).toEqual([
      ...["starting 0", "starting 0", "starting 1", "unhealthy 2"],
    ]);
    expect(course([0, 1, 1], { startPeriodMs: 60_000, retries: 2 })).toEqual(["healthy 0", "healthy 1", "unhealthy 2"]);
  });

  test("withResult() keeps five results", () => {
    let health = beginning(undefined);
    for (let code = 0; code < 9; code++) health = withResult(health, result(code), CHECK, STARTED);
    expect(health.log.map(({ exitCode }) => exitCode)).toEqual([4, 5, 6, 7, 8]);
  });
});

test.each<[seconds: number, log: readonly ProbeResult[], check: Partial<Check>, ms: number]>([
  [0, [], {}, 30_000],
  [10, [], {}, 20_000], // a daemon that comes later
  [500, [result(0, 100)], {}, 0],
  [110, [result(0, 100)], {}, 21_000],
  [0, [], { startPeriodMs: 60_000 }, 5000],
  [70, [], { startPeriodMs: 60_000 }, 0],
  [0, [result(0, -500)], {}, 30_000], // of the run before
])("pauseBefore() at second %d", (seconds, log, check, ms) => {
  const health = { ...beginning(undefined), log };
  expect(pauseBefore(health, { ...CHECK, ...check }, STARTED, Date.parse(at(seconds)))).toBe(ms);
});
