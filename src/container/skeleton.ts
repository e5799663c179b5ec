/**
 * What every container's root has for the engine's sake: places to mount on, and the file by which programs know that they are in a container. Most images
 * lack some of it, and to make it anew in a writable layer, and remove it again, is a fifth of the work of a container's life. So it lies ready in one
 * directory below all layers; where the layers have something of that name, or hide it, that counts, and the plan makes what is missing then.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Mount } from "../store/snapshot.ts";
import { DOCKER_MARK, ETC_FILES } from "./isolation.ts";

const DIRECTORIES = ["dev", "etc", "proc", "sys"];
const FILES = [DOCKER_MARK, ...ETC_FILES.map((name) => `/etc/${name}`)];

/** Directories that an overlay can stand on. Source: Linux, fs/overlayfs/params.h, OVL_MAX_STACK. */
const MOST_LOWERS = 500;

/** Makes it where it is missing; nothing of it ever changes while containers stand on it. @throws SystemError */
export function makeSkeleton(directory: string): void {
  for (const name of DIRECTORIES) mkdirSync(join(directory, name), { recursive: true, mode: 0o755 });
  for (const name of FILES) writeFileSync(join(directory, name), "", { flag: "a", mode: 0o755 });
}

/** @param root  what a container's root is mounted from. @returns the same, on top of the skeleton where that is possible */
export const onSkeleton = (root: readonly Mount[], directory: string): readonly Mount[] =>
  root.map((mount) =>
    mount.type === "overlay" && mount.upper !== undefined && mount.lower.length < MOST_LOWERS
      ? { ...mount, lower: [...mount.lower, directory] }
      : mount,
  );
