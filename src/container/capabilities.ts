/** Which capabilities a container's processes get. Pure. Source: Moby, daemon/pkg/oci/caps, TweakCapabilities. */

import { invalid } from "../base/errors.ts";
import { CAPABILITIES } from "../runtime/capability-names.ts";
import { DEFAULT_CAPABILITIES } from "./isolation.ts";

/** Bit n is capability n. */
export type CapabilitySet = bigint;

const NUMBERS: ReadonlyMap<string, number> = new Map(CAPABILITIES.map((name, number) => [name, number]));

const bit = (name: string): CapabilitySet => 1n << BigInt(NUMBERS.get(name) ?? CAPABILITIES.length);

const DEFAULTS: CapabilitySet = DEFAULT_CAPABILITIES.reduce((set, name) => set | bit(name), 0n);

/** `net_admin` → `CAP_NET_ADMIN`; `ALL` stays. @throws invalid */
function normal(list: string, text: string): string {
  const upper = text.toUpperCase();
  if (upper === "ALL" || upper === "CAP_ALL") return "ALL";
  const name = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  if (!NUMBERS.has(name)) throw invalid(`invalid ${list}: unknown capability: "${name}"`);
  return name;
}

export interface CapabilityRequest {
  readonly privileged: boolean;
  readonly add: readonly string[];
  readonly drop: readonly string[];
}

/**
 * @param available  what the engine has itself: nothing more can be given
 * @throws invalid for an unknown capability, or an added one that is not available
 */
export function capabilitySet(request: CapabilityRequest, available: CapabilitySet): CapabilitySet {
  const add = request.add.map((name) => normal("CapAdd", name));
  const drop = request.drop.map((name) => normal("CapDrop", name));
  const missing = add.find((name) => name !== "ALL" && (bit(name) & available) === 0n);
  if (missing !== undefined)
    throw invalid(
      `invalid CapAdd: capability not supported by your kernel or not available in the current environment: "${missing}"`,
    );
  if (request.privileged) return available;
  const dropped = drop.filter((name) => name !== "ALL").reduce((set, name) => set | bit(name), 0n);
  const added = add.filter((name) => name !== "ALL").reduce((set, name) => set | bit(name), 0n);
  if (drop.includes("ALL")) return added;
  if (add.includes("ALL")) return available & ~dropped;
  return ((DEFAULTS & ~dropped) | added) & available;
}

/** Names of a set, as seccomp profiles use them. */
export const capabilityNames = (set: CapabilitySet): readonly string[] =>
  CAPABILITIES.filter((name) => (bit(name) & set) !== 0n);
