/**
 * The layer engine, loaded: the core module itself, called without a shim in between. Its memory is in view, so that chunks are read from
 * disk and decompressed right into it. Other hosts take the component in build/wasm/component, which is the same code behind layer.wit.
 */

import { readFileSync } from "node:fs";
import { internal } from "../base/errors.ts";

/** Exports of wasm/engine.ts. Numbers are pointers into `memory`, byte counts, or faults (0 is none). */
export interface Core {
  readonly memory: WebAssembly.Memory;
  input(): number;
  inputBytes(): number;
  begin(maxEntries: number, maxPath: number, maxMeta: number, salt: bigint): number;
  write(length: number): number;
  finish(): number;
  makeErofs(): number;
  makeSteps(): number;
  output(): number;
  outputBytes(): number;
  entries(): number;
  inodes(): number;
  tarBytes(): bigint;
  faultOffset(): bigint;
  faultPath(): number;
  faultPathBytes(): number;
  packBegin(mode: number, whole: number, exceptBytes: number, nameBytes: number): number;
  packWrite(length: number): number;
  packFinish(): number;
  packOutput(): number;
  packOutputBytes(): number;
  packTarBytes(): bigint;
  packEntries(): number;
  digestReset(): void;
  digestUpdate(length: number): void;
  digestFinish(): number;
  crc32c(before: number, length: number): number;
  fingerprintReset(): void;
  fingerprintUpdate(length: number): void;
  fingerprintFinish(): bigint;
}

const FUNCTIONS: readonly (keyof Core)[] = [
  ...(["input", "inputBytes", "begin", "write", "finish", "makeErofs", "makeSteps", "output", "outputBytes"] as const),
  ...(["entries", "inodes", "tarBytes", "faultOffset", "faultPath", "faultPathBytes"] as const),
  ...([
    "packBegin",
    "packWrite",
    "packFinish",
    "packOutput",
    "packOutputBytes",
    "packTarBytes",
    "packEntries",
  ] as const),
  ...(["digestReset", "digestUpdate", "digestFinish", "crc32c"] as const),
  ...(["fingerprintReset", "fingerprintUpdate", "fingerprintFinish"] as const),
];

const FILE = new URL("../../build/wasm/layer.wasm", import.meta.url);

function isCore(exports: object): exports is Core {
  const found = new Map<string, unknown>(Object.entries(exports));
  return (
    found.get("memory") instanceof WebAssembly.Memory &&
    FUNCTIONS.every((name) => typeof found.get(name) === "function")
  );
}

let compiled: Promise<WebAssembly.Module> | undefined;

async function compile(): Promise<WebAssembly.Module> {
  const file = Bun.file(FILE);
  if (!(await file.exists())) throw internal(`Cannot load ${FILE.pathname}: build it with bun wasm/layer.build.ts`);
  return WebAssembly.compile(await file.bytes());
}

/** As `openCore`, without waiting: for threads that block anyway, and once. */
export function coreNow(): Core {
  compiledNow ??= new WebAssembly.Module(readFileSync(FILE));
  return coreOf(new WebAssembly.Instance(compiledNow, {}));
}

let compiledNow: WebAssembly.Module | undefined;

function coreOf({ exports }: WebAssembly.Instance): Core {
  if (!isCore(exports)) throw internal(`Cannot load ${FILE.pathname}: it is not the layer engine of this version`);
  return exports;
}

/** @returns a new instance, which serves one layer. The module is compiled once. */
export async function openCore(): Promise<Core> {
  compiled ??= compile();
  const module = await compiled.catch((error: unknown) => {
    compiled = undefined;
    throw error;
  });
  return coreOf(await WebAssembly.instantiate(module, {}));
}
