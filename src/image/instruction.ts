/**
 * Lines of a Dockerfile as instructions: continued lines joined, comments left out, arguments taken apart. Pure.
 * Source: Dockerfile reference, "Format", "Shell and exec form", "HEALTHCHECK", "ENV".
 */

import { parseDuration } from "../base/duration.ts";
import { invalid } from "../base/errors.ts";
import { splitWords } from "./shell-words.ts";

export interface Instruction {
  /** In upper case. */
  readonly name: string;
  /** What follows it, without white space around. */
  readonly text: string;
}

/** @param text  one or more lines. @throws invalid for a name without anything after it */
export function parseInstructions(text: string): readonly Instruction[] {
  const instructions: Instruction[] = [];
  let line = "";
  for (const part of [...text.split(/\r?\n/), ""]) {
    if (/^\s*#/.test(part)) continue;
    const continued = /\\[ \t]*$/.test(part);
    line += continued ? part.replace(/\\[ \t]*$/, "") : part;
    if (continued && part !== "") continue;
    const [, name, rest = ""] = /^\s*(\S+)\s*(.*?)\s*$/s.exec(line) ?? [];
    if (name !== undefined) instructions.push({ name: name.toUpperCase(), text: rest });
    line = "";
  }
  return instructions;
}

/** `["a", "b"]`, the exec form. @returns undefined for anything else */
export function parseExecForm(text: string): readonly string[] | undefined {
  if (!text.startsWith("[")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    const isWords = (given: unknown): given is string[] =>
      Array.isArray(given) && given.every((word) => typeof word === "string");
    return isWords(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The exec form, or words between white space. */
export const parseList = (text: string): readonly string[] =>
  parseExecForm(text) ?? text.split(/\s+/).filter((word) => word !== "");

/**
 * `a=b "c"=d`, or in the old form one name and then its value.
 * @returns names and values, both still with quotes and variables. @throws invalid
 */
export function parsePairs(instruction: string, text: string): readonly (readonly [name: string, value: string])[] {
  const words = splitWords(text);
  const [first] = words;
  if (first === undefined) throw invalid(`${instruction} requires at least one argument`);
  if (!first.includes("=")) {
    const [, name = "", value = ""] = /^(\S+)\s+(.*)$/s.exec(text) ?? [];
    if (name === "") throw invalid(`${instruction} must have two arguments`);
    return [[name, value]];
  }
  return words.map((word) => {
    const at = word.indexOf("=");
    if (at < 0)
      throw invalid(`Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`);
    if (at === 0) throw invalid(`${instruction} names can not be blank`);
    return [word.slice(0, at), word.slice(at + 1)];
  });
}

export interface HealthcheckLine {
  /** `NONE`, or `CMD` with what it runs. */
  readonly type: "NONE" | "CMD";
  readonly command: string;
  /** Nanoseconds; 0 for the default. */
  readonly interval: number;
  readonly timeout: number;
  readonly startPeriod: number;
  readonly startInterval: number;
  readonly retries: number;
}

const FLAG = /^--([a-z-]+)=(\S*)\s*/;
const TIMES = ["interval", "timeout", "start-period", "start-interval"];
const SHORTEST_NS = 1e6;

function spanOf(name: string, text: string): number {
  const span = parseDuration(text);
  if (span === undefined) throw invalid(`time: invalid duration ${JSON.stringify(text)}`);
  if (span !== 0 && span < SHORTEST_NS) throw invalid(`Interval ${JSON.stringify(name)} cannot be less than 1ms`);
  return span;
}

/** @throws invalid */
export function parseHealthcheck(text: string): HealthcheckLine {
  const flags = new Map<string, string>();
  let rest = text;
  for (let match = FLAG.exec(rest); match; match = FLAG.exec(rest)) {
    const [all, name = "", value = ""] = match;
    if (![...TIMES, "retries"].includes(name)) throw invalid(`unknown flag: ${name}`);
    flags.set(name, value);
    rest = rest.slice(all.length);
  }
  const [, word = "", command = ""] = /^(\S*)\s*(.*)$/s.exec(rest) ?? [];
  const type = word.toUpperCase();
  if (type !== "NONE" && type !== "CMD") throw invalid(`Unknown type ${JSON.stringify(type)} in HEALTHCHECK (try CMD)`);
  if (type === "NONE" && command !== "") throw invalid("HEALTHCHECK NONE takes no arguments");
  if (type === "CMD" && command === "") throw invalid("Missing command after HEALTHCHECK CMD");
  const time = (name: string) => spanOf(name, flags.get(name) ?? "0");
  const retries = flags.get("retries") ?? "0";
  if (!/^\d{1,9}$/.test(retries)) throw invalid(`--retries must be at least 0 (not ${retries})`);
  return {
    type,
    command,
    interval: time("interval"),
    timeout: time("timeout"),
    startPeriod: time("start-period"),
    startInterval: time("start-interval"),
    retries: Number(retries),
  };
}
