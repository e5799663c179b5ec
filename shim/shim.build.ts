/**
 * Builds the C parts: `build/bosun-shim`, `build/bosun-net` and `build/hello` (static programs) and `build/libbosun.so`. What is newer than its sources
 * stays. Run as a program, or call `buildShim()`.
 */

import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";

const here = import.meta.dir;
const target = join(here, "..", "build");

const WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wmissing-prototypes", "-Werror"];
const COMMON = ["-std=c17", "-Os", ...WARNINGS, "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-s"];
const STATIC = [...COMMON, "-static"];
const SHARED = [...COMMON, "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread"];

const isOfNet = (source: string): boolean => source.startsWith("net-");
const isOfLibrary = (source: string): boolean => source.startsWith("lib-");
/** Of the shim and the library. */
const isOfBoth = (source: string): boolean => source === "overlay.c";

interface Product {
  readonly name: string;
  readonly flags: readonly string[];
  readonly sources: readonly string[];
}

async function products(): Promise<readonly Product[]> {
  const sources = (await readdir(here)).filter((name) => name.endsWith(".c")).sort();
  const isOfShim = (name: string) => name !== "hello.c" && !isOfLibrary(name) && !isOfNet(name);
  return [
    { name: "bosun-shim", flags: STATIC, sources: sources.filter(isOfShim) },
    { name: "bosun-net", flags: STATIC, sources: sources.filter(isOfNet) },
    { name: "hello", flags: STATIC, sources: ["hello.c"] },
    { name: "libbosun.so", flags: SHARED, sources: sources.filter((name) => isOfLibrary(name) || isOfBoth(name)) },
  ];
}

/** @returns when the file was modified, ms; 0 when it is missing */
const modified = (path: string): Promise<number> =>
  stat(path).then(
    (info) => info.mtimeMs,
    () => 0,
  );

async function run(command: readonly string[]): Promise<void> {
  const child = Bun.spawn([...command], { stdout: "pipe", stderr: "pipe" });
  const [code, out, err] = await Promise.all([child.exited, child.stdout.text(), child.stderr.text()]);
  if (code !== 0) throw new Error(`Cannot run ${command.join(" ")}: exit code ${code}\n${out}${err}`);
}

/** @returns the C compiler's path; installed with apt-get when there is none */
async function compiler(): Promise<string> {
  const find = () => Bun.which("cc") ?? Bun.which("gcc");
  const found = find();
  if (found !== null) return found;
  process.stderr.write("There is no C compiler: installing gcc and libc6-dev with apt-get\n");
  await run(["apt-get", "install", "-y", "--no-install-recommends", "gcc", "libc6-dev"]);
  const installed = find();
  if (installed === null) throw new Error("Cannot build the shim: no C compiler, and apt-get did not bring one");
  return installed;
}

async function build(product: Product, headersModified: number): Promise<void> {
  const output = join(target, product.name);
  const sources = product.sources.map((name) => join(here, name));
  const newest = Math.max(headersModified, ...(await Promise.all(sources.map(modified))));
  if ((await modified(output)) > newest) return;
  // Beside the old file and then in its place: one that runs cannot be written to, one that is mapped must not be.
  const fresh = `${output}.new-${process.pid}`;
  await run([await compiler(), ...product.flags, ...sources, "-o", fresh]);
  await run(["mv", fresh, output]);
}

/** Brings every product up to date. @throws Error with the compiler's words */
export async function buildShim(): Promise<void> {
  await mkdir(target, { recursive: true });
  const shared = (await readdir(here)).filter((name) => name.endsWith(".h") || name.endsWith(".build.ts"));
  const headers = shared.map((name) => modified(join(here, name)));
  const newest = Math.max(...(await Promise.all(headers)));
  for (const product of await products()) await build(product, newest);
}

if (import.meta.main) await buildShim();
