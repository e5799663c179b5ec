/** What an operation costs an engine and its client together: time, processor, memory. */

import { readFileSync } from "node:fs";
import { type Engine, finish } from "./engine.ts";
import { descendants, median, type Row, rss, samplesInTurns } from "./measure.ts";

export interface Cost {
  readonly wallS: number;
  /** Of the daemon's processes and the client. */
  readonly cpuS: number;
  /** The most that the daemon's processes had at once, or the client where there is no daemon. */
  readonly peakRssMiB: number;
}

/** Of USER_HZ, which is 100 on every architecture. Source: proc_pid_stat(5). */
const TICK_S = 0.01;
const SAMPLE_MS = 20;

/** Seconds of processor of processes and of those that they have waited for. */
function cpuOf(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    for (const field of fields.slice(11, 15)) ticks += Number(field); // utime stime cutime cstime
  }
  return ticks * TICK_S;
}

const rssOf = (pids: readonly number[]): number => pids.reduce((sum, pid) => sum + rss(pid), 0);

/** Runs the engine's command and counts. @throws Error when it fails */
export async function cost(engine: Engine, ...args: string[]): Promise<Cost> {
  const { pids } = engine;
  let client = 0;
  let peak = rssOf(pids);
  const sampling = setInterval(() => {
    peak = Math.max(peak, rssOf(pids.length > 0 ? pids : descendants(client)));
  }, SAMPLE_MS);
  try {
    const [cpuBefore, started] = [cpuOf(pids), performance.now()];
    const { cpuS } = await finish(engine, args, (pid) => {
      client = pid;
    });
    const wallS = (performance.now() - started) / 1000;
    return { wallS, cpuS: cpuS + cpuOf(pids) - cpuBefore, peakRssMiB: peak / 2 ** 20 };
  } finally {
    clearInterval(sampling);
  }
}

export interface Measurement {
  readonly claim: string;
  readonly bound: string;
  readonly rounds: number;
  /** Also prepares before and cleans up after; only what it passes to `cost` counts. */
  readonly sample: (engine: Engine, round: number) => Promise<Cost>;
}

/** @returns a row for each kind of cost */
export async function costRows(engines: readonly Engine[], measurement: Measurement): Promise<readonly Row[]> {
  const { claim, bound, rounds, sample } = measurement;
  const samples = await samplesInTurns(engines, rounds, sample);
  const row = (what: string, unit: string, of: (cost: Cost) => number): Row => ({
    claim: claim + what,
    unit,
    bound: what === "" ? bound : "",
    values: new Map([...samples].map(([name, costs]) => [name, median(costs.map(of))])),
  });
  return [
    row("", "s", ({ wallS }) => wallS),
    row(", CPU", "s", ({ cpuS }) => cpuS),
    row(", peak RSS", "MiB", ({ peakRssMiB }) => peakRssMiB),
  ];
}
