/**
 * Measures, beside the rivals that are installed (dockerd and its docker client, podman), and prints a table. As root.
 *
 *   bun bench/run.ts [start] [api] [pull] [wasm] [--rivals dockerd,podman] [--folder DIR]
 */

import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setUp } from "../src/setup.ts";
import { apiBench } from "./api.bench.ts";
import { loadTiny } from "./corpus.ts";
import { closeEngines, openEngines } from "./engine.ts";
import { type Bench, type Row, table } from "./measure.ts";
import { pullBench } from "./pull.bench.ts";
import { startBench } from "./start.bench.ts";
import { wasmBench } from "./wasm.bench.ts";

const BENCHES: readonly Bench[] = [apiBench, startBench, pullBench, wasmBench];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rivals: { type: "string", default: "" }, folder: { type: "string" } },
});

await setUp();
const folder = values.folder ?? join(tmpdir(), `bosun-bench-${process.pid}`);
const engines = await openEngines(folder, values.rivals === "" ? [] : values.rivals.split(","));
try {
  const loaded = await loadTiny(engines, folder);
  const rows: Row[] = [];
  for (const bench of BENCHES.filter(({ name }) => positionals.length === 0 || positionals.includes(name)))
    rows.push(...(await bench.run(loaded, folder)));
  const names = loaded.map(({ name }) => name);
  console.log(table(rows, names));
} catch (error) {
  console.log(error);
  process.exitCode = 1;
} finally {
  await closeEngines(engines, folder);
}
