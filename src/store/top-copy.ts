/**
 * Tops as whole trees: `fs` has all that the container sees. Slow and large, but it asks nothing of the disk: the driver `vfs`, for disks that
 * overlay cannot have its upper directory on.
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { internal, unavailable } from "../base/errors.ts";
import { limitSize } from "./quota.ts";
import type { Mount } from "./snapshot.ts";
import type { Ground, Tops } from "./top.ts";

/** Copies what is in a directory, with owners, times, attributes, links and holes. Source: coreutils, cp(1). */
export async function copyTree(from: string, to: string): Promise<void> {
  const source = from.replace(/^\/proc\/self\//, `/proc/${process.pid}/`); // it is another process
  const child = Bun.spawn(["cp", "-a", "--reflink=auto", "--", `${source}/.`, to], {
    env: { PATH: process.env.PATH ?? "/usr/bin:/bin", LC_ALL: "C" },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const [said, code] = await Promise.all([child.stderr.text(), child.exited]);
  if (code === 0) return;
  const reason = said.trim().split("\n")[0] ?? "";
  throw /No space left|quota exceeded/.test(said)
    ? unavailable(`Cannot copy a snapshot to ${to}: no space left on device`)
    : internal(`Cannot copy a snapshot to ${to}: ${reason}`);
}

export class CopyTops implements Tops {
  readonly needsLayers = false;

  async make(directory: string, { open, sizeBytes }: Ground): Promise<void> {
    if (sizeBytes !== undefined) limitSize(directory, sizeBytes);
    const fs = join(directory, "fs");
    await mkdir(fs, { mode: 0o755 });
    using below = await open();
    if (below) await copyTree(below.path, fs);
  }

  mounts(directory: string, _: readonly string[], target: string, readonly: boolean): readonly Mount[] {
    return [{ type: "bind", source: join(directory, "fs"), target, readonly }];
  }

  tree(directory: string) {
    return { root: join(directory, "fs"), whole: true };
  }

  async dropped(): Promise<void> {}

  async sweep(): Promise<void> {}
}
