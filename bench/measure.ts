/** Numbers that can be compared: engines take turns, the median of each counts, and a rival is a multiple of ours. */

import { readdirSync, readFileSync } from "node:fs";
import type { Corpus } from "./corpus.ts";
import type { Engine } from "./engine.ts";

/** What it was at, and what it was. */
export type Point = readonly [x: number, y: number];

export interface Row {
  readonly claim: string;
  readonly unit: string;
  /** What a quick run on an idle machine cannot go below, and why; empty when nobody knows. */
  readonly bound: string;
  readonly values: ReadonlyMap<string, number>;
  /** A rate, say: the larger the better. */
  readonly more?: true;
  /** How it came to that, for a curve. */
  readonly points?: ReadonlyMap<string, readonly Point[]>;
}

export interface Setting {
  /** Scratch, on the engines' disk. */
  readonly folder: string;
  readonly corpus: Corpus;
  /** How often what takes seconds is measured. */
  readonly rounds: number;
}

export interface Bench {
  readonly name: string;
  /** Each engine needs networks of its own. */
  readonly apart?: boolean;
  run(engines: readonly Engine[], setting: Setting): Promise<readonly Row[]>;
}

export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  const [low = Number.NaN, high = Number.NaN] = [sorted[(sorted.length - 1) >> 1], sorted[middle]];
  return (low + high) / 2;
}

/** Milliseconds of wall time. */
export async function wall(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

/**
 * One warm-up, then rounds in which every engine has its turn, the order turned round each time, so that a machine that slows down slows all of
 * them.
 * @returns the samples, by engine's name; an engine that fails is left out, with its reason on the terminal
 */
export async function samplesInTurns<T>(
  engines: readonly Engine[],
  rounds: number,
  sample: (engine: Engine, round: number) => Promise<T>,
): Promise<Map<string, readonly T[]>> {
  const samples = new Map<string, T[]>(engines.map(({ name }) => [name, []]));
  for (let round = -1; round < rounds; round++)
    for (const engine of round % 2 === 0 ? engines : engines.toReversed()) {
      const mine = samples.get(engine.name);
      if (!mine) continue;
      try {
        const value = await sample(engine, round);
        if (round >= 0) mine.push(value);
      } catch (error) {
        samples.delete(engine.name);
        console.log(`(${engine.name}: ${error instanceof Error ? error.message.trim() : error})`);
      }
    }
  return samples;
}

/** As samplesInTurns. @returns the medians, by engine's name */
export async function inTurns(
  engines: readonly Engine[],
  rounds: number,
  sample: (engine: Engine, round: number) => Promise<number>,
): Promise<Map<string, number>> {
  const samples = await samplesInTurns(engines, rounds, sample);
  return new Map([...samples].map(([name, values]) => [name, median(values)]));
}

/** @returns the engines that can do it; a failure is told on the terminal */
export async function able(engines: readonly Engine[], work: (engine: Engine) => Promise<unknown>): Promise<Engine[]> {
  const done: Engine[] = [];
  for (const engine of engines)
    await work(engine).then(
      () => done.push(engine),
      (error) => console.log(`(${engine.name}: ${error instanceof Error ? error.message.trim() : error})`),
    );
  return done;
}

/** Bytes. Proportional: a page that n processes share counts 1/n in each. Source: proc_pid_smaps(5). */
export const pss = (pid: number): number => fieldOf(`/proc/${pid}/smaps_rollup`, "Pss") * 1024;
/** Bytes; 0 when it has ended. */
export function rss(pid: number): number {
  try {
    return fieldOf(`/proc/${pid}/status`, "VmRSS") * 1024;
  } catch {
    return 0;
  }
}

const fieldOf = (path: string, name: string): number =>
  Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(readFileSync(path, "utf8"))?.[1] ?? 0);

/** A process and all that descend from it; none when it has ended. Threads have children of their own. */
export function descendants(pid: number): number[] {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const children = threads.flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").trim().split(" "),
    );
    return [pid, ...children.filter((child) => child !== "").flatMap((child) => descendants(Number(child)))];
  } catch {
    return [];
  }
}

/** Pids by their command line. */
export const pidsOf = (pattern: RegExp): number[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return pattern.test(readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0")[0] ?? "");
      } catch {
        return false; // it has ended
      }
    })
    .map(Number);

const shown = (value: number | undefined): string =>
  value === undefined ? "–" : value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

/** @returns how many times worse than ours an engine did; undefined when that cannot be told */
export function multiple({ values, more }: Row, ours: string, name: string): number | undefined {
  const [mine, other] = [values.get(ours), values.get(name)];
  if (mine === undefined || other === undefined || mine <= 0 || other <= 0) return undefined;
  return more ? mine / other : other / mine;
}

/** A row a claim; rivals with how many times worse than ours they do. */
export function table(rows: readonly Row[], names: readonly string[]): string {
  const cell = (row: Row, name: string): string => {
    const ratio = name === "bosun" ? undefined : multiple(row, "bosun", name);
    return shown(row.values.get(name)) + (ratio === undefined ? "" : ` (${ratio.toFixed(1)}x)`);
  };
  const lines = [
    ["claim", "unit", ...names, "bound"],
    ...rows.map((row) => [row.claim, row.unit, ...names.map((name) => cell(row, name)), row.bound]),
  ];
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
  return lines
    .map((line) => `| ${line.map((text, column) => text.padEnd(widths[column] ?? 0)).join(" | ")} |`)
    .join("\n");
}
