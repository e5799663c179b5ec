/**
 * `bosun bench`: measures beside the rivals that are there, prints a table, draws a plot. As root.
 *
 *   bosun bench [BENCH…] [IMAGE…] [--rivals dockerd,dockerd-containerd,podman] [--tree DIR] [--folder DIR] [--plot FILE] [--rounds N]
 *
 * A word that is the name of no bench is an image: pull, load, save and push then take it, from its registry, rather than made-up ones.
 */

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setUp } from "../src/setup.ts";
import { apiBench } from "./api.bench.ts";
import { loadBench, saveBench } from "./archive.bench.ts";
import { commitBench, diffBench } from "./change.bench.ts";
import { Corpus, loadTiny } from "./corpus.ts";
import { crowdBench } from "./crowd.bench.ts";
import { Engines, type EnginesOptions, RIVALS } from "./engines.ts";
import { type Bench, type Row, table } from "./measure.ts";
import { networkBench } from "./network.bench.ts";
import { plot } from "./plot.ts";
import { pullBench } from "./pull.bench.ts";
import { pushBench } from "./push.bench.ts";
import { readBench } from "./read.bench.ts";
import { startBench } from "./start.bench.ts";
import { wasmBench } from "./wasm.bench.ts";

const BENCHES: readonly Bench[] = [
  ...[apiBench, startBench, pullBench, loadBench, saveBench, pushBench],
  ...[commitBench, diffBench, readBench, wasmBench, networkBench, crowdBench],
];
/** What people call them, too. */
const ALIASES: Readonly<Record<string, string>> = { unpack: "load" };

const SIGNALS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const;

/** Somebody wants the end: no engine and no container may stay. */
class Interrupted extends Error {
  constructor(readonly signal: keyof typeof SIGNALS) {
    super(`ended by ${signal}`);
  }
}

/** @returns what never resolves, and fails with Interrupted */
function interruption(): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => reject(new Interrupted(signal)));
  promise.catch(() => {}); // while nothing is measured
  return promise;
}

/** @returns the exit code */
export async function runBench(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      rivals: { type: "string", default: RIVALS.join() },
      tree: { type: "string" },
      folder: { type: "string" },
      plot: { type: "string" },
      rounds: { type: "string", default: "3" },
    },
  });
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`invalid --rounds ${values.rounds}: want 1 or more`);
  const words = positionals.map((word) => ALIASES[word] ?? word);
  const named = BENCHES.filter(({ name }) => words.includes(name));
  const images = words.filter((word) => !BENCHES.some(({ name }) => name === word));
  await setUp();
  const chosen = named.length > 0 ? named : BENCHES;
  const options = { folder: values.folder ?? tmpdir(), rivals: values.rivals.split(","), tree: values.tree, rounds };
  try {
    const { rows, names } = await measure(chosen, images, options);
    console.log(table(rows, names));
    if (values.plot !== undefined) await Bun.write(values.plot, plot(rows, names));
    return 0;
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    console.log(error.message);
    return 128 + SIGNALS[error.signal];
  }
}

interface MeasureOptions extends Pick<EnginesOptions, "folder" | "rivals" | "tree"> {
  readonly rounds: number;
}

/** @throws Interrupted; nothing is left then, either */
async function measure(
  chosen: readonly Bench[],
  images: readonly string[],
  { folder: parent, rivals, tree, rounds }: MeasureOptions,
): Promise<{ readonly rows: readonly Row[]; readonly names: readonly string[] }> {
  const interrupted = interruption();
  await using corpus = new Corpus(images);
  const names = new Set<string>();
  const rows: Row[] = [];
  for (const apart of [false, true]) {
    const benches = chosen.filter((bench) => (bench.apart ?? false) === apart);
    if (benches.length === 0) continue;
    const folder = mkdtempSync(join(parent, "bosun-bench-"));
    await using engines = await Engines.open({ folder, rivals, tree, apart });
    const measured = await loadTiny(engines.all, folder);
    for (const { name } of measured) names.add(name);
    for (const bench of benches)
      rows.push(...(await Promise.race([interrupted, bench.run(measured, { folder, corpus, rounds })])));
  }
  return { rows, names: [...names] };
}

if (import.meta.main) process.exitCode = await runBench(process.argv.slice(2));
