/** What is measured with: a tiny base image from the host's busybox, and an image of many small files in a registry on loopback. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { imageOf, type TarEntry, type TestImage, tarOf } from "../test/support/image.ts";
import { DockerRegistry } from "../test/support/registry.ts";
import { type Engine, run } from "./engine.ts";
import { able } from "./measure.ts";

export const TINY = "tiny:latest";

/** The host's static busybox as an image; there is `sh`, `true` and `sleep` in it. */
export async function loadTiny(engines: readonly Engine[], folder: string): Promise<Engine[]> {
  const program = Bun.which("busybox");
  if (!program) throw new Error("busybox is missing: apt-get install busybox-static");
  const busybox: TarEntry = { name: "bin/busybox", content: readFileSync(program), mode: 0o755 };
  const links = ["sh", "true", "sleep"].map(
    (name): TarEntry => ({ name: `bin/${name}`, type: "1", link: "bin/busybox", mode: 0o755 }),
  );
  const image = imageOf({ layers: [[busybox, ...links]], config: { config: { Cmd: ["sh"], Env: ["PATH=/bin"] } } });
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

/** 30,000 files of 0.1 to 12 KB in 1,500 folders, in one layer: a tree as npm makes it. */
export function manyFiles(compression: "gzip" | "zstd"): TestImage {
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
  return imageOf({ layers: [entries], compression });
}

export interface Pushed {
  readonly registry: DockerRegistry;
  readonly references: ReadonlyMap<string, string>;
}

export async function pushed(images: ReadonlyMap<string, TestImage>): Promise<Pushed> {
  const registry = await DockerRegistry.start();
  const references = new Map<string, string>();
  for (const [name, image] of images) {
    await registry.push(`bench/${name}`, "1", image);
    references.set(name, `${registry.host}/bench/${name}:1`);
  }
  return { registry, references };
}
