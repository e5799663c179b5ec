/**
 * Generates serialisers from schemas, as code, once: compiling them in the daemon would cost it 8 MB of schema compiler and 20 ms at every start.
 */

import { existsSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { builtFile } from "../base/built.ts";
import { containerListSchema } from "./list-schema.ts";

const SOURCES = ["list-schema.ts", "serializers.build.ts"];

/** Idempotent: what is newer than its sources stays. */
export async function buildSerializers(): Promise<void> {
  const output = builtFile("container-list.cjs");
  const newest = Math.max(...SOURCES.map((name) => statSync(join(import.meta.dir, name)).mtimeMs));
  if (existsSync(output) && statSync(output).mtimeMs > newest) return;
  const { default: generate } = await import("fast-json-stringify");
  const code: unknown = generate(containerListSchema, { mode: "standalone" });
  await mkdir(dirname(output), { recursive: true });
  await Bun.write(output, String(code));
}

if (import.meta.main) await buildSerializers();
