/** A temporary folder that goes away with `await using`, also when the test fails. */

import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { detachMount } from "../../src/base/mounts.ts";
import { onAbort } from "./abort.ts";

export interface Folder extends AsyncDisposable {
  readonly path: string;
}

export async function makeFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), "bosun-test-"));
  const folder: Folder = {
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
      // To Bun's rm a part that vanishes under it, by a process that is just ending, means that all is gone.
      do await rm(path, { recursive: true, force: true });
      while (existsSync(path));
      settled();
    },
  };
  const settled = onAbort(() => folder[Symbol.asyncDispose]());
  return folder;
}
