/** Limits of disks: by path in a request, by number in a cgroup. */

import type { BlockLimit } from "../runtime/cgroup.ts";
import { diskAt } from "./devices.ts";
import { DISK_LIMITS, type Disks, RESOURCE_OF } from "./limits.ts";
import type { DiskValue, Resources } from "./resources.ts";

const toLimits = (values: readonly DiskValue[]): Promise<readonly BlockLimit[]> =>
  Promise.all(values.map(async ({ path, value }) => ({ ...(await diskAt(path)), value })));

/** @returns what is limited, no empty lists among it. @throws invalid when a path is no disk */
export async function disksOf(resources: Resources): Promise<Disks> {
  const asked = DISK_LIMITS.filter((name) => resources[RESOURCE_OF[name]].length > 0);
  return Object.fromEntries(
    await Promise.all(asked.map(async (name) => [name, await toLimits(resources[RESOURCE_OF[name]])] as const)),
  );
}
