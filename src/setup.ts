/**
 * Brings a checkout to where it runs: the layer engine, the shim, the serialisers, and `nft`, which the bridge network needs. What is there already is left
 * alone. `npm start` and `npm test` run this first.
 */

import { dlopen } from "bun:ffi";
import { buildShim } from "../shim/shim.build.ts";
import { buildWasm } from "../wasm/layer.build.ts";
import { buildSerializers } from "./api/serializers.build.ts";

/** Programs of the host that the engine calls, and the Debian packages that have them. */
const PROGRAMS: Readonly<Record<string, string>> = { nft: "nftables" };
/** Libraries that make it faster: gunzip by ISA-L takes a third of the time. */
const LIBRARIES: Readonly<Record<string, string>> = { "libisal.so.2:isal_inflate": "libisal2" };

const PATH = `${process.env.PATH ?? ""}:/usr/sbin:/sbin`;

/** Whether a program is there, or a library: `file:function`. */
function isThere(name: string): boolean {
  const [file = "", symbol] = name.split(":");
  if (symbol === undefined) return Bun.which(name, { PATH }) !== null;
  try {
    dlopen(file, { [symbol]: { args: [], returns: "void" } }).close();
    return true;
  } catch {
    return false;
  }
}

/** @returns what could not be installed */
export async function installMissing(wanted: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const missing = Object.entries(wanted).filter(([name]) => !isThere(name));
  if (missing.length === 0) return [];
  const packages = [...new Set(missing.map(([, name]) => name))];
  if (process.getuid?.() !== 0 || Bun.which("apt-get") === null) return packages;
  console.log(`Installing ${packages.join(", ")} with apt-get`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args: string[]) =>
    Bun.spawn(["apt-get", "-qq", ...args], { env, stdin: "ignore", stdout: "ignore", stderr: "inherit" }).exited;
  const install = () => apt("install", "-y", "--no-install-recommends", ...packages);
  if ((await install()) !== 0 && (await apt("update")) === 0) await install(); // a fresh machine has no package lists
  return missing.filter(([name]) => !isThere(name)).map(([, name]) => name);
}

export async function setUp(): Promise<void> {
  await buildShim();
  await buildWasm();
  await buildSerializers();
  const missing = await installMissing({ ...PROGRAMS, ...LIBRARIES });
  if (missing.includes("nftables"))
    console.log(
      "nft is missing: without it, run the engine with --iptables=false, or containers with --network none|host",
    );
}

if (import.meta.main) await setUp();
