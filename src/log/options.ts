/**
 * Options of log drivers, as Docker spells and checks them. Source: Moby, daemon/logger: factory.go, loggerutils/cache/validate.go and the
 * drivers' own validators.
 */

import { invalid } from "../base/errors.ts";
import { parseBytes } from "../base/units.ts";

export type LogOptions = Readonly<Record<string, string>>;

/** @returns bytes of `10m`. @throws invalid */
export function bytesOption(name: string, text: string): number {
  const [, digits, unit = ""] = /^(\d+)([kmgt]?)b?$/i.exec(text) ?? [];
  if (digits === undefined) throw invalid(`invalid value for log option ${name}: ${JSON.stringify(text)}`);
  return Number(digits) * 1024 ** " kmgt".indexOf(unit.toLowerCase() || " ");
}

/** As Go's strconv.ParseBool. @throws invalid */
export function boolOption(name: string, text: string | undefined, fallback: boolean): boolean {
  if (text === undefined || text === "") return fallback;
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
  throw invalid(`invalid value for log option ${name}: ${JSON.stringify(text)}`);
}

/** A whole number, not negative. @throws invalid */
export function countOption(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined || text === "") return fallback;
  if (!/^\d{1,15}$/.test(text)) throw invalid(`invalid value for log option ${name}: ${JSON.stringify(text)}`);
  return Number(text);
}

/** @throws invalid */
export function refuseUnknown(driver: string, options: LogOptions, known: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) throw invalid(`unknown log opt '${unknown}' for ${driver} log driver`);
}

/** Those of the file that a driver without a log to read keeps beside; every driver takes them, since a daemon's defaults are for all. */
const CACHE_OPTIONS = ["cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];

/** Whether an option is taken by every driver, and so given on from the daemon's defaults to containers with another driver. */
export const isCacheOption = (name: string): boolean => CACHE_OPTIONS.includes(name);

const COMMON_OPTIONS = ["mode", "max-buffer-size", ...CACHE_OPTIONS];

/**
 * The options that all drivers have. `mode` and `max-buffer-size` say whether a container may wait for its log, and how much may wait in
 * memory instead: here none ever waits for a collector and nothing waits in memory, since what is sent on comes from a file. So both modes
 * are the same, and there is no buffer to limit.
 * @returns the driver's own. @throws invalid
 */
export function ownOptions(options: LogOptions): LogOptions {
  const { mode = "", "max-buffer-size": buffer } = options;
  if (!["", "blocking", "non-blocking"].includes(mode)) throw invalid(`logger: logging mode not supported: ${mode}`);
  if (buffer !== undefined) {
    if (mode !== "non-blocking")
      throw invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
    parseBytes(buffer);
  }
  const { "cache-disabled": disabled = "" } = options;
  if (!/^(|1|t|true|0|f|false)$/i.test(disabled)) throw invalid(`invalid value for option cache-disabled: ${disabled}`);
  return Object.fromEntries(Object.entries(options).filter(([name]) => !COMMON_OPTIONS.includes(name)));
}
