/** `--gpus` and `--device vendor.com/class=name`: which CDI devices a request means. Pure. Source of the words: Moby, daemon/devices.go. */

import { invalid } from "../base/errors.ts";
import type { DeviceRequest } from "./config.ts";

const CDI = "cdi";
/** Whose devices `--gpus` may mean, by the driver that is asked for; without one, whichever the host has. */
const GPUS: Readonly<Record<string, readonly string[]>> = {
  "": ["nvidia.com/gpu", "amd.com/gpu"],
  nvidia: ["nvidia.com/gpu"],
  amd: ["amd.com/gpu"],
};

const ALL = "all";

/** As Go prints it: `[[gpu utility] [compute]]`. */
const shown = (capabilities: DeviceRequest["capabilities"]): string =>
  `[${capabilities.map((set) => `[${set.join(" ")}]`).join(" ")}]`;

function gpus({ count, ids }: DeviceRequest, kind: string, known: readonly string[]): readonly string[] {
  const own = known.filter((name) => name.startsWith(`${kind}=`));
  if (ids.length > 0) return ids.map((id) => (id.includes("=") ? id : `${kind}=${id}`));
  const single = own.filter((name) => name !== `${kind}=${ALL}`);
  if (count < 0) return own.includes(`${kind}=${ALL}`) ? [`${kind}=${ALL}`] : single;
  return Array.from({ length: count }, (_, index) => `${kind}=${index}`);
}

/** @param known  all CDI devices of the host. @returns names of CDI devices. @throws invalid in Docker's words */
export function requestedDevices(request: DeviceRequest, known: readonly string[]): readonly string[] {
  const { driver, count, ids, capabilities } = request;
  if (driver === CDI) {
    if (count !== 0) throw invalid("invalid CDI device request: it names devices, and has no count");
    return ids;
  }
  if (count !== 0 && ids.length > 0) throw invalid("cannot set both Count and DeviceIDs on device request");
  const isForGpus = capabilities.some((set) => set.includes("gpu"));
  const kinds = isForGpus && Object.hasOwn(GPUS, driver) ? (GPUS[driver] ?? []) : [];
  const kind = kinds.find((one) => known.some((name) => name.startsWith(`${one}=`)));
  if (kind === undefined)
    throw invalid(`could not select device driver "${driver}" with capabilities: ${shown(capabilities)}`);
  return gpus(request, kind, known);
}
