/** The flags of a health check, as `run` has them. */

import { parseDuration } from "../base/duration.ts";
import { type Flags, type Specs, UsageError } from "./flags.ts";

export const HEALTH_FLAGS: Specs = {
  "health-cmd": { kind: "text", help: "Command to run to check health" },
  "health-interval": { kind: "text", help: "Time between running the check (ms|s|m|h) (default 0s)" },
  "health-retries": { kind: "text", help: "Consecutive failures needed to report unhealthy" },
  "health-start-interval": {
    kind: "text",
    help: "Time between running the check during the start period (ms|s|m|h) (default 0s)",
  },
  "health-start-period": { kind: "text", help: "Start period for the container to initialize (ms|s|m|h) (default 0s)" },
  "health-timeout": { kind: "text", help: "Maximum time to allow one check to run (ms|s|m|h) (default 0s)" },
  "no-healthcheck": { kind: "bool", help: "Disable any container-specified HEALTHCHECK" },
};

/** Nanoseconds. @throws UsageError */
function duration(flags: Flags, name: string): number | undefined {
  const text = flags.text(name);
  if (text === undefined) return undefined;
  const value = parseDuration(text);
  if (value === undefined)
    throw new UsageError(`invalid argument "${text}" for "--${name}" flag: time: invalid duration "${text}"`);
  if (value < 0) throw new UsageError(`--${name} cannot be negative`);
  return value;
}

/** @returns undefined when no flag speaks of health. @throws UsageError */
export function healthcheck(flags: Flags): object | undefined {
  const given = Object.keys(HEALTH_FLAGS).filter((name) => name !== "no-healthcheck" && flags.has(name));
  if (flags.on("no-healthcheck")) {
    if (given.length > 0) throw new UsageError("--no-healthcheck conflicts with --health-* options");
    return { Test: ["NONE"] };
  }
  if (given.length === 0) return undefined;
  const command = flags.text("health-cmd");
  return {
    ...(command && { Test: ["CMD-SHELL", command] }),
    Interval: duration(flags, "health-interval"),
    Timeout: duration(flags, "health-timeout"),
    StartPeriod: duration(flags, "health-start-period"),
    StartInterval: duration(flags, "health-start-interval"),
    Retries: flags.number("health-retries"),
  };
}
