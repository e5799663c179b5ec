/** What a bridge network's options mean. Source: Docker's documentation of the bridge driver. Pure. */

import { invalid } from "../base/errors.ts";
import type { Network } from "./driver.ts";
import { isInterfaceName } from "./interface-names.ts";

/** How a network is reached from outside, and reaches it. Source: Docker's documentation, "gateway modes". */
const GATEWAY_MODES = ["nat", "nat-unprotected", "routed", "isolated"] as const;
export type GatewayMode = (typeof GATEWAY_MODES)[number];

export interface BridgeSettings {
  /** Of the interface on the host. */
  readonly bridge: string;
  readonly mtu: number;
  /** Whether its containers reach each other. */
  readonly icc: boolean;
  readonly masquerade: boolean;
  readonly mode4: GatewayMode;
  readonly mode6: GatewayMode;
  /** Where ports are published that name no address; empty for everywhere. */
  readonly hostBinding: string;
  /** Of interfaces in containers: `eth`. */
  readonly interfacePrefix: string;
}

const NAMES = {
  bridge: "com.docker.network.bridge.name",
  icc: "com.docker.network.bridge.enable_icc",
  masquerade: "com.docker.network.bridge.enable_ip_masquerade",
  hostBinding: "com.docker.network.bridge.host_binding_ipv4",
  mode4: "com.docker.network.bridge.gateway_mode_ipv4",
  mode6: "com.docker.network.bridge.gateway_mode_ipv6",
  isDefault: "com.docker.network.bridge.default_bridge",
  mtu: "com.docker.network.driver.mtu",
  prefix: "com.docker.network.container_iface_prefix",
} as const;
export const BRIDGE_OPTIONS = NAMES;

const KNOWN: ReadonlySet<string> = new Set(Object.values(NAMES));

function flagOf(options: Network["options"], name: string): boolean {
  const text = options[name];
  if (text === undefined || /^(1|t|true)$/i.test(text)) return true;
  if (/^(0|f|false)$/i.test(text)) return false;
  throw invalid(`failed to parse ${name} value: ${JSON.stringify(text)} (want a boolean)`);
}

function modeOf(options: Network["options"], name: string): GatewayMode {
  const text = options[name] || "nat";
  const mode = GATEWAY_MODES.find((one) => one === text);
  if (mode === undefined) throw invalid(`unknown gateway mode ${text}`);
  return mode;
}

function mtuOf(options: Network["options"]): number {
  const text = options[NAMES.mtu];
  if (text === undefined || text === "") return 1500;
  const mtu = Number(text);
  if (!Number.isInteger(mtu) || mtu < 68 || mtu > 65_535)
    throw invalid(`failed to parse ${NAMES.mtu} value: ${JSON.stringify(text)}`);
  return mtu;
}

/** @throws invalid for an option that is unknown or malformed */
export function bridgeSettings({ id, options, internal }: Network): BridgeSettings {
  const unknown = Object.keys(options).find((name) => name.startsWith("com.docker.network.") && !KNOWN.has(name));
  if (unknown !== undefined) throw invalid(`unknown option of a bridge network: ${unknown}`);
  const bridge = options[NAMES.bridge] || `br-${id.slice(0, 12)}`;
  if (!isInterfaceName(bridge)) throw invalid(`invalid name of a network interface: ${JSON.stringify(bridge)}`);
  const prefix = options[NAMES.prefix] || "eth";
  if (!/^[a-zA-Z][\w-]{0,11}$/.test(prefix)) throw invalid(`invalid prefix of interfaces: ${JSON.stringify(prefix)}`);
  const [mode4, mode6] = [modeOf(options, NAMES.mode4), modeOf(options, NAMES.mode6)];
  if (!internal && [mode4, mode6].includes("isolated"))
    throw invalid("gateway mode 'isolated' can only be used for an internal network");
  return {
    bridge,
    mtu: mtuOf(options),
    icc: flagOf(options, NAMES.icc),
    masquerade: flagOf(options, NAMES.masquerade),
    mode4,
    mode6,
    hostBinding: options[NAMES.hostBinding] ?? "",
    interfacePrefix: prefix,
  };
}
