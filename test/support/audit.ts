/** Whether what a daemon remembers, what lies on its disk and what the kernel has are one and the same. */

import { Database } from "bun:sqlite";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { hasCode } from "../../src/base/errors.ts";
import type { Container } from "../../src/container/records.ts";
import { vethOf } from "../../src/network/driver-bridge.ts";
import type { TestDaemon } from "./daemon.ts";
import { cgroupsBelow } from "./leftovers.ts";
import { PATIENCE_MS } from "./patience.ts";

/** @returns names in a folder, sorted; none when it is missing */
export const namesIn = async (folder: string): Promise<string[]> => {
  const names = await readdir(folder).catch((error) => {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  });
  return names.sort();
};

/** A row each, as the database has them; read past the daemon. */
export interface Rows {
  readonly containers: readonly Container[];
  /** diffIds that images need, and blobs; hexadecimal. */
  readonly layers: ReadonlySet<string>;
  readonly blobs: ReadonlySet<string>;
  /** Blobs of layers, which may be there or not; what unfinished pulls left for the next one. */
  readonly cached: ReadonlySet<string>;
  readonly leased: ReadonlySet<string>;
}

const hex = (digest: string): string => digest.replace(/^sha256:/, "");

export function rowsOf(daemon: TestDaemon): Rows {
  using database = new Database(join(daemon.dataRoot, "bosun.db"), { readonly: true });
  const column = (sql: string) =>
    database
      .query<{ value: string }, []>(sql)
      .all()
      .map(({ value }) => value);
  return {
    containers: column("SELECT record AS value FROM containers").map((text): Container => JSON.parse(text)),
    layers: new Set(column("SELECT diff_id AS value FROM image_layers").map(hex)),
    blobs: new Set(column("SELECT id AS value FROM images UNION SELECT digest FROM image_manifests").map(hex)),
    cached: new Set(column("SELECT digest AS value FROM layer_blobs").map(hex)),
    leased: new Set(column("SELECT digest AS value FROM leases").map(hex)),
  };
}

async function layersOf(daemon: TestDaemon, ids: readonly string[]): Promise<string[]> {
  const layers = await Promise.all(
    ids.map(async (id): Promise<string[]> => {
      const path = join(daemon.dataRoot, "snapshots", id, "snapshot.json");
      return JSON.parse(await readFile(path, "utf8").catch(() => `{"layers":[]}`)).layers.map(hex);
    }),
  );
  return layers.flat();
}

async function mountsBelow(folder: string): Promise<string[]> {
  const points = (await readFile("/proc/self/mountinfo", "utf8")).split("\n").map((line) => line.split(" ")[4] ?? "");
  return points.filter((point) => point.startsWith(`${folder}/`)).map((point) => point.slice(folder.length + 1));
}

const portsOf = async (bridges: readonly string[]): Promise<string[]> =>
  (await Promise.all(bridges.map((bridge) => namesIn(`/sys/class/net/${bridge}/brif`)))).flat();

/** What one side has and the other has not. @param allowed  may be there, and need not */
export function compare(
  what: string,
  found: Iterable<string>,
  wanted: Iterable<string>,
  allowed: ReadonlySet<string> = new Set(),
): string[] {
  const [have, want] = [new Set(found), new Set(wanted)];
  return [
    ...[...have.difference(want).difference(allowed)].map((name) => `${what} too much: ${name}`),
    ...[...want.difference(have)].map((name) => `${what} missing: ${name}`),
  ];
}

async function unfinished(folder: string, allowed: ReadonlySet<string>): Promise<string[]> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const isPart = (name: string) => name.includes("/part-") && allowed.has(name.replace(/.*\/part-/, ""));
  return names.filter((name) => /(^|\/)(new|rm|part)-[^/]*$/.test(name) && !name.includes("/diff/") && !isPart(name));
}

const isWhole = (name: string): boolean => !name.startsWith("part-");

/** One look; what is under way counts as a contradiction. */
export async function contradictions(daemon: TestDaemon): Promise<string[]> {
  const { dataRoot, execRoot, bridge, cgroupParent } = daemon;
  const { containers, layers, blobs, cached, leased } = rowsOf(daemon);
  const ids = containers.map(({ id }) => id);
  const running = containers.filter(({ state }) => ["running", "paused"].includes(state.phase));
  const alive = running.map(({ id }) => id);
  const endpoints = running.flatMap((one) => one.endpoints.filter(({ address }) => address !== ""));
  const used = await layersOf(daemon, ids);
  const mounted = new Set(await layersOf(daemon, alive));
  const addresses = endpoints.map(({ address }) => address);
  return [
    ...containers.filter(({ state }) => /removing|dead/.test(state.phase)).map(({ id }) => `half removed: ${id}`),
    ...compare("container folder", await namesIn(join(dataRoot, "containers")), ids),
    ...compare("snapshot", await namesIn(join(dataRoot, "snapshots")), ids),
    ...compare("cgroup", await cgroupsBelow(cgroupParent), alive),
    ...compare("run directory", await namesIn(join(execRoot, "tasks")), alive),
    ...compare("port of a bridge", await portsOf([bridge, ...daemon.bridges()]), endpoints.map(vethOf)),
    ...compare("layer", await namesIn(join(dataRoot, "layers")), layers.union(new Set(used)), leased),
    ...compare("blob", (await namesIn(join(dataRoot, "blobs", "sha256"))).filter(isWhole), blobs, cached.union(leased)),
    ...(await mountsBelow(join(execRoot, "layers")))
      .filter((name) => !mounted.has(name))
      .map((name) => `mount: ${name}`),
    ...(await mountsBelow(dataRoot)).map((name) => `mount: ${name}`),
    ...[...(await unfinished(dataRoot, leased)), ...(await unfinished(execRoot, leased))].map(
      (name) => `unfinished: ${name}`,
    ),
    ...(await namesIn(join(dataRoot, "tmp"))).map((name) => `spooled: ${name}`),
    ...(new Set(addresses).size === addresses.length ? [] : [`addresses taken twice: ${addresses}`]),
  ];
}

const LOOK_AGAIN_MS = 10;

/** The kernel and removals in the background tell nobody when they are through: so it is looked again. @returns what lasts */
export async function lastingContradictions(daemon: TestDaemon): Promise<string[]> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await contradictions(daemon);
    if (found.length === 0 || Date.now() > deadline) return found;
    await Bun.sleep(LOOK_AGAIN_MS);
  }
}

/** Lines of a daemon's log that tell of a failure of its own. */
export const errorsIn = (log: string): string[] => log.split("\n").filter((line) => /level=(error|fatal)/.test(line));
