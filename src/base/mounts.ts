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

/** @param mount  from `openMount`; close it afterwards. @throws SystemError */
export function attachMount(mount: number, target: string): void {
  checked(`mount at ${target}`, library().bosun_attach(mount, cString(target)));
}

/** Takes a mount out of the tree; what it holds in memory is given back in the background. @throws SystemError */
export function detachMount(target: string): void {
  checked(`unmount ${target}`, library().bosun_detach(cString(target)));
}
