/** What a macvlan network's options mean. Source: Docker's documentation of the macvlan driver. Pure. */

import { invalid } from "../base/errors.ts";
import type { Network } from "./driver.ts";
import { MACVLAN_MODES } from "./netlink.ts";

export type MacvlanMode = keyof typeof MACVLAN_MODES;

/** An interface of the host that a daemon makes when it is missing. */
export interface Made {
  readonly name: string;
  /** A VLAN's trunk and number; undefined for an interface that leads nowhere. */
  readonly vlan: { readonly trunk: string; readonly id: number } | undefined;
}

export interface MacvlanSettings {
  readonly parent: string;
  readonly mode: MacvlanMode;
  /** 0 for the parent's. */
  readonly mtu: number;
  /** Undefined for a parent that has to be there. */
  readonly made: Made | undefined;
}

const MTU = "com.docker.network.driver.mtu";
const KNOWN: ReadonlySet<string> = new Set(["parent", "macvlan_mode", MTU]);

const isMode = (text: string): text is MacvlanMode => Object.hasOwn(MACVLAN_MODES, text);

/** `eth0.10`. */
function vlanOf(parent: string): Made | undefined {
  const [, trunk = "", digits = ""] = /^(.+)\.(\d{1,4})$/.exec(parent) ?? [];
  const id = Number(digits);
  return trunk !== "" && id >= 1 && id <= 4094 ? { name: parent, vlan: { trunk, id } } : undefined;
}

/** @throws invalid for an option that is unknown or malformed */
export function macvlanSettings({ id, options }: Pick<Network, "id" | "options">): MacvlanSettings {
  const unknown = Object.keys(options).find((name) => !KNOWN.has(name));
  if (unknown !== undefined) throw invalid(`unknown option of a macvlan network: ${unknown}`);
  const mode = options.macvlan_mode || "bridge";
  if (!isMode(mode))
    throw invalid(`requested macvlan mode '${mode}' is not valid, 'bridge' mode is the macvlan driver default`);
  const mtu = Number(options[MTU] || 0);
  if (!Number.isInteger(mtu) || mtu < 0 || mtu > 65_535)
    throw invalid(`failed to parse ${MTU} value: "${options[MTU]}"`);
  const parent = options.parent || `dm-${id.slice(0, 12)}`;
  if (parent === "lo") throw invalid("loopback interface is not a valid macvlan parent link");
  if (!/^(?!\.\.?$)[^\s/:]{1,15}$/.test(parent))
    throw invalid(`invalid name of a network interface: ${JSON.stringify(parent)}`);
  return { parent, mode, mtu, made: options.parent ? vlanOf(parent) : { name: parent, vlan: undefined } };
}
