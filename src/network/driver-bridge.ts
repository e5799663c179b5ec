/**
 * A bridge on the host, a veth pair for each container, an address from the bridge's subnet, and a masquerade for what goes out.
 * The bridge is made when the first container needs it; one that is there already keeps its address.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { hasCode, invalid, unavailable } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import { Locks } from "../base/lock.ts";
import type { Logger } from "../base/logger.ts";
import {
  contains,
  defaultPools,
  formatAddress,
  formatMac,
  formatSubnet,
  freeAddress,
  macOf,
  overlaps,
  parseAddress,
  parseCidr,
  parseRoutes,
  type Subnet,
} from "./addresses.ts";
import type { Endpoint, NetworkDriver, NetworkInfo } from "./driver.ts";
import { masqueradeRules, setRules } from "./firewall.ts";
import type { Netlink } from "./netlink.ts";

export interface BridgeOptions {
  /** Of the interface. */
  readonly name: string;
  /** The bridge's own address with prefix, as `172.17.0.1/16`; undefined for a free one. */
  readonly address: string | undefined;
  /** Containers get addresses from here, a part of the bridge's subnet. */
  readonly fixedCidr: string | undefined;
  readonly mtu: number;
  readonly masquerade: boolean;
  /** Whether rules may be set at all. */
  readonly firewall: boolean;
  /** Whether the host is made to forward. */
  readonly forward: boolean;
}

interface Layout {
  readonly subnet: Subnet;
  readonly gateway: number;
  /** Where containers' addresses come from. */
  readonly range: Subnet;
}

const FORWARD = "/proc/sys/net/ipv4/ip_forward";

const isFree = (subnet: Subnet): boolean =>
  !parseRoutes(readFileSync("/proc/net/route", "utf8")).some((route) => overlaps(route, subnet));

export class BridgeDriver implements NetworkDriver {
  readonly name = "bridge";
  /** By address. */
  readonly #taken = new Map<number, Endpoint>();
  readonly #locks = new Locks();
  #layout: Layout | undefined;
  /** The interface that is set up as this daemon wants it; one that somebody made anew has another index. */
  #ready: number | undefined;

  constructor(
    readonly networkId: string,
    readonly options: BridgeOptions,
    readonly netlink: Netlink,
    readonly log: Logger,
  ) {}

  #plan(): Layout {
    this.#layout ??= this.#choose();
    return this.#layout;
  }

  /** The bridge's own address if it has one, else `--bip`, else what running containers use, else the first default pool that is free. */
  #choose(): Layout {
    const { name, address, fixedCidr } = this.options;
    const [present] = this.netlink.addresses(name);
    const text = present ? `${formatAddress(present.address)}/${present.prefix}` : address;
    const { subnet, address: gateway } = text ? parseCidr(text) : (this.#usedPool() ?? this.#freePool());
    const range = fixedCidr ? parseCidr(fixedCidr).subnet : subnet;
    if (!contains(subnet, range.base) || range.prefix < subnet.prefix)
      throw invalid(`--fixed-cidr ${formatSubnet(range)} is not inside the subnet of ${name}, ${formatSubnet(subnet)}`);
    return { subnet, gateway, range };
  }

  /** Somebody removed the bridge under containers: they keep their addresses unless the host has given them away since. */
  #usedPool(): { subnet: Subnet; address: number } | undefined {
    const [endpoint] = this.#taken.values();
    const pool = endpoint && parseCidr(`${endpoint.gateway}/${endpoint.prefix}`);
    return pool && isFree(pool.subnet) ? pool : undefined;
  }

  #freePool(): { subnet: Subnet; address: number } {
    for (const subnet of defaultPools()) if (isFree(subnet)) return { subnet, address: subnet.base + 1 };
    throw unavailable(
      `no free subnet for bridge ${this.options.name}: every default pool overlaps a route of this host`,
    );
  }

  async ensure(): Promise<void> {
    await using _ = await this.#locks.acquire("ensure");
    const { name, forward, masquerade, firewall } = this.options;
    const index = this.netlink.index(name);
    if (index !== undefined && index === this.#ready) return;
    this.#layout = undefined;
    if (index === undefined) this.#create();
    const { subnet, gateway } = this.#plan();
    // One without an address is what a daemon left that died here.
    if (this.netlink.addresses(name).length === 0) this.netlink.configure(name, { address: gateway, subnet });
    else this.netlink.up(name);
    if (forward && readFileSync(FORWARD, "utf8").trim() === "0") writeFileSync(FORWARD, "1");
    if (firewall && masquerade) await setRules(name, masqueradeRules(name, subnet));
    for (const endpoint of this.#taken.values()) this.netlink.join(vethOf(endpoint), name);
    this.#ready = this.netlink.index(name);
  }

  #create(): void {
    const { name, mtu } = this.options;
    const { subnet, gateway } = this.#plan();
    try {
      this.netlink.createBridge(name, macOf(gateway), mtu);
    } catch (error) {
      if (!hasCode(error, "EEXIST")) throw error;
    }
    this.log.info("created bridge", { bridge: name, subnet: formatSubnet(subnet) });
  }

  info(): NetworkInfo {
    const { subnet, gateway } = this.#plan();
    return {
      subnet: formatSubnet(subnet),
      gateway: formatAddress(gateway),
      options: {
        "com.docker.network.bridge.default_bridge": "true",
        "com.docker.network.bridge.enable_icc": "true",
        "com.docker.network.bridge.enable_ip_masquerade": String(this.options.masquerade),
        "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
        "com.docker.network.bridge.name": this.options.name,
        "com.docker.network.driver.mtu": String(this.options.mtu),
      },
    };
  }

  reserve(): Endpoint {
    const { subnet, gateway, range } = this.#plan();
    const address = freeAddress(subnet, range, new Set([gateway, ...this.#taken.keys()]));
    const endpoint: Endpoint = {
      id: newId(),
      networkId: this.networkId,
      address: formatAddress(address),
      prefix: subnet.prefix,
      gateway: formatAddress(gateway),
      macAddress: formatMac(macOf(address)),
    };
    this.#taken.set(address, endpoint);
    return endpoint;
  }

  adopt(endpoint: Endpoint): void {
    this.#taken.set(parseAddress(endpoint.address), endpoint);
  }

  async connect(endpoint: Endpoint, pid: number): Promise<void> {
    const address = parseAddress(endpoint.address);
    const { subnet, gateway } = this.#plan();
    const { name, mtu } = this.options;
    this.netlink.createVeth(vethOf(endpoint), name, { name: "eth0", pid, mac: macOf(address) }, mtu);
    this.netlink.configure("eth0", { address, subnet, gateway }, pid);
  }

  async release(endpoint: Endpoint): Promise<void> {
    // The pair went with the network namespace: removing it here would wait for the kernel's clean-up, tens of milliseconds.
    this.#taken.delete(parseAddress(endpoint.address));
  }
}

/** The host's end of an endpoint's pair; at most 15 characters. */
export const vethOf = (endpoint: Endpoint): string => `veth${endpoint.id.slice(0, 11)}`;
