/**
 * Interfaces of containers' own on one of the host's: on the wire each is a host of its own, with a MAC of its own. The kernel lets nothing pass
 * between them and the host itself; no rule of ours is met, and no port of the host leads there.
 */

import { hasCode, invalid } from "../base/errors.ts";
import { Locks } from "../base/lock.ts";
import type { Logger } from "../base/logger.ts";
import { type Address, parseMac } from "./addresses.ts";
import { type Endpoint, type Member, type Network, type NetworkDriver, settingOf } from "./driver.ts";
import { type Made, macvlanSettings } from "./macvlan-options.ts";
import type { Netlink } from "./netlink.ts";

export interface MacvlanDriverOptions {
  readonly netlink: Netlink;
  readonly log: Logger;
  /** Noted at the interfaces that we make: tells them from those of others. */
  readonly owner: string;
}

export class MacvlanDriver implements NetworkDriver {
  readonly name = "macvlan";
  readonly hasAddresses = true;
  readonly #options: MacvlanDriverOptions;
  readonly #locks = new Locks();

  constructor(options: MacvlanDriverOptions) {
    this.#options = options;
  }

  check(network: Network): void {
    const { parent, made } = macvlanSettings(network);
    const { netlink } = this.#options;
    if (netlink.index(parent) !== undefined) return;
    if (!made) throw invalid(`invalid subinterface vlan name ${parent}, example formatting is eth0.10`);
    if (made.vlan && netlink.index(made.vlan.trunk) === undefined)
      throw invalid(`failed to find the parent interface ${made.vlan.trunk} of ${parent}`);
  }

  async ensure(network: Network): Promise<void> {
    await using _ = await this.#locks.acquire(network.id);
    const { netlink, log } = this.#options;
    const { parent, made } = macvlanSettings(network);
    if (made && netlink.index(parent) === undefined) {
      this.#make(made);
      log.info("created a parent of macvlans", { interface: parent, network: network.name });
    }
    netlink.up(parent);
  }

  #make({ name, vlan }: Made): void {
    const { netlink } = this.#options;
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
      this.#options.netlink.createVlan(name, trunk, id, this.#note);
    } catch (error) {
      if (!hasCode(error, "EOPNOTSUPP")) throw error;
      throw invalid(`cannot make ${name}: this kernel has no VLANs (CONFIG_VLAN_8021Q)`, { cause: error });
    }
  }

  get #note(): string {
    return `${this.#options.owner} macvlan`;
  }

  async remove(network: Network): Promise<void> {
    await using _ = await this.#locks.acquire(network.id);
    const { netlink } = this.#options;
    const { parent } = macvlanSettings(network);
    if (netlink.noted(this.#note).includes(parent)) netlink.remove(parent);
  }

  async connect(network: Network, endpoint: Endpoint, pid: number, gateways: readonly Address[] = []): Promise<void> {
    const { netlink } = this.#options;
    const { parent, mode, mtu } = macvlanSettings(network);
    const name = endpoint.interface;
    netlink.createMacvlan(parent, mode, { name, pid, mac: parseMac(endpoint.macAddress) }, mtu);
    try {
      netlink.configure(name, { ...settingOf(endpoint), gateways }, pid);
    } catch (error) {
      netlink.remove(name, pid);
      throw error;
    }
  }

  adopt(): void {}

  interfaces(network: Network): readonly string[] {
    return [macvlanSettings(network).parent];
  }

  async mend(network: Network, _: ReadonlySet<string>, members: readonly Member[]): Promise<readonly Member[]> {
    const { netlink } = this.#options;
    if (netlink.index(macvlanSettings(network).parent) === undefined && !macvlanSettings(network).made) return []; // pulled out: nothing to be done
    await this.ensure(network);
    const again = members.filter(({ endpoint, pid }) => netlink.index(endpoint.interface, pid) === undefined);
    for (const { endpoint, pid } of again) await this.connect(network, endpoint, pid);
    return again;
  }

  sweep(networks: readonly Network[]): void {
    const { netlink } = this.#options;
    const known = networks.filter(({ driver }) => driver === this.name).map((one) => macvlanSettings(one).parent);
    for (const name of netlink.noted(this.#note)) if (!known.includes(name)) netlink.remove(name);
  }

  async disconnect(_: Network, endpoint: Endpoint, pid: number): Promise<void> {
    this.#options.netlink.remove(endpoint.interface, pid);
  }

  async release(): Promise<void> {}
}
