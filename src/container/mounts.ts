/** What a container is to see at which path, of volumes: the request's part, and what became of it. Pure. */

import { invalid } from "../base/errors.ts";
import type { Bind } from "./config.ts";

/** A volume as a request asks for it. */
export interface VolumeMount {
  /** Undefined for one that nobody named. */
  readonly name: string | undefined;
  readonly target: string;
  readonly readonly: boolean;
  /** Whether an empty volume gets what the image has at `target`. */
  readonly copy: boolean;
  /** What of the volume is seen; empty for all of it. */
  readonly subpath: string;
  /** Empty for the default. So are options and labels: for a volume that has yet to be made. */
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** As clients are shown it. */
  readonly mode: string;
}

/** A volume that a container has. */
export interface MountedVolume extends VolumeMount {
  readonly name: string;
}

/** What the container with `--volumes-from` gets of another. */
export interface Inherited {
  readonly binds: readonly Bind[];
  readonly volumes: readonly MountedVolume[];
}

/** `container[:ro|rw]`. @throws invalid */
export function parseVolumesFrom(spec: string): { readonly container: string; readonly readonly: boolean } {
  const [container = "", mode = "rw", ...more] = spec.split(":");
  if (container === "" || more.length > 0) throw invalid(`invalid volumes-from specification: ${spec}`);
  const words = mode.split(",");
  const wrong = words.find((word) => !["ro", "rw", "z", "Z"].includes(word));
  if (wrong !== undefined) throw invalid(`invalid mode for volumes-from: ${mode}`);
  return { container, readonly: words.includes("ro") };
}

/** @param readonly  none of it can be written to, whatever it is to its owner */
export const inherited = ({ binds, volumes }: Inherited, readonly: boolean): Inherited => ({
  binds: binds.map((bind) => ({ ...bind, readonly: bind.readonly || readonly })),
  volumes: volumes.map((volume) => ({
    ...volume,
    readonly: volume.readonly || readonly,
    copy: false,
    mode: readonly ? "ro" : volume.mode,
  })),
});

/** The later one of a target wins. */
export const lastOf = <T extends { readonly target: string }>(mounts: readonly T[]): readonly T[] => [
  ...new Map(mounts.map((mount) => [mount.target, mount])).values(),
];
