/** What containers may leave on a host once they are gone: nothing. */

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { hasCode } from "../../src/base/errors.ts";
import { shimsOf } from "./box.ts";
import type { TestDaemon } from "./daemon.ts";
import { PATIENCE_MS } from "./patience.ts";

const namesIn = (folder: string): Promise<string[]> =>
  readdir(folder).catch((error) => {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  });

async function mountPoints(filter: (fields: readonly string[]) => boolean): Promise<string[]> {
  const lines = (await readFile("/proc/self/mountinfo", "utf8")).split("\n").map((line) => line.split(" "));
  return lines.filter(filter).map((fields) => fields[4] ?? "");
}

/** Names of the cgroups below one, in all trees. */
export async function cgroupsBelow(parent: string): Promise<string[]> {
  const trees = await mountPoints((fields) => /^cgroup2?$/.test(fields[fields.indexOf("-") + 1] ?? ""));
  const found = new Set<string>();
  for (const tree of trees)
    for (const entry of await readdir(join(tree, parent), { withFileTypes: true }).catch(() => []))
      if (entry.isDirectory()) found.add(entry.name);
  return [...found];
}

/** Files and folders below that are unfinished, by their name. */
async function unfinished(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  return names.filter((name) => /(^|\/)(new|rm)-[^/]*$/.test(name)).map((name) => join(folder, name));
}

/** @returns what is there and should not be once every container of `daemon` is removed, each with what it is */
export async function leftovers({ folder, dataRoot, execRoot, bridge, cgroupParent }: TestDaemon): Promise<string[]> {
  const named = (what: string, names: readonly (string | number)[]) => names.map((name) => `${what} ${name}`);
  return [
    // A disk of the test's own may be at either root.
    ...named(
      "mount",
      await mountPoints(([, , , , at = ""]) => at.startsWith(`${folder.path}/`) && ![dataRoot, execRoot].includes(at)),
    ),
    ...named("cgroup", await cgroupsBelow(cgroupParent)),
    ...named("port of the bridge", await namesIn(`/sys/class/net/${bridge}/brif`)),
    ...named("shim", await shimsOf(execRoot)),
    ...named("run directory", await namesIn(join(execRoot, "tasks"))),
    ...named("name service", await namesIn(join(execRoot, "names", "processes"))),
    ...named("names of a container", await namesIn(join(execRoot, "names", "containers"))),
    ...named("names in a network", await namesIn(join(execRoot, "names", "networks"))),
    ...named("snapshot", await namesIn(join(dataRoot, "snapshots"))),
    ...named("container folder", await namesIn(join(dataRoot, "containers"))),
    ...named("unfinished", [...(await unfinished(dataRoot)), ...(await unfinished(execRoot))]),
  ];
}

const LOOK_AGAIN_MS = 20;

/**
 * The kernel takes namespaces, interfaces and lazily unmounted file systems away after their last process, and tells nobody: so it is looked again.
 * @returns what is still there when time is up
 */
export async function lastingLeftovers(daemon: TestDaemon): Promise<string[]> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await leftovers(daemon);
    if (found.length === 0 || Date.now() > deadline) return found;
    await Bun.sleep(LOOK_AGAIN_MS);
  }
}
