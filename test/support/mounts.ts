/** Performs what a snapshotter's `mounts()` says, as the shim would, in this process's mount namespace. */

import { closeSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { attachMount, detachMount, openMount } from "../../src/base/mounts.ts";
import type { Mount, Snapshotter } from "../../src/store/snapshot.ts";

function mountAt(type: string, options: readonly string[], target: string): void {
  const mount = openMount(type, options);
  try {
    attachMount(mount, target);
  } finally {
    closeSync(mount);
  }
}

export async function isMounted(target: string): Promise<boolean> {
  const text = await readFile("/proc/self/mountinfo", "utf8");
  return text.split("\n").some((line) => line.split(" ")[4] === target);
}

async function perform(mount: Mount): Promise<void> {
  await mkdir(mount.target, { recursive: true });
  if (mount.type === "layer") {
    if (await isMounted(mount.target)) return;
    mountAt("erofs", ["ro", `source=${mount.index}`, `device=${mount.device}`], mount.target);
  } else if (mount.type === "overlay") {
    const { upper, work } = mount;
    const top = upper === undefined || work === undefined ? ["ro"] : [`upperdir=${upper}`, `workdir=${work}`];
    mountAt("overlay", [...mount.lower.map((lower) => `lowerdir+=${lower}`), ...top], mount.target);
  } else await bind(mount.source, mount.target, mount.readonly);
}

async function bind(source: string, target: string, readonly: boolean): Promise<void> {
  const options = readonly ? "bind,ro" : "bind";
  const { exitCode, stderr } = Bun.spawnSync(["mount", "-o", options, source, target]);
  if (exitCode !== 0) throw new Error(`Cannot bind ${source} to ${target}: ${stderr.toString()}`);
}

/** The snapshot at `target` until the end of the scope. */
export async function mounted(snapshotter: Snapshotter, key: string, target: string): Promise<AsyncDisposable> {
  for (const mount of await snapshotter.mounts(key, target)) await perform(mount);
  return {
    async [Symbol.asyncDispose]() {
      detachMount(target);
    },
  };
}
