/** Layers merged to one tree that can be read, by overlays that are attached nowhere. */

import { closeSync } from "node:fs";
import { openMount } from "../base/mounts.ts";
import type { Mount, Tree } from "./snapshot.ts";

/** A layer: a directory, or what has to be mounted there. */
export interface Lower {
  readonly lower: string;
  readonly mount?: Mount;
}

const pathOf = (fd: number): string => `/proc/self/fd/${fd}`;

/** As the shim mounts them, so that what a container sees is what is read. */
const OPTIONS = ["ro", "index=off", "metacopy=off", "redirect_dir=off"];

/**
 * @param bottom     the lowest
 * @param others     above it, the top one last
 * @param isMounted  whether a layer's shared mount is there; others are mounted for the time being. It must not go meanwhile
 * @throws SystemError
 */
export function openView(bottom: Lower, others: readonly Lower[], isMounted: (target: string) => boolean): Tree {
  using opened = new DisposableStack();
  const open = (type: string, options: readonly string[]): string => {
    const fd = openMount(type, options);
    opened.defer(() => closeSync(fd));
    return pathOf(fd);
  };
  const placeOf = ({ lower, mount }: Lower): string =>
    mount?.type !== "layer" || isMounted(mount.target)
      ? lower
      : open("erofs", ["ro", `source=${mount.index}`, `device=${mount.device}`]);
  const places = [bottom, ...others].map(placeOf).reverse();
  const lowers = places.map((path) => `lowerdir+=${path}`);
  // An overlay wants two directories; whiteouts of a single layer hide nothing.
  const path = others.length > 0 ? open("overlay", [...lowers, ...OPTIONS]) : places.join();
  const held = opened.move();
  return { path, [Symbol.dispose]: () => held.dispose() };
}
