/**
 * The daemon's own log, one line per entry on stderr: logfmt-like text as dockerd writes it, or JSON (`--log-format json`).
 * Where it goes from there (a file, journald) is the service manager's affair.
 */

export const LEVELS = ["debug", "info", "warn", "error", "fatal"] as const;
export type Level = (typeof LEVELS)[number];
export type Fields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}

const quoted = (value: unknown): string => {
  const text =
    value instanceof Error ? value.message : typeof value === "object" ? JSON.stringify(value) : String(value);
  return /^[\w.:/@+-]+$/.test(text) ? text : JSON.stringify(text);
};

const textLine = (entry: Fields): string =>
  Object.entries(entry)
    .map(([key, value]) => `${key}=${quoted(value)}`)
    .join(" ");

const jsonLine = (entry: Fields): string =>
  JSON.stringify(entry, (_, value: unknown) => (value instanceof Error ? value.message : value));

/**
 * @param level   the least severe level that is written
 * @param format  `text` or `json`
 * @param write   receives one line, newline included
 */
export function createLogger(
  level: Level,
  format: "text" | "json",
  write: (line: string) => void = (line) => process.stderr.write(line),
): Logger {
  const threshold = LEVELS.indexOf(level);
  const render = format === "json" ? jsonLine : textLine;
  const at =
    (own: Level) =>
    (message: string, fields: Fields = {}): void => {
      if (LEVELS.indexOf(own) < threshold) return;
      write(`${render({ time: new Date().toISOString(), level: own, msg: message, ...fields })}\n`);
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };
