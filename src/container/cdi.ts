/**
 * The CDI devices of this host: files in a few directories, of which a later one is stronger. They are read whenever somebody asks: a driver's
 * installation writes them at any time, and there are few.
 */

import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { ifMissing, invalid, messageOf } from "../base/errors.ts";
import { type CdiEdits, type CdiSpec, toCdiSpec } from "./cdi-spec.ts";

interface File {
  readonly path: string;
  readonly spec: CdiSpec | undefined;
  /** What is wrong with it. */
  readonly error: string | undefined;
}

const PARSERS: Readonly<Record<string, (text: string) => unknown>> = {
  ".json": (text) => JSON.parse(text),
  ".yaml": (text) => Bun.YAML.parse(text),
};

async function readSpec(path: string, parse: (text: string) => unknown): Promise<File> {
  try {
    return { path, spec: toCdiSpec(parse(await readFile(path, "utf8"))), error: undefined };
  } catch (error) {
    return { path, spec: undefined, error: messageOf(error) };
  }
}

async function specsIn(directory: string): Promise<readonly File[]> {
  const names = (await readdir(directory).catch(ifMissing<string[]>([], "ENOTDIR"))).sort();
  const files = names.map((name) => ({ path: join(directory, name), parse: PARSERS[extname(name)] }));
  return Promise.all(files.flatMap(({ path, parse }) => (parse ? [readSpec(path, parse)] : [])));
}

/** A device, and what says so. */
interface Found {
  readonly file: File;
  readonly spec: CdiSpec;
  readonly edits: CdiEdits;
}

export class CdiDevices {
  /** @param directories  the weakest first, as /etc/cdi and /var/run/cdi; none turns it off */
  constructor(readonly directories: readonly string[]) {}

  /** Names of all that can be asked for, as `vendor.com/class=name`. */
  async list(): Promise<readonly string[]> {
    return [...(await this.#find()).devices].flatMap(([name, found]) => (found === "conflict" ? [] : [name])).sort();
  }

  /** @returns what these devices need, in the order of the files' and their own. @throws invalid in Docker's words */
  async edits(names: readonly string[]): Promise<readonly CdiEdits[]> {
    const { devices, errors } = await this.#find();
    const edits: CdiEdits[] = [];
    const unknown: string[] = [];
    const files = new Set<File>();
    for (const name of new Set(names)) {
      const found = devices.get(name);
      if (found === undefined || found === "conflict") {
        unknown.push(found === undefined ? name : `${name} (in several files of one directory)`);
        continue;
      }
      if (!files.has(found.file)) edits.push(found.spec.edits);
      files.add(found.file);
      edits.push(found.edits);
    }
    if (unknown.length > 0) {
      const why = errors.length > 0 ? ` (${errors.join("; ")})` : "";
      throw invalid(`CDI device injection failed: unresolvable CDI devices ${unknown.join(", ")}${why}`);
    }
    const [impossible] = edits.flatMap((one) => one.impossible);
    if (impossible !== undefined)
      throw invalid(`CDI device injection failed: ${names.join(", ")}: ${impossible} cannot be applied by this engine`);
    return edits;
  }

  async #find(): Promise<{
    readonly devices: ReadonlyMap<string, Found | "conflict">;
    readonly errors: readonly string[];
  }> {
    const devices = new Map<string, Found | "conflict">();
    const errors: string[] = [];
    for (const directory of this.directories) {
      const here = new Map<string, Found | "conflict">();
      for (const file of await specsIn(directory)) {
        if (file.error !== undefined) errors.push(`${file.path}: ${file.error}`);
        const { spec } = file;
        for (const [name, edits] of spec?.devices ?? []) {
          const qualified = `${spec?.kind}=${name}`;
          if (spec) here.set(qualified, here.has(qualified) ? "conflict" : { file, spec, edits });
        }
      }
      for (const [name, found] of here) devices.set(name, found);
    }
    return { devices, errors };
  }
}
