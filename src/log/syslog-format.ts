/**
 * Messages of syslog. Pure. Source: RFC 3164, RFC 5424, RFC 5425 (the length before a message, with TLS); Docker's documentation of `syslog-format`;
 * what stands where, as Moby's srslog writes it.
 */

import { hostname } from "node:os";
import { invalid } from "../base/errors.ts";
import type { LogEntry } from "./driver.ts";

/** @returns a message, with its newline, and its length before it where the transport wants that */
export type SyslogFormat = (entry: LogEntry) => Buffer;

export interface SyslogSource {
  /** 0 to 23. */
  readonly facility: number;
  readonly tag: string;
  readonly isSecure: boolean;
}

const FACILITIES: readonly string[] = [
  ...["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"],
  ...["", "", "", ""], // have no name with Docker
  ...["local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"],
];
const DAEMON = 3;

/** By name or number. @throws invalid */
export function facilityOf(text: string | undefined): number {
  if (!text) return DAEMON;
  const named = FACILITIES.indexOf(text);
  if (named >= 0) return named;
  if (/^\d{1,2}$/.test(text) && Number(text) < FACILITIES.length) return Number(text);
  throw invalid("invalid syslog facility");
}

const SEVERITY = { stdout: 6, stderr: 3 } as const;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (number: number): string => String(number).padStart(2, "0");

/** `Jan  2 15:04:05`, in this host's time zone, as RFC 3164, 4.1.2 has it. */
function stamp(time: string): string {
  const at = new Date(time);
  const day = String(at.getDate()).padStart(2, " ");
  return `${MONTHS[at.getMonth()]} ${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

const secondsOf = (time: string): string => time.replace(/\.\d+/, "");

/** Six digits of a second always. */
const microsecondsOf = (time: string): string => {
  const fraction = /\.(\d+)/.exec(time)?.[1] ?? "";
  return secondsOf(time).replace(/Z$/, `.${fraction.padEnd(6, "0").slice(0, 6)}Z`);
};

type Render = (priority: number, time: string, tag: string, text: string) => string;

const ietf =
  (timeOf: (time: string) => string): Render =>
  (priority, time, tag, text) =>
    `<${priority}>1 ${timeOf(time)} ${hostname()} ${tag} ${process.pid} ${tag} - ${text}`;

const FORMATS: Readonly<Record<string, Render>> = {
  "": (priority, time, tag, text) => `<${priority}>${stamp(time)} ${tag}[${process.pid}]: ${text}`,
  rfc3164: (priority, time, tag, text) => `<${priority}>${stamp(time)} ${hostname()} ${tag}[${process.pid}]: ${text}`,
  rfc5424: ietf(secondsOf),
  rfc5424micro: ietf(microsecondsOf),
};

/** @param name  of the format; undefined for that of a syslog daemon of this host. @throws invalid */
export function formatOf(name: string | undefined, { facility, tag, isSecure }: SyslogSource): SyslogFormat {
  const render = Object.hasOwn(FORMATS, name ?? "") ? FORMATS[name ?? ""] : undefined;
  if (!render) throw invalid("Invalid syslog format");
  const isCounted = isSecure && /^rfc5424/.test(name ?? "");
  return ({ stream, time, line }) => {
    const text = line.replace(/\n$/, "");
    const message = Buffer.from(`${render(facility * 8 + SEVERITY[stream], time, tag, text)}\n`);
    return isCounted ? Buffer.concat([Buffer.from(`${message.length} `), message]) : message;
  };
}
