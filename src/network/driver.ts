/**
 * Port: how a container gets into a network.
 *
 * An *endpoint* is a container's place in a network: its addresses are taken before the container's process exists (they stand in /etc/hosts), it is
 * connected once the network namespace is there, and given back when the container has ended. The namespace takes its interfaces with it
 * when it ends. Drivers keep no record of either: networks.ts does.
 */

import { type Address, parseAddress } from "./addresses.ts";
import type { InterfaceAddress } from "./netlink.ts";
import type { PoolSpec } from "./pools.ts";

export interface Network {
  readonly id: string;
  readonly name: string;
  /** ISO 8601. */
  readonly created: string;
  /** As users name it: `bridge`, `host`, `null`, `macvlan`, `ipvlan`. */
  readonly driver: string;
  readonly enableIPv4: boolean;
  readonly enableIPv6: boolean;
  /** Nothing leads out of it. */
  readonly internal: boolean;
  readonly attachable: boolean;
  /** The driver's own: `com.docker.network.*`. */
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly ipamOptions: Readonly<Record<string, string>> | null;
  /** Its subnets, IPv4 first; what a request left open is filled in. */
  readonly pools: readonly PoolSpec[];
  /** Subnets that a request gave to a family that the network does not have: shown to clients, and nobody has addresses of them. */
  readonly dormantPools?: readonly PoolSpec[];
  /** Whether a request chose every subnet: only then may containers ask for an address. */
  readonly hasOwnSubnets: boolean;
}

export interface Endpoint {
  readonly id: string;
  readonly networkId: string;
  /** In the container: `eth0`. Empty when the network has none. */
  readonly interface: string;
  /** IPv4 address without prefix; empty when the network has none. So are gateway and MAC, and those of IPv6. */
  readonly address: string;
  readonly prefix: number;
  readonly gateway: string;
  readonly address6: string;
  readonly prefix6: number;
  readonly gateway6: string;
  readonly macAddress: string;
  /** Whether its interface alone leads out, without a gateway. */
  readonly routed?: true;
  /** Further addresses that reach no farther than the network. */
  readonly linkLocal?: readonly string[];
}

/** Who is connected. */
export interface Member {
  readonly endpoint: Endpoint;
  /** A process in its network namespace. */
  readonly pid: number;
}

/** An endpoint that has nothing of its own, as in the networks `host` and `none`. */
export const BARE = {
  ...{ interface: "", macAddress: "", address: "", prefix: 0, gateway: "", address6: "", prefix6: 0, gateway6: "" },
} as const;

/** Bits of the link's own subnets. Source: RFC 3927, RFC 4291. */
const LINK_LOCAL = { 4: 16, 6: 64 } as const;

/** What its interface gets; only with IPv6 has the kernel a part in it. */
export function settingOf({ address, prefix, address6, prefix6, linkLocal = [] }: Endpoint): {
  readonly addresses: readonly InterfaceAddress[];
  readonly ownAddresses: boolean;
} {
  const addresses = [
    ...(address === "" ? [] : [{ address: parseAddress(address), prefix }]),
    ...(address6 === "" ? [] : [{ address: parseAddress(address6), prefix: prefix6 }]),
    ...linkLocal.map(parseAddress).map((one) => ({ address: one, prefix: LINK_LOCAL[one.family] })),
  ];
  return { addresses, ownAddresses: address6 !== "" };
}

/** How packets leave a network that have no other route: through a gateway's address, by the interface alone, or not at all. */
export type WayOut = "gateway" | "interface" | "nowhere";

export interface NetworkDriver {
  readonly name: string;

  /** Whether containers in it have interfaces and addresses. */
  readonly hasAddresses: boolean;

  /** Whether each interface has a MAC of its own. */
  readonly hasMacs: boolean;

  leaves(network: Network): WayOut;

  /** Whether a subnet that names no gateway is given one. */
  needsGateway(network: Network): boolean;

  /**
   * What a request says that can be told to be wrong before anything is made.
   * @param all  the networks that there are
   * @throws invalid, forbidden, unavailable when the kernel lacks what is needed
   */
  check(network: Network, all: readonly Network[]): void;

  /** Sets up what the network needs on the host (bridge, rules). Idempotent; repairs what was removed by hand. */
  ensure(network: Network): Promise<void>;

  /** Takes all of it away but for what others need, too. Idempotent. @param all  the networks that there are */
  remove(network: Network, all: readonly Network[]): Promise<void>;

  /**
   * Puts the interface into the network namespace of `pid`, up.
   * @param gateways  through which it leads what has no other route; an unspecified address for the interface alone
   * @throws when the kernel refuses; nothing is left then
   */
  connect(network: Network, endpoint: Endpoint, pid: number, gateways: readonly Address[]): Promise<void>;

  /** After a restart of the daemon: the endpoint of a container that runs on. */
  adopt(network: Network, endpoint: Endpoint): void;

  /** Names of its interfaces on the host: of the network, and of these endpoints. */
  interfaces(network: Network, endpoints: readonly Endpoint[]): readonly string[];

  /**
   * Mends what somebody has done to the host's interfaces.
   * @param touched  names of those that changed
   * @param members  who is connected, each with a process in its namespace
   * @returns        who had to be connected again, and has no routes; undefined when nothing was amiss
   */
  mend(
    network: Network,
    touched: ReadonlySet<string>,
    members: readonly Member[],
  ): Promise<readonly Member[] | undefined>;

  /** At start: takes away what is ours on the host and belongs to none of these networks. */
  sweep(networks: readonly Network[]): void;

  /** Takes the interface out of the namespace of `pid`, which lives on. Idempotent. */
  disconnect(network: Network, endpoint: Endpoint, pid: number): Promise<void>;

  /** The namespace has gone, and the interface with it. Idempotent. */
  release(network: Network, endpoint: Endpoint): Promise<void>;
}
