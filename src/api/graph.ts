/**
 * `GraphDriver.Data`, in the words that overlay2 has for where a tree's parts are on this machine. Only what is there is told: Bosun mounts a
 * layer when a container first needs it, and a container in its own namespace, where the host sees it as its process's root.
 */

import { kindOf } from "../base/errors.ts";
import type { Container } from "../container/records.ts";
import { isLive } from "../container/state.ts";
import type { Mount, Snapshotter } from "../store/snapshot.ts";

export type GraphData = Readonly<Record<string, string>>;

type Overlay = Extract<Mount, { readonly type: "overlay" }>;

const isOverlay = (mount: Mount): mount is Overlay => mount.type === "overlay";

/** A container is inspected whatever has become of its files. */
function ifLost(error: unknown): readonly Mount[] {
  if (kindOf(error) !== "notFound" && kindOf(error) !== "corrupt") throw error;
  return [];
}

/** @returns null when the container's top is no overlay's, or its snapshot is lost */
export async function containerGraph(
  snapshotter: Pick<Snapshotter, "mounts" | "directories" | "layersOf">,
  { id, state }: Pick<Container, "id" | "state">,
): Promise<GraphData | null> {
  const mounts = await snapshotter.mounts(id, "/").catch(ifLost);
  const top = mounts.find(isOverlay);
  if (top?.upper === undefined || top.work === undefined) return null;
  const layers = await snapshotter.directories(await snapshotter.layersOf(id));
  return {
    ...(layers && { LowerDir: top.lower.join(":") }),
    ...(isLive(state) && { MergedDir: `/proc/${state.pid}/root` }),
    UpperDir: top.upper,
    WorkDir: top.work,
  };
}

/** @param directories  of the layers, bottom first. @returns null when they are nowhere */
export function imageGraph(directories: readonly string[] | undefined): GraphData | null {
  const [top, ...lower] = directories?.toReversed() ?? [];
  if (top === undefined) return null;
  return { ...(lower.length > 0 && { LowerDir: lower.join(":") }), UpperDir: top };
}
