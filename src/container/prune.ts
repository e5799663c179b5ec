/** Containers that have ended and that nobody wants any more. */

import { kindOf } from "../base/errors.ts";
import type { Snapshots } from "../store/snapshot.ts";
import type { Containers } from "./containers.ts";
import type { Container } from "./records.ts";
import { isUp } from "./state.ts";

export interface PrunedContainers {
  readonly removed: readonly string[];
  /** Bytes of their own files. */
  readonly bytes: number;
}

/** @param isWanted  which of those that do not run; one that is started or removed meanwhile stays or goes as it likes */
export async function pruneContainers(
  containers: Containers,
  snapshotter: Pick<Snapshots, "usage">,
  isWanted: (container: Container) => boolean,
): Promise<PrunedContainers> {
  const removed: string[] = [];
  let bytes = 0;
  for (const container of containers.records.all()) {
    const { id, state } = container;
    if (isUp(state) || state.phase === "removing" || !isWanted(container)) continue;
    const size = await snapshotter.usage(id).catch(() => ({ bytes: 0 })); // of a damaged one nobody knows
    try {
      await containers.remove(id, false);
    } catch (error) {
      if (kindOf(error) === "conflict" || kindOf(error) === "notFound") continue;
      throw error;
    }
    removed.push(id);
    bytes += size.bytes;
  }
  return { removed, bytes };
}
