/** What a container's device requests add to it, at its start. */

import type { CdiDevices } from "./cdi.ts";
import type { CdiHook, CdiMount } from "./cdi-spec.ts";
import { type Bind, type HostConfig, isPropagation } from "./config.ts";
import { requestedDevices } from "./device-requests.ts";
import { cdiDevice, type Device } from "./devices.ts";

export interface Injection {
  readonly env: readonly string[];
  readonly devices: readonly Device[];
  readonly binds: readonly Bind[];
  /** Further groups, by number. */
  readonly groups: readonly string[];
  readonly hooks: readonly CdiHook[];
}

export const NOTHING: Injection = { env: [], devices: [], binds: [], groups: [], hooks: [] };

const LESS = ["nosuid", "nodev", "noexec"] as const;

const bindOf = ({ hostPath, containerPath, options }: CdiMount): Bind => ({
  source: hostPath,
  target: containerPath,
  readonly: options.includes("ro"),
  propagation: options.findLast(isPropagation) ?? "rprivate",
  createSource: false,
  nonRecursive: !options.includes("rbind"),
  less: LESS.filter((name) => options.includes(name)),
});

/** @throws invalid in Docker's words when something is unknown, or cannot be done here */
export async function injectionOf({ deviceRequests }: HostConfig, cdi: CdiDevices): Promise<Injection> {
  if (deviceRequests.length === 0) return NOTHING;
  const known = await cdi.list();
  const edits = await cdi.edits(deviceRequests.flatMap((request) => requestedDevices(request, known)));
  return {
    env: edits.flatMap(({ env }) => env),
    devices: await Promise.all(edits.flatMap(({ nodes }) => nodes).map(cdiDevice)),
    binds: edits.flatMap(({ mounts }) => mounts).map(bindOf),
    groups: edits.flatMap(({ gids }) => gids).map(String),
    hooks: edits.flatMap(({ hooks }) => hooks),
  };
}
