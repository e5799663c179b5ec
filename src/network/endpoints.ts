/**
 * Who is in which network: endpoints are taken, connected and given back here. A container is in each network at most once; one of its endpoints is
 * its way out.
 */

import { forbidden, invalid } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import { hasNetwork, isRunning, processStart } from "../base/processes.ts";
import { setNetworkSysctl } from "../base/sysctls.ts";
import { checkAddressable } from "./addressable.ts";
import { type Address, contains, formatAddress, formatMac, macOf, parseAddress, parseMac } from "./addresses.ts";
import type { Attachment } from "./attachment.ts";
import { bridgeSettings } from "./bridge-options.ts";
import { routerOf } from "./default-bridge.ts";
import { BARE, type Endpoint, type Member, type Network, type NetworkDriver, type WayOut } from "./driver.ts";
import { askedInterface, checkEndpointOptions, interfaceSysctls } from "./endpoint-options.ts";
import type { Netlink } from "./netlink.ts";
import type { Networks } from "./networks.ts";
import type { Pool } from "./pools.ts";

/** A container in a network. */
export interface Place {
  readonly network: Network;
  readonly endpoint: Endpoint;
  readonly attachment: Attachment;
}

interface Taken {
  readonly address: Address;
  readonly pool: Pool;
}

const FAMILIES = [4, 6] as const;

export class Endpoints {
  /** By container, then by network. */
  readonly #places = new Map<string, Map<string, Place>>();
  /** By container: a process in its network namespace. */
  readonly #processes = new Map<string, { readonly pid: number; readonly start: string | undefined }>();

  constructor(
    readonly networks: Networks,
    readonly netlink: Netlink,
  ) {}

  /** By id of a network. */
  of(containerId: string): ReadonlyMap<string, Place> {
    return this.#places.get(containerId) ?? new Map();
  }

  /** Containers in a network, by id. */
  members(networkId: string): ReadonlyMap<string, Place> {
    const found = [...this.#places].flatMap(([id, places]): [string, Place][] => {
      const place = places.get(networkId);
      return place ? [[id, place]] : [];
    });
    return new Map(found);
  }

  /** Whether an attachment can be had, as far as that can be told before anything is made. @throws notFound, invalid */
  check(attachment: Attachment): Network {
    const network = this.networks.get(attachment.network);
    checkAddressable(network, attachment);
    if (network.name === "bridge" && attachment.aliases.length > 0)
      throw invalid("network-scoped alias is supported only for containers in user defined networks");
    if (attachment.macAddress !== "") this.#checkMac(network, attachment.macAddress);
    checkEndpointOptions(attachment.driverOptions);
    return network;
  }

  #checkMac(network: Network, address: string): void {
    const [first = 0, ...others] = parseMac(address);
    if ((first & 1) === 1 || [first, ...others].every((byte) => byte === 0))
      throw invalid(`invalid MAC address: ${address}: no interface can have it`);
    const driver = this.networks.driverOf(network);
    if (driver.hasAddresses && !driver.hasMacs)
      throw invalid(`${driver.name} interfaces do not support custom mac address assignment`);
  }

  /** Takes a place for a container that is about to start, or runs. @throws forbidden, unavailable, conflict, invalid */
  async reserve(containerId: string, attachment: Attachment): Promise<Place> {
    const { id } = this.check(attachment);
    await using _ = await this.networks.hold(id);
    const network = this.#current(id);
    const places = this.#placesOf(containerId);
    if (places.has(network.id))
      throw forbidden(`endpoint with name ${containerId} already exists in network ${network.name}`);
    await this.networks.driverOf(network).ensure(network);
    const place = { network, attachment, endpoint: this.#endpoint(containerId, network, attachment) };
    places.set(network.id, place);
    return place;
  }

  /** The default bridge has to fit in with what others have made of the host meanwhile. @throws notFound for one that has just been removed */
  #current(id: string): Network {
    const network = this.networks.get(id);
    return network.name === "bridge" && this.members(id).size === 0 ? this.networks.chooseBridge() : network;
  }

  #placesOf(containerId: string): Map<string, Place> {
    const places = this.#places.get(containerId) ?? new Map<string, Place>();
    this.#places.set(containerId, places);
    return places;
  }

  #endpoint(containerId: string, network: Network, attachment: Attachment): Endpoint {
    const identity = { id: newId(), networkId: network.id };
    const driver = this.networks.driverOf(network);
    if (!driver.hasAddresses) return { ...BARE, ...identity };
    const taken: Taken[] = [];
    try {
      for (const family of FAMILIES) taken.push(...this.#take(network, attachment, family));
    } catch (error) {
      for (const { pool, address } of taken) pool.release(address);
      throw error;
    }
    return {
      ...identity,
      interface: this.#freeInterface(containerId, network, attachment),
      ...addressing(taken, driver, network, attachment),
    };
  }

  #take(network: Network, { address, address6 }: Attachment, family: 4 | 6): Taken[] {
    const pools = this.networks.poolsOf(network).filter(({ subnet }) => subnet.family === family);
    const [first] = pools;
    if (!first) return [];
    const wanted = family === 4 ? address : address6;
    if (wanted === "") return [{ pool: first, address: first.take() }];
    const asked = parseAddress(wanted);
    const pool = pools.find(({ subnet }) => contains(subnet, asked)) ?? first;
    return [{ pool, address: pool.claim(asked) }];
  }

  #freeInterface(containerId: string, network: Network, { driverOptions }: Attachment): string {
    const asked = askedInterface(driverOptions);
    const used = new Set([...this.of(containerId).values()].map(({ endpoint }) => endpoint.interface));
    if (asked) {
      if (used.has(asked)) throw invalid(`invalid interface name ${JSON.stringify(asked)}: it is there already`);
      return asked;
    }
    const prefix = network.driver === "bridge" ? bridgeSettings(network).interfacePrefix : "eth";
    for (let at = 0; ; at++) if (!used.has(`${prefix}${at}`)) return `${prefix}${at}`;
  }

  /** A running container that was there before this daemon. A network that is gone by now is left out. */
  async adopt(
    containerId: string,
    attachments: readonly Attachment[],
    endpoints: readonly Endpoint[],
    pid: number,
  ): Promise<void> {
    this.#processes.set(containerId, { pid, start: processStart(pid) });
    for (const endpoint of endpoints) {
      const network = this.networks.find(endpoint.networkId);
      const attachment = attachments.find((one) => network && this.networks.find(one.network)?.id === network.id);
      if (!network || !attachment) continue;
      for (const text of [endpoint.address, endpoint.address6].filter((one) => one !== "")) {
        const address = parseAddress(text);
        this.networks
          .poolsOf(network)
          .find(({ subnet }) => contains(subnet, address))
          ?.adopt(address);
      }
      this.networks.driverOf(network).adopt(network, endpoint);
      this.#placesOf(containerId).set(network.id, { network, endpoint, attachment });
    }
  }

  /** Sets up again what networks with containers need, which somebody may have removed while no daemon looked. */
  async ensureAll(): Promise<void> {
    const networks = this.networks.list();
    for (const network of networks)
      if (this.members(network.id).size > 0) await this.networks.driverOf(network).ensure(network);
    for (const driver of new Set(networks.map((one) => this.networks.driverOf(one)))) driver.sweep(networks);
  }

  /** After somebody has changed interfaces of the host. @param touched  their names. @returns the networks' names where something was mended */
  async mend(touched: ReadonlySet<string>): Promise<readonly string[]> {
    const mended: string[] = [];
    for (const network of this.networks.list()) {
      const driver = this.networks.driverOf(network);
      if (!this.interfaces(network).some((name) => touched.has(name))) continue;
      await using _ = await this.networks.hold(network.id); // nobody is left when somebody removes it meanwhile
      const members = this.#running(network.id);
      if (members.length === 0) continue;
      const again = await driver.mend(network, touched, members);
      if (!again) continue;
      for (const { id, pid } of members.filter(({ endpoint }) => again.some((one) => one.endpoint === endpoint))) {
        const place = this.of(id).get(network.id);
        if (place) setSysctls(place, pid);
        this.route(id, pid);
      }
      mended.push(network.name);
    }
    return mended;
  }

  /** On the host, of a network and who is in it. */
  interfaces(network: Network): readonly string[] {
    const endpoints = [...this.members(network.id).values()].map(({ endpoint }) => endpoint);
    return this.networks.driverOf(network).interfaces(network, endpoints);
  }

  /** Members whose process lives: another may have its pid by now. */
  #running(networkId: string): readonly (Member & { readonly id: string })[] {
    return [...this.members(networkId)].flatMap(([id, { endpoint }]) => {
      const process = this.#processes.get(id);
      return process && this.isAlive(id) ? [{ id, endpoint, pid: process.pid }] : [];
    });
  }

  /** Whether a container's process has a network still: its end may be news to the daemon. */
  isAlive(containerId: string): boolean {
    const { pid, start } = this.#processes.get(containerId) ?? {};
    return pid !== undefined && start !== undefined && isRunning(pid, start) && hasNetwork(pid);
  }

  /** The host's own on the default bridge, which is there afterwards. */
  async bridgeAddresses(): Promise<readonly string[]> {
    const { id } = this.networks.get("bridge");
    await using _ = await this.networks.hold(id);
    const network = this.#current(id);
    await this.networks.driverOf(network).ensure(network);
    return network.pools.flatMap(({ gateway }) => gateway ?? []);
  }

  /** Every place that a container has taken. @param pid  a process in its network namespace */
  async connectAll(containerId: string, pid: number): Promise<void> {
    this.#processes.set(containerId, { pid, start: processStart(pid) });
    const places = this.byPriority(containerId);
    const ways = FAMILIES.map((family) => places.find((place) => gatewayOf(place, family) !== undefined));
    for (const place of this.of(containerId).values()) {
      const gateways = FAMILIES.flatMap((family, at) => (ways[at] === place ? (gatewayOf(place, family) ?? []) : []));
      await this.networks.driverOf(place.network).connect(place.network, place.endpoint, pid, gateways);
      setSysctls(place, pid);
    }
  }

  /** One place of a running container. After a throw, it has not got it. */
  async connect(containerId: string, place: Place, pid: number): Promise<void> {
    const { network, endpoint } = place;
    const driver = this.networks.driverOf(network);
    try {
      await driver.connect(network, endpoint, pid, []);
      try {
        setSysctls(place, pid);
        this.route(containerId, pid);
      } catch (error) {
        await driver.disconnect(network, endpoint, pid);
        throw error;
      }
    } catch (error) {
      await this.#release(containerId, network.id);
      throw error;
    }
  }

  /** A place that was reserved, and is not wanted any more. */
  giveBack(containerId: string, { network }: Place): Promise<void> {
    return this.#release(containerId, network.id);
  }

  /** An interface that nobody is to have, of a daemon that died over it. */
  async takeAway(endpoint: Endpoint, pid: number): Promise<void> {
    const network = this.networks.find(endpoint.networkId);
    if (network) await this.networks.driverOf(network).disconnect(network, endpoint, pid);
    else this.netlink.remove(endpoint.interface, pid);
  }

  /** Takes a running container out of a network. */
  async disconnect(containerId: string, networkId: string, pid: number): Promise<void> {
    const place = this.of(containerId).get(networkId);
    if (!place) return;
    await this.networks.driverOf(place.network).disconnect(place.network, place.endpoint, pid);
    await this.#release(containerId, networkId);
    this.route(containerId, pid);
  }

  /** The network with the highest priority comes first; of several, the first by name. */
  byPriority(containerId: string): readonly Place[] {
    return [...this.of(containerId).values()].toSorted(
      (one, other) =>
        other.attachment.gatewayPriority - one.attachment.gatewayPriority ||
        (one.network.name < other.network.name ? -1 : 1),
    );
  }

  /** Where a container's packets leave, and its published ports are reached; undefined when nothing leads out. */
  wayOut(containerId: string): Place | undefined {
    return this.byPriority(containerId).find((place) => FAMILIES.some((family) => gatewayOf(place, family)));
  }

  /** Sets the way out of each family. */
  route(containerId: string, pid: number): void {
    const places = this.byPriority(containerId);
    if (places.every(({ endpoint }) => endpoint.interface === "")) return;
    for (const family of FAMILIES) {
      const way = places.find((place) => gatewayOf(place, family) !== undefined);
      const gateway = way && gatewayOf(way, family);
      if (gateway) this.netlink.routeThrough(way.endpoint.interface, gateway, pid);
      else if (family === 4 || places.some(({ endpoint }) => endpoint.address6 !== ""))
        this.netlink.removeDefaultRoute(family, pid);
    }
  }

  /** All of a container's places; its namespace has gone. Idempotent. */
  async release(containerId: string): Promise<void> {
    for (const networkId of [...this.of(containerId).keys()]) await this.#release(containerId, networkId);
    this.#places.delete(containerId);
    this.#processes.delete(containerId);
  }

  async #release(containerId: string, networkId: string): Promise<void> {
    const places = this.#placesOf(containerId);
    const place = places.get(networkId);
    if (!place) return;
    places.delete(networkId);
    const { network, endpoint } = place;
    for (const text of [endpoint.address, endpoint.address6].filter((one) => one !== "")) {
      const address = parseAddress(text);
      this.networks
        .poolsOf(network)
        .find(({ subnet }) => contains(subnet, address))
        ?.release(address);
    }
    await this.networks.driverOf(network).release(network, endpoint);
  }

  /** @throws forbidden in the words that clients match */
  checkUnused(network: Network, nameOf: (containerId: string) => string): void {
    const members = [...this.members(network.id)];
    if (members.length === 0) return;
    const who = members.map(([id, { endpoint }]) => `name:"${nameOf(id)}" id:"${endpoint.id.slice(0, 12)}"`).join(", ");
    throw forbidden(`error while removing network: network ${network.name} has active endpoints (${who})`);
  }
}

/** Through which it leads out; an unspecified address when its interface alone does, undefined when nothing does. */
export function gatewayOf({ endpoint }: Pick<Place, "endpoint">, family: 4 | 6): Address | undefined {
  const [address, gateway] =
    family === 4 ? [endpoint.address, endpoint.gateway] : [endpoint.address6, endpoint.gateway6];
  if (endpoint.routed) return address === "" ? undefined : { family, value: 0n };
  return gateway === "" ? undefined : parseAddress(gateway);
}

type Addressing = Omit<Endpoint, "id" | "networkId" | "interface">;

function addressing(
  taken: readonly Taken[],
  driver: NetworkDriver,
  network: Network,
  { macAddress, linkLocal }: Attachment,
): Addressing {
  const way = driver.leaves(network);
  const [v4, v6] = FAMILIES.map((family) => taken.find(({ address }) => address.family === family));
  const first = v4 ?? v6;
  return {
    address: v4 ? formatAddress(v4.address) : "",
    prefix: v4?.pool.subnet.prefix ?? 0,
    gateway: gatewayFor(way, v4),
    address6: v6 ? formatAddress(v6.address) : "",
    prefix6: v6?.pool.subnet.prefix ?? 0,
    gateway6: gatewayFor(way, v6),
    macAddress: macAddress || (first && driver.hasMacs ? formatMac(macOf(first.address)) : ""),
    ...(way === "interface" && { routed: true }),
    ...(linkLocal.length > 0 && { linkLocal }),
  };
}

const gatewayFor = (way: WayOut, taken: Taken | undefined): string =>
  way === "gateway" && taken ? routerOf(taken.pool.spec) : "";

/** Those of the interface, which is there. @throws SystemError */
function setSysctls({ attachment, endpoint }: Place, pid: number): void {
  for (const { path, value } of interfaceSysctls(attachment.driverOptions, endpoint.interface))
    setNetworkSysctl(pid, path, value);
}
