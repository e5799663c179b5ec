/** The real network room over a kernel that is made up, and without a firewall. */

import { builtFile } from "../../src/base/built.ts";
import { silent } from "../../src/base/logger.ts";
import { HostResolv } from "../../src/container/host-resolv.ts";
import { Naming, type NamingOptions } from "../../src/container/naming.ts";
import { Networking } from "../../src/container/networking.ts";
import type { Records } from "../../src/container/records.ts";
import type { Events } from "../../src/events.ts";
import { defaultBridge } from "../../src/network/default-bridge.ts";
import { BridgeDriver } from "../../src/network/driver-bridge.ts";
import { HostDriver } from "../../src/network/driver-host.ts";
import { WireDriver } from "../../src/network/driver-wire.ts";
import { Endpoints } from "../../src/network/endpoints.ts";
import { Firewall } from "../../src/network/firewall.ts";
import { Netlink } from "../../src/network/netlink.ts";
import { Networks } from "../../src/network/networks.ts";
import { DEFAULT_POOLS, uniqueLocalPool } from "../../src/network/pools.ts";
import { PublishedPorts } from "../../src/network/published-ports.ts";
import { IPVLAN, MACVLAN } from "../../src/network/wire-options.ts";
import type { Database } from "../../src/store/database.ts";
import type { FakeKernel } from "./netlink.ts";

const FAMILY = { address: undefined, fixedCidr: undefined, gateway: undefined };

export const BRIDGE = {
  ...{ name: "br0", ipv4: FAMILY, ipv6: FAMILY, enableIPv6: false, mtu: 1500, masquerade: true, icc: true },
  hostBinding: "0.0.0.0",
} as const;

/** A host that asks nobody. */
export const NO_RESOLV = new HostResolv("/nowhere/resolv.conf");

type Names = NamingOptions["service"];

/** Remembers the files that it is given. */
export class FakeNameService implements Names {
  readonly networks = new Map<string, string>();
  readonly containers = new Map<string, string>();
  readonly served = new Map<string, number>();

  setNetwork(id: string, text: string): void {
    this.networks.set(id, text);
  }

  removeNetwork(id: string): void {
    this.networks.delete(id);
  }

  setContainer(id: string, text: string): void {
    this.containers.set(id, text);
  }

  isServed(id: string): boolean {
    return this.served.has(id);
  }

  async serve(id: string, pid: number): Promise<void> {
    this.served.set(id, pid);
  }

  adopt(id: string, pid: number): Promise<void> {
    return this.serve(id, pid);
  }

  async release(id: string): Promise<void> {
    this.served.delete(id);
    this.containers.delete(id);
  }

  sweep(): void {}
}

export function fakeNetworks(
  records: Records,
  database: Database,
  kernel: FakeKernel,
  events: Events,
  bridge: typeof BRIDGE = BRIDGE,
): Networking {
  const netlink = new Netlink(kernel.exchange);
  const firewall = new Firewall({
    table: "none",
    enabled: false,
    respectsHost: false,
    only4: false,
    hairpin: false,
    stops: () => [],
    exchange: kernel.exchange,
  });
  const pools = [...DEFAULT_POOLS, uniqueLocalPool("test")];
  const networks = new Networks({
    database,
    drivers: [
      new BridgeDriver({ netlink, firewall, log: silent, forwarding: undefined, hairpin: false, owner: "test" }),
      ...[MACVLAN, IPVLAN].map((kind) => new WireDriver(kind, { netlink, log: silent, owner: "test" })),
      new HostDriver("host"),
      new HostDriver("null"),
    ],
    pools,
    hasDefaultBridge: true,
    defaultOptions: {},
    hostSubnets: () => [],
    defaultBridge: (identity, recorded, used) =>
      defaultBridge(identity, bridge, { present: netlink.addresses(bridge.name), recorded, used, pools }),
    emit: (action, { id, name, driver }) => events.emit("network", action, id, { name, type: driver }),
  });
  const ports = new PublishedPorts({ firewall, program: builtFile("bosun-net"), relays: true, directRouting: false });
  const endpoints = new Endpoints(networks, netlink);
  const resolver = { servers: [], search: [], options: [] };
  const naming = new Naming({
    records,
    endpoints,
    service: new FakeNameService(),
    resolver,
    log: silent,
    hostResolv: NO_RESOLV,
  });
  return new Networking(networks, endpoints, ports, naming);
}
