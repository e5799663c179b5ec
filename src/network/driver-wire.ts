/**
 * Interfaces of containers' own on one of the host's, its *parent*: macvlan, where each is a host of its own on the wire with a MAC of its own, and
 * ipvlan, where all share the parent's MAC. The kernel lets nothing pass between them and the host itself; no rule of ours is met, and no port of
 * the host leads there.
 */

import { conflict, forbidden, hasCode, invalid, unavailable } from "../base/errors.ts";
import { Locks } from "../base/lock.ts";
import type { Logger } from "../base/logger.ts";
import { type Address, parseMac } from "./addresses.ts";
import { type Endpoint, type Member, type Network, type NetworkDriver, settingOf, type WayOut } from "./driver.ts";
import type { Netlink } from "./netlink.ts";
import type { Inside } from "./netlink-links.ts";
import { type Made, type WireOptions, type WireSettings, wireSettings } from "./wire-options.ts";

export interface WireDriverOptions {
  readonly netlink: Netlink;
  readonly log: Logger;
  /** Noted at the interfaces that we make: tells them from those of others. */
  readonly owner: string;
}

export class WireDriver implements NetworkDriver {
  readonly hasAddresses = true;
  readonly #locks = new Locks();

  /** @param kind  macvlan or ipvlan */
  constructor(
    readonly kind: WireOptions,
    readonly options: WireDriverOptions,
  ) {}

  get name(): string {
    return this.kind.driver;
  }

  get hasMacs(): boolean {
    return this.kind.hasMacs;
  }

  #settings(network: Network): WireSettings {
    return wireSettings(this.kind, network);
  }

  #others(network: Network, all: readonly Network[]): readonly (Network & WireSettings)[] {
    const { parent } = this.#settings(network);
    return all
      .filter(({ id, driver }) => id !== network.id && driver === this.name)
      .map((one) => ({ ...one, ...this.#settings(one) }))
      .filter((one) => one.parent === parent);
  }

  check(network: Network, all: readonly Network[]): void {
    const { parent, made, alone } = this.#settings(network);
    const { netlink } = this.options;
    const [other] = this.#others(network, all).filter((one) => alone || one.alone);
    if (other) throw forbidden(`network ${other.id} is already using parent interface ${parent}`);
    if (!netlink.knows(this.kind.driver))
      throw unavailable(`this kernel has no ${this.name} (CONFIG_${this.name.toUpperCase()})`);
    if (netlink.index(parent) !== undefined) return;
    if (!made) throw invalid(`invalid subinterface vlan name ${parent}, example formatting is eth0.10`);
    if (made.vlan && netlink.index(made.vlan.trunk) === undefined)
      throw invalid(`failed to find the parent interface ${made.vlan.trunk} of ${parent}`);
  }

  /** Without a parent of the host's there is no way out. */
  leaves(network: Network): WayOut {
    const { made, routed } = this.#settings(network);
    if (network.internal || (made && !made.vlan)) return "nowhere";
    return routed ? "interface" : "gateway";
  }

  /** A router is on the wire, or is not: the host is none. */
  needsGateway(network: Network): boolean {
    return this.leaves(network) === "gateway";
  }

  async ensure(network: Network): Promise<void> {
    await using _ = await this.#locks.acquire(network.id);
    const { netlink, log } = this.options;
    const { parent, made } = this.#settings(network);
    if (made && netlink.index(parent) === undefined) {
      this.#make(made);
      log.info(`created a parent of ${this.name}s`, { interface: parent, network: network.name });
    }
    netlink.up(parent);
  }

  #make({ name, vlan }: Made): void {
    const { netlink } = this.options;
    const note = this.#note;
    try {
      if (vlan) this.#makeVlan(name, vlan.trunk, vlan.id);
      else netlink.createDummy(name, "dummy", note);
    } catch (error) {
      if (!hasCode(error, "EOPNOTSUPP")) throw error;
      netlink.createDummy(name, "bridge", note); // without ports, it leads nowhere either; every kernel that we run on has it
    }
  }

  #makeVlan(name: string, trunk: string, id: number): void {
    try {
      this.options.netlink.createVlan(name, trunk, id, this.#note);
    } catch (error) {
      if (!hasCode(error, "EOPNOTSUPP")) throw error;
      throw unavailable(`cannot make ${name}: this kernel has no VLANs (CONFIG_VLAN_8021Q)`, { cause: error });
    }
  }

  get #note(): string {
    return `${this.options.owner} ${this.name}`;
  }

  async remove(network: Network, all: readonly Network[]): Promise<void> {
    await using _ = await this.#locks.acquire(network.id);
    const { netlink } = this.options;
    const { parent } = this.#settings(network);
    if (this.#others(network, all).length > 0) return;
    if (netlink.noted(this.#note).includes(parent)) netlink.remove(parent);
  }

  async connect(network: Network, endpoint: Endpoint, pid: number, gateways: readonly Address[] = []): Promise<void> {
    const { netlink } = this.options;
    const { interface: name, macAddress } = endpoint;
    const mac = macAddress === "" ? new Uint8Array() : parseMac(macAddress);
    this.#create(this.#settings(network), { name, pid, mac });
    try {
      netlink.configure(name, { ...settingOf(endpoint), gateways }, pid);
    } catch (error) {
      netlink.remove(name, pid);
      throw error;
    }
  }

  #create({ parent, kind, mtu }: WireSettings, inside: Inside): void {
    try {
      this.options.netlink.createOn(parent, kind, inside, mtu);
    } catch (error) {
      if (!hasCode(error, "EBUSY")) throw error;
      const because = "it is a port of a bridge, or carries interfaces of another kind";
      throw conflict(`cannot create a container's ${kind.name} on ${parent}: ${because}`, { cause: error });
    }
  }

  adopt(): void {}

  interfaces(network: Network): readonly string[] {
    return [this.#settings(network).parent];
  }

  async mend(
    network: Network,
    _: ReadonlySet<string>,
    members: readonly Member[],
  ): Promise<readonly Member[] | undefined> {
    const { netlink } = this.options;
    const { parent, made } = this.#settings(network);
    if (netlink.index(parent) === undefined && !made) return undefined; // pulled out: nothing to be done
    const again = members.filter(({ endpoint, pid }) => netlink.index(endpoint.interface, pid) === undefined);
    if (netlink.isUp(parent) && again.length === 0) return undefined;
    await this.ensure(network);
    for (const { endpoint, pid } of again) await this.connect(network, endpoint, pid);
    return again;
  }

  sweep(networks: readonly Network[]): void {
    const { netlink } = this.options;
    const known = networks.filter(({ driver }) => driver === this.name).map((one) => this.#settings(one).parent);
    for (const name of netlink.noted(this.#note)) if (!known.includes(name)) netlink.remove(name);
  }

  async disconnect(_: Network, endpoint: Endpoint, pid: number): Promise<void> {
    this.options.netlink.remove(endpoint.interface, pid);
  }

  async release(): Promise<void> {}
}
