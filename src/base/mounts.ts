/** Mounts of the host's side. Containers' own are made by the shim, in their namespaces. */

import { checked, cString, library } from "./library.ts";

/**
 * @param options  see fsopen(2): `ro`, `source=/x`, …
 * @returns        a descriptor of the mount's root, which is attached nowhere and goes when it is closed. @throws SystemError
 */
export function openMount(type: string, options: readonly string[]): number {
  const words = cString(options.map((option) => `${option}\0`).join(""));
  return checked(`mount ${type} with ${options.join(",")}`, library().bosun_open_mount(cString(type), words));
}

/** Attributes of a mount. Source: linux/mount.h, MOUNT_ATTR_*. */
export const MOUNT_ATTRIBUTE = {
  readonly: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  noatime: 0x10,
  nodiratime: 0x80,
} as const;

/**
 * @param path       on the host, links followed
 * @param recursive  with the mounts below it
 * @returns          a descriptor of a copy of what is mounted there, attached nowhere: it goes when it is closed. @throws SystemError
 */
export function openTree(path: string, recursive: boolean): number {
  return checked(`bind ${path}`, library().bosun_open_tree(cString(path), recursive ? 1 : 0));
}

/** @param mount  an open one. @param attributes  of MOUNT_ATTRIBUTE, for it and all below. @throws SystemError */
export function restrictMount(mount: number, attributes: number): void {
  checked(`set the attributes ${attributes} of a mount`, library().bosun_restrict_mount(mount, attributes));
}

/** @param mount  from one of these; close it afterwards. @throws SystemError */
export function attachMount(mount: number, target: string): void {
  checked(`mount at ${target}`, library().bosun_attach(mount, cString(target)));
}

/** Takes a mount out of the tree; what it holds in memory is given back in the background. @throws SystemError */
export function detachMount(target: string): void {
  checked(`unmount ${target}`, library().bosun_detach(cString(target)));
}
