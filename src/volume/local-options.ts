/**
 * Options of the local driver → a mount. `type`, `device` and `o` are those of mount(8), as in
 * `--opt type=nfs --opt device=:/export --opt o=addr=192.0.2.1,ro`. Pure. Source: Docker's documentation of `volume create`; mount(8).
 */

import { invalid } from "../base/errors.ts";
import { MOUNT_ATTRIBUTE } from "../base/mounts.ts";
import { parseBytes } from "../base/units.ts";
import type { VolumeOptions } from "./driver.ts";

export type LocalMount =
  | {
      readonly kind: "bind";
      readonly source: string;
      /** With the mounts below it. */
      readonly recursive: boolean;
      readonly attributes: number;
    }
  | {
      readonly kind: "file system";
      readonly type: string;
      readonly source: string;
      /** The file system's own: `size=10m`. */
      readonly options: readonly string[];
      readonly attributes: number;
    };

const KNOWN = ["type", "device", "o", "size"];

/** What goes with what, as Docker has it. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  type: ["device"],
  device: ["type"],
  o: ["device", "type"],
};

const ATTRIBUTES: Readonly<Record<string, number>> = {
  ro: MOUNT_ATTRIBUTE.readonly,
  nosuid: MOUNT_ATTRIBUTE.nosuid,
  nodev: MOUNT_ATTRIBUTE.nodev,
  noexec: MOUNT_ATTRIBUTE.noexec,
  noatime: MOUNT_ATTRIBUTE.noatime,
  nodiratime: MOUNT_ATTRIBUTE.nodiratime,
};
/** What is so anyway. */
const DEFAULTS = ["rw", "suid", "dev", "exec", "atime", "diratime", "relatime", "defaults"];

function checkNames(options: VolumeOptions): void {
  const unknown = Object.keys(options).find((name) => !KNOWN.includes(name));
  if (unknown !== undefined) throw invalid(`invalid option: ${JSON.stringify(unknown)}`);
  if (options.size !== undefined && options.type)
    throw invalid("the option size is of a volume that is a plain directory: with type=tmpfs, use o=size=…");
  for (const [name, needed] of Object.entries(NEEDS))
    for (const other of Object.hasOwn(options, name) ? needed : [])
      if (!options[other]) throw invalid(`missing required option: ${JSON.stringify(other)}`);
}

/** @returns bytes that a plain directory may hold; undefined without a limit. @throws invalid */
export function localSize({ size }: VolumeOptions): number | undefined {
  if (size === undefined) return undefined;
  const bytes = parseBytes(size);
  if (bytes < 1) throw invalid(`invalid size: '${size}'`);
  return bytes;
}

/** @returns undefined for a plain directory. @throws invalid */
export function localMount(options: VolumeOptions): LocalMount | undefined {
  checkNames(options);
  const { type = "", device = "", o = "" } = options;
  if (type === "") return undefined;
  const words = o.split(",").filter((word) => word !== "");
  const attributes = words.reduce((mask, word) => mask | (ATTRIBUTES[word] ?? 0), 0);
  const own = words.filter((word) => !Object.hasOwn(ATTRIBUTES, word) && !DEFAULTS.includes(word));
  if (!own.includes("bind") && !own.includes("rbind"))
    return { kind: "file system", type, source: device, options: own, attributes };
  const other = own.find((word) => word !== "bind" && word !== "rbind");
  if (other !== undefined) throw invalid(`invalid mount option ${JSON.stringify(other)}: a bind mount has none`);
  if (!device.startsWith("/")) throw invalid(`invalid device ${JSON.stringify(device)}: want an absolute path`);
  return { kind: "bind", source: device, recursive: own.includes("rbind"), attributes };
}
