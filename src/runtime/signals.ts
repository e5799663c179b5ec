/** Signals by name or number, as Docker takes them. Source: signal(7), linux/x86 and arm numbers; moby/sys/signal. */

import { constants } from "node:os";
import { invalid } from "../base/errors.ts";

const REALTIME_MIN = 34;
const REALTIME_MAX = 64;

function realtimeNumber(name: string): number | undefined {
  const match = /^RTM(IN|AX)(?:([+-])(\d+))?$/.exec(name);
  if (!match) return undefined;
  const offset = Number(match[3] ?? 0);
  const number = match[1] === "IN" ? REALTIME_MIN + offset : REALTIME_MAX - offset;
  const rightWay = match[2] === undefined || (match[1] === "IN") === (match[2] === "+");
  return rightWay && number >= REALTIME_MIN && number <= REALTIME_MAX ? number : undefined;
}

const NUMBERS = new Map(Object.entries(constants.signals).map(([name, number]) => [name.slice("SIG".length), number]));
for (const [name, number] of [
  ["CLD", 17],
  ["POLL", 29],
] as const)
  NUMBERS.set(name, number);

/**
 * @param text  `SIGTERM`, `term` or `15`
 * @throws invalid `invalid signal: …`
 */
export function signalNumber(text: string): number {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    if (number >= 1 && number <= REALTIME_MAX) return number;
    throw invalid(`invalid signal: ${text}`);
  }
  const name = text.toUpperCase().replace(/^SIG/, "");
  const number = NUMBERS.get(name) ?? realtimeNumber(name);
  if (number === undefined) throw invalid(`invalid signal: ${text}`);
  return number;
}
