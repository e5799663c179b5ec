/** The network `bridge`: from the daemon's options, and what its interface has already. Pure. */

import { invalid } from "../base/errors.ts";
import {
  formatAddress,
  formatSubnet,
  isInside,
  parseAddress,
  parseCidr,
  type Subnet,
  subnetAround,
} from "./addresses.ts";
import { BRIDGE_OPTIONS } from "./bridge-options.ts";
import type { Network } from "./driver.ts";
import type { InterfaceAddress } from "./netlink.ts";
import { type AddressPool, firstHost, freeSubnet, type PoolSpec } from "./pools.ts";

/** Of one family. */
export interface FamilyOptions {
  /** The bridge's own address with prefix, as `172.17.0.1/16`; undefined for a free one. */
  readonly address: string | undefined;
  /** Containers get addresses from here, a part of the bridge's subnet. */
  readonly fixedCidr: string | undefined;
  /** Where containers send what has no other route; undefined for the bridge. */
  readonly gateway: string | undefined;
}

export interface DefaultBridgeOptions {
  /** Of the interface. */
  readonly name: string;
  readonly ipv4: FamilyOptions;
  readonly ipv6: FamilyOptions;
  readonly enableIPv6: boolean;
  readonly mtu: number;
  readonly masquerade: boolean;
  readonly icc: boolean;
  /** Where ports are published that name no address. */
  readonly hostBinding: string;
}

/** Docker's name for a gateway that is not the bridge. */
const GATEWAY_NAME = { 4: "DefaultGatewayIPv4", 6: "DefaultGatewayIPv6" } as const;

/** Where containers' default route leads. */
export const routerOf = ({ gateway, auxiliary }: PoolSpec): string =>
  auxiliary?.[GATEWAY_NAME[4]] ?? auxiliary?.[GATEWAY_NAME[6]] ?? gateway ?? "";

export interface Surroundings {
  /** What the interface has, when it is there. */
  readonly present: readonly InterfaceAddress[];
  /** What it had under the daemon before this one. */
  readonly recorded: readonly PoolSpec[];
  /** Subnets that are taken: other networks', and where the host's routes lead. */
  readonly used: readonly Subnet[];
  readonly pools: readonly AddressPool[];
}

/** What is there; else what is asked for; else what containers may have still; else what is free. */
function poolOf(family: 4 | 6, options: FamilyOptions, around: Surroundings): PoolSpec {
  const present = around.present.find(({ address }) => address.family === family);
  const recorded = around.recorded.find(({ subnet }) => parseCidr(subnet).subnet.family === family);
  const own = present ? `${formatAddress(present.address)}/${present.prefix}` : options.address;
  const { address, subnet } = own ? parseCidr(own) : chosen(family, options, recorded, around);
  const range = options.fixedCidr ? parseCidr(options.fixedCidr).subnet : undefined;
  if (range && !isInside(range, subnet))
    throw invalid(
      `--fixed-cidr ${formatSubnet(range)} is not inside the subnet of the bridge, ${formatSubnet(subnet)}`,
    );
  return {
    subnet: formatSubnet(subnet),
    gateway: formatAddress(address),
    ...(range && range.prefix !== subnet.prefix && { range: formatSubnet(range) }),
    ...(options.gateway && { auxiliary: { [GATEWAY_NAME[family]]: formatAddress(parseAddress(options.gateway)) } }),
  };
}

/** Nobody says which address the bridge has. */
function chosen(family: 4 | 6, { fixedCidr }: FamilyOptions, recorded: PoolSpec | undefined, around: Surroundings) {
  const isStillFree = (subnet: Subnet) => !around.used.some((other) => formatSubnet(other) === formatSubnet(subnet));
  if (recorded?.gateway && isStillFree(parseCidr(recorded.subnet).subnet)) {
    const { subnet } = parseCidr(recorded.subnet);
    return { subnet, address: parseAddress(recorded.gateway) };
  }
  // dockerd takes the subnet from --fixed-cidr-v6 when there is no other
  const subnet =
    family === 6 && fixedCidr ? parseCidr(fixedCidr).subnet : freeSubnet(around.pools, family, around.used);
  return { subnet: subnetAround({ family, value: subnet.base }, subnet.prefix), address: firstHost(subnet) };
}

/** @throws invalid, unavailable when no subnet is free */
export function defaultBridge(
  { id, name: network, created }: Pick<Network, "id" | "name" | "created">,
  options: DefaultBridgeOptions,
  around: Surroundings,
): Network {
  const { name, ipv4, ipv6, enableIPv6, mtu, masquerade, icc, hostBinding } = options;
  return {
    ...{ id, name: network, created },
    driver: "bridge",
    enableIPv4: true,
    enableIPv6,
    internal: false,
    attachable: false,
    options: {
      [BRIDGE_OPTIONS.isDefault]: "true",
      [BRIDGE_OPTIONS.icc]: String(icc),
      [BRIDGE_OPTIONS.masquerade]: String(masquerade),
      [BRIDGE_OPTIONS.hostBinding]: hostBinding,
      [BRIDGE_OPTIONS.bridge]: name,
      [BRIDGE_OPTIONS.mtu]: String(mtu),
    },
    labels: {},
    ipamOptions: null,
    pools: [poolOf(4, ipv4, around), ...(enableIPv6 ? [poolOf(6, ipv6, around)] : [])],
    hasOwnSubnets: false,
  };
}
