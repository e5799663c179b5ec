/** Telling what went wrong as runc does: callers read the last error from the file that they name. Source: runc(8), `--log`; logrus. */

import { appendFileSync, writeSync } from "node:fs";

export interface Log {
  error(message: string): void;
  warn(message: string): void;
  debug(message: string): void;
}

const rfc3339 = (): string => new Date().toISOString().replace(/\.\d+Z$/, "Z");

function line(format: string, level: string, msg: string): string {
  const time = rfc3339();
  return format === "json"
    ? `${JSON.stringify({ level, msg, time })}\n`
    : `time=${JSON.stringify(time)} level=${level} msg=${JSON.stringify(msg)}\n`;
}

/**
 * @param path    a file that grows; undefined for stderr, which hears of errors in any case
 * @param format  `text` or `json`
 */
export function openLog(path: string | undefined, format: string, debugging: boolean): Log {
  const write = (level: string, message: string) => {
    const text = line(format, level, message);
    if (path === undefined) writeSync(2, text);
    else appendFileSync(path, text, { mode: 0o644 });
  };
  return {
    error(message) {
      write("error", message);
      if (path !== undefined) writeSync(2, `${message}\n`);
    },
    warn: (message) => write("warning", message),
    debug: (message) => (debugging ? write("debug", message) : undefined),
  };
}
