/** What the options of macvlan and ipvlan networks mean. Source: Docker's documentation of both drivers. Pure. */

import { invalid } from "../base/errors.ts";
import type { Network } from "./driver.ts";
import { isInterfaceName } from "./interface-names.ts";
import { IPVLAN_FLAGS, IPVLAN_MODES, ipvlanKind, MACVLAN_MODES, macvlanKind, type WireKind } from "./netlink-links.ts";

/** An interface of the host that a daemon makes when it is missing. */
export interface Made {
  readonly name: string;
  /** A VLAN's trunk and number; undefined for an interface that leads nowhere. */
  readonly vlan: { readonly trunk: string; readonly id: number } | undefined;
}

export interface WireSettings {
  readonly parent: string;
  readonly kind: WireKind;
  /** 0 for the parent's. */
  readonly mtu: number;
  /** Undefined for a parent that has to be there. */
  readonly made: Made | undefined;
  /** Whether the parent is for this network alone. */
  readonly alone: boolean;
  /** Whether its containers have no neighbours, and send everything by the interface alone. */
  readonly routed: boolean;
}

/** What one of the two drivers makes of the options that are its own. */
export interface WireOptions {
  readonly driver: WireKind["name"];
  /** Of the parent that is made for a network that names none: `dm-0123456789ab`. */
  readonly prefix: string;
  /** Whether each container has a MAC of its own. */
  readonly hasMacs: boolean;
  /** The driver's own. */
  readonly names: readonly string[];
  readonly parse: (options: Network["options"]) => Pick<WireSettings, "kind" | "alone" | "routed">;
}

const MTU = "com.docker.network.driver.mtu";

/** @throws invalid in Docker's words, but for `known` */
function choice<Value extends string>(
  {
    driver,
    what,
    value,
    fallback,
  }: { driver: string; what: string; value: string | undefined; fallback: NoInfer<Value> },
  known: Readonly<Record<Value, number>>,
): Value {
  const isKnown = (text: string): text is Value => Object.hasOwn(known, text);
  const chosen = value || fallback;
  if (isKnown(chosen)) return chosen;
  throw invalid(`requested ${driver} ${what} '${chosen}' is not valid, '${fallback}' is the ${driver} driver default`);
}

export const MACVLAN: WireOptions = {
  driver: "macvlan",
  prefix: "dm",
  hasMacs: true,
  names: ["macvlan_mode"],
  parse({ macvlan_mode: value }) {
    const mode = choice({ driver: "macvlan", what: "mode", value, fallback: "bridge" }, MACVLAN_MODES);
    return { kind: macvlanKind(mode), alone: mode === "passthru", routed: false };
  },
};

/** Of several networks on one parent the last would decide on the mode of all. */
export const IPVLAN: WireOptions = {
  driver: "ipvlan",
  prefix: "di",
  hasMacs: false,
  names: ["ipvlan_mode", "ipvlan_flag"],
  parse({ ipvlan_mode, ipvlan_flag }) {
    const mode = choice({ driver: "ipvlan", what: "mode", value: ipvlan_mode, fallback: "l2" }, IPVLAN_MODES);
    const flag = choice({ driver: "ipvlan", what: "flag", value: ipvlan_flag, fallback: "bridge" }, IPVLAN_FLAGS);
    return { kind: ipvlanKind(mode, flag), alone: true, routed: mode !== "l2" };
  },
};

/** `eth0.10`. */
function vlanOf(parent: string): Made | undefined {
  const [, trunk = "", digits = ""] = /^(.+)\.(\d{1,4})$/.exec(parent) ?? [];
  const id = Number(digits);
  return trunk !== "" && id >= 1 && id <= 4094 ? { name: parent, vlan: { trunk, id } } : undefined;
}

function mtuOf(options: Network["options"]): number {
  const mtu = Number(options[MTU] || 0);
  if (!Number.isInteger(mtu) || mtu < 0 || mtu > 65_535)
    throw invalid(`failed to parse ${MTU} value: "${options[MTU]}"`);
  return mtu;
}

/** @throws invalid for an option that is unknown or malformed */
export function wireSettings(
  { driver, prefix, names, parse }: WireOptions,
  { id, options }: Pick<Network, "id" | "options">,
): WireSettings {
  const unknown = Object.keys(options).find((name) => ![...names, "parent", MTU].includes(name));
  if (unknown !== undefined) throw invalid(`unknown option of the driver ${driver}: ${unknown}`);
  const parent = options.parent || `${prefix}-${id.slice(0, 12)}`;
  if (parent === "lo") throw invalid(`loopback interface is not a valid ${driver} parent link`);
  if (!isInterfaceName(parent)) throw invalid(`invalid name of a network interface: ${JSON.stringify(parent)}`);
  const made = options.parent ? vlanOf(parent) : { name: parent, vlan: undefined };
  return { parent, mtu: mtuOf(options), made, ...parse(options) };
}
