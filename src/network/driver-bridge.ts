/**
 * A bridge on the host, a veth pair for each container, and rules for what crosses it. A bridge that is there already keeps its addresses.
 */

import { existsSync, writeFileSync } from "node:fs";
import { forbidden, hasCode, invalid } from "../base/errors.ts";
import { Locks } from "../base/lock.ts";
import type { Logger } from "../base/logger.ts";
import { type Address, formatAddress, macOf, parseAddress, parseCidr, parseMac } from "./addresses.ts";
import { bridgeSettings } from "./bridge-options.ts";
import { type Endpoint, type Member, type Network, type NetworkDriver, settingOf, type WayOut } from "./driver.ts";
import type { Firewall } from "./firewall.ts";
import type { Family, Forwarding } from "./forwarding.ts";
import type { InterfaceAddress, Netlink } from "./netlink.ts";
import type { PoolSpec } from "./pools.ts";

export interface BridgeDriverOptions {
  readonly netlink: Netlink;
  readonly firewall: Firewall;
  readonly log: Logger;
  /** Undefined where the host is not to be made to forward. */
  readonly forwarding: Forwarding | undefined;
  /** Whether a bridge gives back a packet where it came from: for containers that ask for their own ports of the host. */
  readonly hairpin: boolean;
  /** Noted at our bridges: tells them from those of other engines. */
  readonly owner: string;
}

/** Source: RFC 8200, section 5. */
const IPV6_LEAST_MTU = 1280;

/** Where there is no such interface there is nothing to switch. */
function writeSwitch(path: string, isOn: boolean): void {
  if (existsSync(path)) writeFileSync(path, isOn ? "1" : "0");
}

/** Families of which packets leave a network. */
const forwarded = ({ enableIPv4, enableIPv6, internal }: Network): readonly Family[] =>
  internal ? [] : [...(enableIPv4 ? [4 as const] : []), ...(enableIPv6 ? [6 as const] : [])];

/** The host's end of an endpoint's pair; at most 15 characters. */
export const vethOf = (endpoint: Endpoint): string => `veth${endpoint.id.slice(0, 11)}`;

/** A bridge's own address in one of its subnets. */
function gatewayOf({ subnet, gateway }: PoolSpec): InterfaceAddress | undefined {
  if (!gateway) return undefined;
  return { address: parseAddress(gateway), prefix: parseCidr(subnet).subnet.prefix };
}

const same = (one: Address, other: Address): boolean => one.family === other.family && one.value === other.value;

/** A bridge needs an address of its own that does not change with its ports. */
const bridgeMac = ({ id }: Network, [first]: readonly InterfaceAddress[]): Uint8Array =>
  first ? macOf(first.address) : Uint8Array.fromHex(`0242${id.slice(0, 8)}`);

/** A process may be gone that looked alive: an end of its interface that vanished was no mischief then. @returns false. @throws any other failure */
function hasEnded(error: unknown): false {
  if (!hasCode(error, "ESRCH", "ENOENT")) throw error;
  return false;
}

export class BridgeDriver implements NetworkDriver {
  readonly name = "bridge";
  readonly hasAddresses = true;
  readonly hasMacs = true;
  readonly #options: BridgeDriverOptions;
  readonly #locks = new Locks();
  /** By network: the index of the interface that is as this daemon wants it; one that somebody made anew has another. */
  readonly #ready = new Map<string, number>();
  /** By network: who is connected, and has to be again when the bridge is made anew. */
  readonly #connected = new Map<string, Map<string, Endpoint>>();

  constructor(options: BridgeDriverOptions) {
    this.#options = options;
  }

  check(network: Network, all: readonly Network[]): void {
    const { bridge, mtu } = bridgeSettings(network);
    if (network.enableIPv6 && mtu < IPV6_LEAST_MTU)
      throw invalid(`a network with IPv6 needs an MTU of at least ${IPV6_LEAST_MTU}, not ${mtu}`);
    const other = all.find((one) => one.driver === this.name && bridgeSettings(one).bridge === bridge);
    if (other)
      throw forbidden(
        `cannot create network ${network.id} (${bridge}): conflicts with network ${other.id} (${bridge}): networks have same bridge name`,
      );
    this.#checkKind(bridge);
  }

  /** One that is there already may be somebody's bridge, but not the host's own way out. @throws forbidden */
  #checkKind(bridge: string): void {
    const kind = this.#options.netlink.kind(bridge);
    if (kind !== undefined && kind !== "bridge") throw forbidden(`existing interface ${bridge} is not a bridge`);
  }

  leaves({ internal }: Network): WayOut {
    return internal ? "nowhere" : "gateway";
  }

  /** The host is one of the network. */
  needsGateway(): boolean {
    return true;
  }

  async ensure(network: Network): Promise<void> {
    await using _ = await this.#locks.acquire(network.id);
    const { netlink } = this.#options;
    const { bridge } = bridgeSettings(network);
    const index = netlink.index(bridge);
    if (index !== undefined && index === this.#ready.get(network.id)) return;
    this.#checkKind(bridge);
    const gateways = this.#gateways(network);
    if (index === undefined) this.#create(network, gateways);
    const present = netlink.addresses(bridge);
    const missing = gateways.filter(({ address }) => !present.some((one) => same(one.address, address)));
    netlink.configure(bridge, { addresses: missing });
    for (const family of forwarded(network)) this.#options.forwarding?.claim(family);
    await this.#options.firewall.setBridge(network);
    this.#setSwitches(network, bridge);
    for (const endpoint of this.#connected.get(network.id)?.values() ?? []) netlink.join(vethOf(endpoint), bridge);
    this.#ready.set(network.id, netlink.index(bridge) ?? -1);
  }

  /** In an isolated network not even the host is a neighbour. */
  #gateways(network: Network): readonly InterfaceAddress[] {
    const { mode4, mode6 } = bridgeSettings(network);
    return network.pools
      .flatMap((pool) => gatewayOf(pool) ?? [])
      .filter(({ address: { family } }) => (family === 4 ? mode4 : mode6) !== "isolated");
  }

  #create(network: Network, gateways: readonly InterfaceAddress[]): void {
    const { netlink, log, owner } = this.#options;
    const { bridge, mtu } = bridgeSettings(network);
    try {
      netlink.createBridge(bridge, bridgeMac(network, gateways), mtu, owner);
    } catch (error) {
      if (!hasCode(error, "EEXIST")) throw error;
    }
    log.info("created bridge", {
      bridge,
      network: network.name,
      addresses: gateways.map(({ address }) => formatAddress(address)).join(),
    });
  }

  #setSwitches(network: Network, bridge: string): void {
    const { enableIPv4, internal } = network;
    const { forwarding, firewall } = this.#options;
    // What is published is led from 127.0.0.1, too. Without the rules that keep containers from that address it has to stay the host's own.
    if (enableIPv4) writeSwitch(`/proc/sys/net/ipv4/conf/${bridge}/route_localnet`, firewall.enabled && !internal);
    for (const family of forwarded(network)) forwarding?.switchOn(family);
  }

  async remove(network: Network): Promise<void> {
    await using _ = await this.#locks.acquire(network.id);
    const { netlink, firewall, owner } = this.#options;
    const { bridge } = bridgeSettings(network);
    this.#ready.delete(network.id);
    this.#connected.delete(network.id);
    await firewall.removeBridge(network);
    if (netlink.noted(owner).includes(bridge)) netlink.remove(bridge); // else it was there before
  }

  async connect(network: Network, endpoint: Endpoint, pid: number, gateways: readonly Address[] = []): Promise<void> {
    const { netlink } = this.#options;
    const { bridge, mtu } = bridgeSettings(network);
    const host = vethOf(endpoint);
    netlink.createVeth(host, bridge, { name: endpoint.interface, pid, mac: parseMac(endpoint.macAddress) }, mtu);
    try {
      netlink.configure(endpoint.interface, { ...settingOf(endpoint), gateways }, pid);
      if (this.#options.hairpin) netlink.turnAround(host);
      await this.#options.firewall.setPort(network, host);
    } catch (error) {
      netlink.remove(host);
      throw error;
    }
    this.adopt(network, endpoint);
  }

  adopt(network: Network, endpoint: Endpoint): void {
    const connected = this.#connected.get(network.id) ?? new Map<string, Endpoint>();
    this.#connected.set(network.id, connected.set(endpoint.id, endpoint));
    this.#options.firewall.adoptPort(network, vethOf(endpoint));
  }

  interfaces(network: Network, endpoints: readonly Endpoint[]): readonly string[] {
    return [bridgeSettings(network).bridge, ...endpoints.map(vethOf)];
  }

  async mend(
    network: Network,
    touched: ReadonlySet<string>,
    members: readonly Member[],
  ): Promise<readonly Member[] | undefined> {
    const { netlink } = this.#options;
    const { bridge } = bridgeSettings(network);
    const isWhole = netlink.index(bridge) === this.#ready.get(network.id) && netlink.isUp(bridge);
    const amiss = members.filter(({ endpoint }) => touched.has(vethOf(endpoint)) && !this.#isPort(endpoint, bridge));
    if (isWhole && amiss.length === 0) return undefined; // what is being made, or taken away, is down, too
    if (!isWhole) this.#ready.delete(network.id);
    await this.ensure(network);
    const again: Member[] = [];
    for (const member of amiss) {
      const host = vethOf(member.endpoint);
      if (netlink.index(host) === undefined) {
        const isBack = await this.connect(network, member.endpoint, member.pid).then(() => true, hasEnded);
        if (isBack) again.push(member);
      } else {
        netlink.join(host, bridge);
        netlink.up(host);
      }
    }
    return again;
  }

  #isPort(endpoint: Endpoint, bridge: string): boolean {
    const { netlink } = this.#options;
    const host = vethOf(endpoint);
    return netlink.isUp(host) && netlink.master(host) === netlink.index(bridge);
  }

  sweep(networks: readonly Network[]): void {
    const { netlink, log, owner } = this.#options;
    const known = new Set(
      networks.filter(({ driver }) => driver === this.name).map((one) => bridgeSettings(one).bridge),
    );
    for (const bridge of netlink.noted(owner)) {
      if (known.has(bridge)) continue;
      log.info("removing a bridge of a network that is gone", { bridge });
      netlink.remove(bridge);
    }
  }

  async disconnect(network: Network, endpoint: Endpoint, pid: number): Promise<void> {
    await this.release(network, endpoint);
    // the host's end goes with it, and some milliseconds later than this returns
    this.#options.netlink.remove(endpoint.interface, pid);
  }

  async release(network: Network, endpoint: Endpoint): Promise<void> {
    this.#connected.get(network.id)?.delete(endpoint.id);
    await this.#options.firewall.removePort(network, vethOf(endpoint));
  }
}
