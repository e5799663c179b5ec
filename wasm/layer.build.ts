/**
 * Builds the layer engine. Does nothing when the outputs are newer than the sources.
 *
 *   *.ts ──asc──► layer.wasm ──rename exports, embed layer.wit──► layer.component.wasm ──jco──► component/{layer.js,*.d.ts,*.wasm}
 *
 * The host's hot path takes layer.wasm as it is; the component is the same code behind layer.wit, for any other host.
 */

import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

const SOURCE = import.meta.dir;
const ROOT = dirname(SOURCE);
const OUTPUT = join(ROOT, "build", "wasm");
/** Written last: when it is there and new, all the others are. */
const LAST = join(OUTPUT, "layer.wasm");
const PACKAGE = "bosun:layer";
const VERSION = "0.1.0";

const ASC_OPTIONS = [
  ...["--runtime", "stub"], // no garbage collector: the engine manages its memory itself
  ...["--use", "abort="], // no host imports: an abort is a trap
  ...["--enable", "simd"],
  ...["--initialMemory", "24"], // pages of 64 KiB: constants and the input buffer of memory.ts
  ...["--maximumMemory", "16384"], // 1 GiB
  "-O3",
];

/** @throws Error with asc's or jco's own message when a source does not compile */
export async function buildWasm(): Promise<void> {
  if (await isFresh()) return;
  const core = await compile();
  const component = await toComponent(core);
  const { transpile } = await import("@bytecodealliance/jco");
  const { files } = await transpile(component, { name: "layer", instantiation: "async", wasiShim: false });
  await write(join(OUTPUT, "layer.component.wasm"), component);
  for (const [name, bytes] of Object.entries(files)) await write(join(OUTPUT, "component", name), bytes);
  await write(LAST, core);
}

async function isFresh(): Promise<boolean> {
  if (!existsSync(LAST)) return false;
  const { mtimeMs } = await stat(LAST);
  const sources = (await readdir(SOURCE)).map((name) => stat(join(SOURCE, name)));
  return (await Promise.all(sources)).every((source) => source.mtimeMs < mtimeMs);
}

async function compile(): Promise<Uint8Array> {
  const { main } = await import("assemblyscript/asc");
  const target = join(OUTPUT, `new-${process.pid}.wasm`);
  await mkdir(OUTPUT, { recursive: true });
  const said: string[] = [];
  const listen = {
    write(text: string | Uint8Array) {
      said.push(text.toString());
    },
  };
  const { error } = await main([join(SOURCE, "layer.ts"), "--baseDir", ROOT, "-o", target, ...ASC_OPTIONS], {
    stdout: listen,
    stderr: listen,
  });
  if (error) throw new Error(`Cannot compile wasm/layer.ts: ${said.join("") || error.message}`);
  const core = await Bun.file(target).bytes();
  await rm(target);
  return core;
}

/** The core module with exports named as the component model wants them: `index__write` is `bosun:layer/index@0.1.0#write`. */
async function toComponent(core: Uint8Array): Promise<Uint8Array> {
  const { default: binaryen } = await import("binaryen");
  const module = binaryen.readBinary(core);
  module.setFeatures(binaryen.Features.All);
  const exports = Array.from({ length: module.getNumExports() }, (_, i) =>
    binaryen.getExportInfo(module.getExportByIndex(i)),
  );
  for (const { name, value, kind } of exports) {
    const [face, method] = name.split("__");
    if (kind !== binaryen.ExternalFunction || name === "cabi_realloc") continue;
    module.removeExport(name);
    if (method) module.addFunctionExport(value, `${PACKAGE}/${face}@${VERSION}#${method.replaceAll("_", "-")}`);
  }
  module.runPasses(["remove-unused-module-elements"]);
  const renamed = module.emitBinary();
  module.dispose();
  const { componentEmbed, componentNew } = await import("@bytecodealliance/jco");
  const witSource = await Bun.file(join(SOURCE, "layer.wit")).text();
  return componentNew(await componentEmbed({ binary: renamed, witSource }));
}

async function write(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const unfinished = join(dirname(path), `new-${process.pid}`);
  await writeFile(unfinished, bytes);
  await rename(unfinished, path);
}

if (import.meta.main) await buildWasm();
