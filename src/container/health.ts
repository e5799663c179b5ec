/**
 * Health checks: what a check is, and what its results make of a container. Pure.
 * Source of the rules: Dockerfile reference, HEALTHCHECK; Docker Engine API, HealthConfig; Moby, daemon/health.go.
 */

import { invalid } from "../base/errors.ts";
import type { Healthcheck } from "../base/oci.ts";

export interface ProbeResult {
  /** ISO 8601. */
  readonly start: string;
  readonly end: string;
  /** -1 when it took too long, or could not be run. */
  readonly exitCode: number;
  readonly output: string;
}

export interface Health {
  readonly status: "starting" | "healthy" | "unhealthy";
  /** Failures in a row that count. */
  readonly failingStreak: number;
  /** The last five, the newest last. */
  readonly log: readonly ProbeResult[];
}

/** A check with all of its defaults; times in ms. */
export interface Check {
  readonly command: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

const KEPT = 5;
const DEFAULTS = { intervalMs: 30_000, timeoutMs: 30_000, startIntervalMs: 5000, retries: 3 } as const;
const NS_PER_MS = 1e6;

/** @throws invalid in Docker's words */
export function checkHealthcheck(check: Healthcheck): Healthcheck {
  for (const name of ["Interval", "Timeout", "StartPeriod", "StartInterval"] as const) {
    const value = check[name] ?? 0;
    if (value !== 0 && value < NS_PER_MS) throw invalid(`${name} in Healthcheck cannot be less than 1ms`);
  }
  if ((check.Retries ?? 0) < 0) throw invalid("Retries in Healthcheck cannot be negative");
  return check;
}

const set = (check: Healthcheck | undefined): Healthcheck =>
  Object.fromEntries(Object.entries(check ?? {}).filter(([, value]) => value !== 0 && value?.length !== 0));

/** What a request leaves out, or gives as zero, comes from the image. */
export function mergeHealthcheck(
  image: Healthcheck | undefined,
  request: Healthcheck | undefined,
): Healthcheck | undefined {
  const merged = { ...set(image), ...set(request) };
  return Object.keys(merged).length > 0 ? merged : undefined;
}

/** @param shell  of CMD-SHELL. @returns undefined when there is nothing to check, or in a way that nobody knows */
export function checkOf(
  healthcheck: Healthcheck | undefined,
  shell: readonly string[] = ["/bin/sh", "-c"],
): Check | undefined {
  const [kind, ...words] = healthcheck?.Test ?? [];
  if (healthcheck === undefined || words.length === 0 || (kind !== "CMD" && kind !== "CMD-SHELL")) return undefined;
  const ms = (ns: number | undefined) => (ns ?? 0) / NS_PER_MS;
  return {
    command: kind === "CMD" ? words : [...shell, ...words],
    intervalMs: ms(healthcheck.Interval) || DEFAULTS.intervalMs,
    timeoutMs: ms(healthcheck.Timeout) || DEFAULTS.timeoutMs,
    startPeriodMs: ms(healthcheck.StartPeriod),
    startIntervalMs: ms(healthcheck.StartInterval) || DEFAULTS.startIntervalMs,
    retries: healthcheck.Retries || DEFAULTS.retries,
  };
}

/** Of a container that has just started. */
export const beginning = (before: Health | undefined): Health => ({
  status: "starting",
  failingStreak: 0,
  log: before?.log ?? [],
});

const isStarting = (health: Health, { startPeriodMs }: Check, startedAt: string, now: number): boolean =>
  health.status === "starting" && now - Date.parse(startedAt) < startPeriodMs;

/** A failure while the container starts does not count. */
export function withResult(health: Health, result: ProbeResult, check: Check, startedAt: string): Health {
  const log = [...health.log, result].slice(-KEPT);
  if (result.exitCode === 0) return { status: "healthy", failingStreak: 0, log };
  if (isStarting(health, check, startedAt, Date.parse(result.start))) return { ...health, log };
  const failingStreak = health.failingStreak + 1;
  return { status: failingStreak >= check.retries ? "unhealthy" : health.status, failingStreak, log };
}

/** @returns ms until the next probe: counted from the last one's end, also when a daemon before this one saw that */
export function pauseBefore(health: Health, check: Check, startedAt: string, now: number): number {
  const pause = isStarting(health, check, startedAt, now) ? check.startIntervalMs : check.intervalMs;
  const last = Date.parse(health.log.at(-1)?.end ?? startedAt);
  return Math.max(0, Math.min(pause, Math.max(last, Date.parse(startedAt)) + pause - now));
}
