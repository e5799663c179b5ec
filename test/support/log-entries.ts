/** Logs of the tests' own: numbered lines, a nanosecond apart. */

import type { LogEntry, LogSubject } from "../../src/log/driver.ts";

export const timeOf = (number: number): string => `2024-01-02T03:04:05.${String(number).padStart(9, "0")}Z`;

export const entryOf = (number: number, more: Partial<LogEntry> = {}): LogEntry => ({
  stream: "stdout",
  time: timeOf(number),
  line: `line ${number}\n`,
  ...more,
});

/** As the shim writes it. */
export const lineOf = (number: number): string =>
  `${JSON.stringify({ log: `line ${number}\n`, stream: "stdout", time: timeOf(number) })}\n`;

export const linesOf = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, at) => lineOf(from + at)).join("");

export const numbersOf = (entries: readonly LogEntry[]): number[] =>
  entries.map(({ line }) => Number(/^line (\d+)\n$/.exec(line)?.[1]));

export const range = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => from + at);

export const SUBJECT: LogSubject = {
  id: "ab".repeat(32),
  name: "web",
  image: "nginx:1",
  imageId: `sha256:${"cd".repeat(32)}`,
  labels: { tier: "front" },
  env: ["MODE=a=b"],
  command: ["nginx", "-g", "daemon off;"],
  created: timeOf(0),
};
