/**
 * The layer engine: what the component's boundary costs beside the core module, and how fast its parts are. One process, no daemon; the rows that go
 * through the docker command are at the end.
 */

import { randomBytes } from "node:crypto";
import { library } from "../src/base/library.ts";
import { erofsOf } from "../src/wasm/erofs.ts";
import { NativeHasher, WasmHasher } from "../src/wasm/hasher.ts";
import { type Core, openCore } from "../src/wasm/module.ts";
import { TarReader } from "../src/wasm/tar.ts";
import { TINY } from "./corpus.ts";
import { type Engine, run } from "./engine.ts";
import { openLayer } from "./fixture/component.ts";
import { file, tarOf } from "./fixture/tar.ts";
import { enter, leaf, leave, recordOf } from "./fixture/walk.ts";
import { type Bench, inTurns, median, type Row, wall } from "./measure.ts";

const ROUNDS = 5;
const MIB = 1 << 20;

/** @returns the median of what `work` is worth per second: `amount` over its time */
async function perSecond(amount: number, work: () => unknown): Promise<number> {
  const samples: number[] = [];
  for (let round = -1; round < ROUNDS; round++) {
    const ms = await wall(async () => work());
    if (round >= 0) samples.push((amount / ms) * 1000);
  }
  return median(samples);
}

const row = (claim: string, unit: string, value: number, bound = ""): Row => ({
  claim,
  unit,
  bound,
  values: new Map([["bosun", value]]),
});

const LIMITS = { entries: 4_000_000, path: 4095, meta: MIB, salt: 1n };
/** 20,000 entries, most of them small. */
const TAR = tarOf(...Array.from({ length: 20_000 }, (_, i) => file(`d${i % 200}/f${i}`, "x".repeat((i * 37) % 2000))));

function eachChunk(bytes: Uint8Array, size: number, use: (chunk: Uint8Array) => void): void {
  for (let at = 0; at < bytes.length; at += size) use(bytes.subarray(at, at + size));
}

/** The same tar through the core module and through the component: the difference is the boundary. */
async function boundary(): Promise<Row[]> {
  const rows: Row[] = [];
  const megabytes = TAR.length / 1e6;
  for (const [name, size] of [
    ["4 KiB", 4096],
    ["64 KiB", 65_536],
    ["1 MiB", MIB],
  ] as const) {
    const core = await perSecond(megabytes, async () => {
      const reader = await TarReader.open();
      eachChunk(TAR, size, (chunk) => reader.write(chunk));
      reader.finish();
      erofsOf(reader);
    });
    const component = await perSecond(megabytes, async () => {
      const { index } = await openLayer();
      index.begin(LIMITS);
      eachChunk(TAR, size, (chunk) => index.write(chunk));
      index.finish("erofs");
    });
    rows.push(row(`index a tar in chunks of ${name}, core module`, "MB/s", core, "one copy into the engine"));
    rows.push(row(`index a tar in chunks of ${name}, component`, "MB/s", component));
  }
  return rows;
}

async function checksums(): Promise<Row[]> {
  const bytes = randomBytes(64 * MIB);
  const megabytes = bytes.length / 1e6;
  const core = await openCore();
  const through = (use: (length: number) => unknown) => () =>
    eachChunk(bytes, MIB, (chunk) => {
      new Uint8Array(core.memory.buffer).set(chunk, core.input());
      use(chunk.length);
    });
  const hashed = (open: () => NativeHasher | WasmHasher) => () => {
    const hasher = open();
    eachChunk(bytes, MIB, (chunk) => hasher.update(chunk));
    hasher.digest();
  };
  core.fingerprintReset();
  return [
    row(
      "SHA-256, native",
      "MB/s",
      await perSecond(
        megabytes,
        hashed(() => new NativeHasher()),
      ),
    ),
    row(
      "SHA-256, layer engine",
      "MB/s",
      await perSecond(
        megabytes,
        hashed(() => new WasmHasher()),
      ),
    ),
    row(
      "CRC-32C, layer engine",
      "MB/s",
      await perSecond(
        megabytes,
        through((length) => core.crc32c(0, length)),
      ),
    ),
    row(
      "XXH3-64, layer engine",
      "MB/s",
      await perSecond(
        megabytes,
        through((length) => core.fingerprintUpdate(length)),
      ),
    ),
  ];
}

const ENTRIES = 50_000;
const RECORDS = [
  enter(""),
  ...Array.from({ length: ENTRIES }, (_, i) => leaf(`file-${i}`, { size: i, mtime: i, mtimeNs: i })),
  leave,
].map(recordOf);

/** Records into the engine, as a walk hands them over: as many as fit. */
function packAll(core: Core): void {
  core.packBegin(0, 0, 0, 0);
  let chunk: Buffer[] = [];
  let size = 0;
  const give = (): void => {
    new Uint8Array(core.memory.buffer).set(Buffer.concat(chunk), core.input());
    if (core.packWrite(size) !== 0) throw new Error("Cannot pack the records");
    chunk = [];
    size = 0;
  };
  for (const record of RECORDS) {
    if (size + record.length > 1 << 18) give();
    chunk.push(record);
    size += record.length;
  }
  give();
}

/** 1,000 files that a container has made: listed and committed through the docker command. */
async function containers(engines: readonly Engine[]): Promise<Row[]> {
  const script = "i=0; while [ $i -lt 1000 ]; do echo $i > /file-$i; i=$((i+1)); done";
  const ids = new Map<string, string>();
  for (const engine of engines) {
    ids.set(engine.name, (await run(engine, "run", "-d", "--network", "none", TINY, "sh", "-c", script)).trim());
    await run(engine, "wait", ids.get(engine.name) ?? "");
  }
  const times = (...command: readonly string[]) =>
    inTurns(engines, ROUNDS, (engine) => wall(() => run(engine, ...command, ids.get(engine.name) ?? "")));
  const rows = [
    { claim: "diff of 1,000 new files", unit: "ms", bound: "the client alone: 10 ms", values: await times("diff") },
    {
      claim: "commit of 1,000 new files",
      unit: "ms",
      bound: "the client, and two syncs",
      values: await times("commit"),
    },
  ];
  for (const engine of engines) await run(engine, "rm", "-f", ids.get(engine.name) ?? "");
  return rows;
}

export const wasmBench: Bench = {
  name: "wasm",
  async run(engines) {
    library(); // loaded before anything is measured
    const headers = await perSecond(ENTRIES / 1e6, async () => packAll(await openCore()));
    return [
      ...(await boundary()),
      ...(await checksums()),
      row("tar headers with a pax header each, layer engine", "million/s", headers),
      ...(await containers(engines)),
    ];
  },
};
