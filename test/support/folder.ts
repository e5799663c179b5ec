/** A temporary folder that goes away with `await using`, also when the test fails. */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { detachMount } from "../../src/base/mounts.ts";

export interface Folder extends AsyncDisposable {
  readonly path: string;
}

export async function makeFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), "bosun-test-"));
  return {
    path,
    async [Symbol.asyncDispose]() {
      const points = (await readFile("/proc/self/mountinfo", "utf8"))
        .split("\n")
        .map((line) => line.split(" ")[4] ?? "");
      for (const point of points
        .filter((each) => each.startsWith(`${path}/`))
        .sort()
        .reverse())
        detachMount(point);
      await rm(path, { recursive: true, force: true });
    },
  };
}
