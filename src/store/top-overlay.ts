/** Tops as upper directories of overlays: `diff` and `work`. They take what a container writes, and nothing else. */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { limitSize } from "./quota.ts";
import type { Mount } from "./snapshot.ts";
import type { Ground, Tops } from "./top.ts";

export class OverlayTops implements Tops {
  readonly needsLayers = true;

  async make(directory: string, { sizeBytes }: Ground): Promise<void> {
    if (sizeBytes !== undefined) limitSize(directory, sizeBytes);
    await Promise.all([
      mkdir(join(directory, "diff"), { mode: 0o755 }),
      mkdir(join(directory, "work"), { mode: 0o700 }),
    ]);
  }

  mounts(directory: string, lower: readonly string[], target: string, readonly: boolean): readonly Mount[] {
    const [upper, work] = [join(directory, "diff"), join(directory, "work")];
    if (lower.length === 0) return [{ type: "bind", source: upper, target, readonly }];
    // An overlay wants two directories: under a single layer, an empty one.
    return [{ type: "overlay", target, ...(readonly ? { lower: [...lower, upper] } : { lower, upper, work }) }];
  }

  tree(directory: string) {
    return { root: join(directory, "diff"), whole: false };
  }

  async dropped(): Promise<void> {}

  async sweep(): Promise<void> {}
}
