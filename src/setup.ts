/**
 * Brings a checkout to where it runs: the layer engine, the shim, the serialisers, and `nft`, which the bridge network needs. What is there already is left
 * alone. `npm start` and `npm test` run this first.
 */

import { buildShim } from "../shim/shim.build.ts";
import { buildWasm } from "../wasm/layer.build.ts";
import { buildSerializers } from "./api/serializers.build.ts";

/** Programs of the host that the engine calls, and the Debian packages that have them. */
const PROGRAMS: Readonly<Record<string, string>> = { nft: "nftables" };

const PATH = `${process.env.PATH ?? ""}:/usr/sbin:/sbin`;

/** @returns what could not be installed */
export async function installMissing(programs: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const missing = Object.entries(programs).filter(([name]) => Bun.which(name, { PATH }) === null);
  if (missing.length === 0) return [];
  const packages = [...new Set(missing.map(([, name]) => name))];
  if (process.getuid?.() !== 0 || Bun.which("apt-get") === null) return packages;
  console.log(`Installing ${packages.join(", ")} with apt-get`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args: string[]) =>
    Bun.spawn(["apt-get", "-qq", ...args], { env, stdin: "ignore", stdout: "ignore", stderr: "inherit" }).exited;
  const install = () => apt("install", "-y", "--no-install-recommends", ...packages);
  if ((await install()) !== 0 && (await apt("update")) === 0) await install(); // a fresh machine has no package lists
  return Object.entries(programs)
    .filter(([name]) => Bun.which(name, { PATH }) === null)
    .map(([, name]) => name);
}

export async function setUp(): Promise<void> {
  await buildShim();
  await buildWasm();
  await buildSerializers();
  for (const name of await installMissing(PROGRAMS))
    console.log(
      `${name} is missing: without it, run the engine with --iptables=false, or containers with --network none|host`,
    );
}

if (import.meta.main) await setUp();
