/** What is measured with: a tiny image of the host's busybox, and made-up images in a registry on loopback. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Engine, run } from "./engine.ts";
import { imageOf, type TarEntry, tarOf } from "./fixture/image.ts";
import { DockerRegistry } from "./fixture/registry.ts";
import { able } from "./measure.ts";

export const TINY = "tiny:latest";

const CONFIG = { config: { Cmd: ["sh"], Env: ["PATH=/bin"] } };
const APPLETS = ["sh", "true", "sleep", "find", "xargs", "cat"];

/** The host's static busybox. @throws Error when there is none */
function busybox(): TarEntry[] {
  const program = Bun.which("busybox");
  if (!program) throw new Error("busybox is missing: apt-get install busybox-static");
  const links = APPLETS.map((name): TarEntry => ({ name: `bin/${name}`, type: "1", link: "bin/busybox", mode: 0o755 }));
  return [{ name: "bin/busybox", content: readFileSync(program), mode: 0o755 }, ...links];
}

/** @returns the engines that have it now */
export async function loadTiny(engines: readonly Engine[], folder: string): Promise<Engine[]> {
  const image = imageOf({ layers: [busybox()], config: CONFIG });
  const names = ["config.json", "layer.tar"];
  const manifest = JSON.stringify([{ Config: names[0], RepoTags: [TINY], Layers: [names[1]] }]);
  const archive = tarOf(
    { name: "config.json", content: image.config.bytes },
    { name: "layer.tar", content: image.tars[0] ?? new Uint8Array() },
    { name: "manifest.json", content: manifest },
  );
  const path = join(folder, "tiny.tar");
  await Bun.write(path, archive);
  return able(engines, (engine) => run(engine, "load", "-q", "-i", path));
}

/** A sequence that is the same in every run. */
function* numbers(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state;
  }
}

const WORDS =
  "const export function return import require module async await class extends this type string number license copyright".split(
    " ",
  );

/** Text that compresses about as well as source code does. */
function sourceText(size: number, random: Generator<number>): string {
  let text = "";
  while (text.length < size) {
    const { value } = random.next();
    text += value % 5 === 0 ? `${value.toString(36)};\n` : `${WORDS[value % WORDS.length]} `;
  }
  return text.slice(0, size);
}

/** 30,000 files of 0.1 to 12 KB in 1,500 folders: a tree as npm makes it. */
function manyFiles(): TarEntry[] {
  const random = numbers(1);
  const entries: TarEntry[] = [];
  for (let folder = 0; folder < 1500; folder++) {
    const base = `app/node_modules/package-${folder}`;
    entries.push({ name: `${base}/`, type: "5", mode: 0o755 });
    for (let file = 0; file < 20; file++) {
      const { value } = random.next();
      const size = 100 + Math.floor(((value % 1000) / 1000) ** 3 * 12_000);
      entries.push({ name: `${base}/file-${file}.js`, content: sourceText(size, random) });
    }
  }
  return entries;
}

/** Bytes half of which compress, as programs' do. */
function binary(size: number, seed: number): Uint8Array {
  const words = new Uint32Array(size / 4);
  const random = numbers(seed);
  for (let at = 0; at < words.length; at++) words[at] = at % 2 === 0 ? at >> 8 : random.next().value;
  return new Uint8Array(words.buffer);
}

const MB = 1 << 20;

/** Layers above busybox. */
const MADE: Readonly<Record<string, () => TarEntry[][]>> = {
  "30,000 files": () => [manyFiles()],
  "4 layers of 64 MB": () =>
    [1, 2, 3, 4].map((layer) => [{ name: `opt/program-${layer}`, content: binary(64 * MB, layer) }]),
  "40 small layers": () =>
    Array.from({ length: 39 }, (_, layer) => [{ name: `layer-${layer}`, content: binary(16 << 10, layer) }]),
};

export interface Sample {
  /** As the table says it. */
  readonly label: string;
  readonly reference: string;
}

/** Images to move about: made up, or the user's own. Made when they are first asked for. */
export class Corpus implements AsyncDisposable {
  #registry: DockerRegistry | undefined;
  #samples: readonly Sample[] | undefined;

  /** @param images  references that the engines can pull; none for made-up images */
  constructor(readonly images: readonly string[]) {}

  async samples(): Promise<readonly Sample[]> {
    this.#samples ??=
      this.images.length > 0 ? this.images.map((image) => ({ label: image, reference: image })) : await this.#make();
    return this.#samples;
  }

  /** Of which a single one is enough. */
  async many(): Promise<Sample> {
    const [first] = await this.samples();
    if (!first) throw new Error("there are no images");
    return first;
  }

  async #make(): Promise<readonly Sample[]> {
    const registry = await DockerRegistry.start();
    this.#registry = registry;
    const samples: Sample[] = [];
    for (const [what, layers] of Object.entries(MADE))
      for (const compression of ["gzip", "zstd"] as const) {
        const image = imageOf({ layers: [busybox(), ...layers()], compression, config: CONFIG });
        const name = `bench/${what.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
        await registry.push(name, compression, image);
        const bytes = image.layers.reduce((sum, layer) => sum + layer.bytes.byteLength, 0);
        const label = `${what}, ${compression}, ${(bytes / 1e6).toFixed(0)} MB`;
        samples.push({ label, reference: `${registry.host}/${name}:${compression}` });
      }
    return samples;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#registry?.[Symbol.asyncDispose]();
  }
}
