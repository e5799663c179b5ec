/** Firewall rules, through nftables: what there has to be is kept here, and set in one transaction for each change. */

import { hasCode, internal, unavailable } from "../base/errors.ts";
import { Locks } from "../base/lock.ts";
import { parseCidr } from "./addresses.ts";
import { bridgeSettings } from "./bridge-options.ts";
import type { Network } from "./driver.ts";
import { type BridgeRules, firewallScript, type PortRule, portElements, removalScript } from "./firewall-rules.ts";
import type { Exchange } from "./netlink.ts";
import { changeElements, type Element, NFPROTO } from "./nftables.ts";

async function nft(script: string): Promise<void> {
  const program = Bun.which("nft", { PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin` });
  if (!program)
    throw unavailable("nft is missing: install Debian's nftables, or start the daemon with --iptables=false");
  const child = Bun.spawn([program, "-f", "-"], { stdin: Buffer.from(script), stdout: "ignore", stderr: "pipe" });
  const [error, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  if (code !== 0) throw internal(`Cannot set firewall rules: ${error.trim() || `nft exited with ${code}`}`);
}

function rulesOf(network: Network): BridgeRules {
  const { bridge, icc, masquerade, mode4, mode6 } = bridgeSettings(network);
  const mode = (family: 4 | 6) => (family === 4 ? mode4 : mode6);
  return {
    bridge,
    subnets: network.pools.map(({ subnet }) => parseCidr(subnet).subnet),
    masquerades: (family) => masquerade && !network.internal && mode(family).startsWith("nat"),
    internal: network.internal,
    open: mode4 === "nat-unprotected",
    closed: !icc,
  };
}

/** Each once: a port on two addresses has a part in common. */
function elementsOf(rules: readonly PortRule[]): readonly Element[] {
  const all = rules.flatMap(portElements);
  return [...new Map(all.map((one) => [`${one.set} ${Buffer.from(one.key).toString("hex")}`, one])).values()];
}

export interface FirewallOptions {
  /** Of ours alone, whose name tells engines on one host apart. */
  readonly table: string;
  /** Whether any rules are to be set. */
  readonly enabled: boolean;
  /** Whether what comes from elsewhere to a published port has to pass the host's rules for local traffic. */
  readonly respectsHost: boolean;
  /** Netlink's protocol of netfilter. */
  readonly exchange: Exchange;
}

export class Firewall {
  readonly #options: FirewallOptions;
  readonly #bridges = new Map<string, BridgeRules>();
  /** By owner. */
  readonly #ports = new Map<string, readonly PortRule[]>();
  readonly #closedPorts = new Set<string>();
  readonly #locks = new Locks();

  constructor(options: FirewallOptions) {
    this.#options = options;
  }

  get enabled(): boolean {
    return this.#options.enabled;
  }

  /** Sets everything as it has to be, whatever has become of it. */
  async restore(): Promise<void> {
    const { table, enabled, respectsHost } = this.#options;
    if (!enabled) return;
    await using _ = await this.#locks.acquire("table");
    const state = { bridges: [...this.#bridges.values()], ports: [...this.#ports.values()].flat() };
    await nft(firewallScript(table, { ...state, closed: [...this.#closedPorts], respectsHost }));
  }

  /** Only elements come and go; when there is not what there should be, all of it is set again. */
  async #change(changes: { readonly add?: readonly Element[]; readonly remove?: readonly Element[] }): Promise<void> {
    const { table, enabled, exchange } = this.#options;
    if (!enabled) return;
    try {
      await using _ = await this.#locks.acquire("table");
      changeElements(exchange, NFPROTO.inet, table, changes);
    } catch (error) {
      if (!hasCode(error, "ENOENT") && !hasCode(error, "EEXIST")) throw error;
      await this.restore();
    }
  }

  /** Idempotent; sets everything again, should somebody have removed it. */
  async setBridge(network: Network): Promise<void> {
    this.#bridges.set(network.id, rulesOf(network));
    await this.restore();
  }

  async removeBridge({ id }: Network): Promise<void> {
    if (this.#bridges.delete(id)) await this.restore();
  }

  /** Leads packets to a container's ports. @param owner  names them for `unpublish` */
  async publish(owner: string, rules: readonly PortRule[]): Promise<void> {
    if (rules.length === 0) return;
    this.#ports.set(owner, rules);
    await this.#change({ add: elementsOf(rules) });
  }

  /** After a restart of the daemon: what is published is so still, and belongs to what is restored. */
  adopt(owner: string, rules: readonly PortRule[]): void {
    this.#ports.set(owner, rules);
  }

  /** Idempotent. */
  async unpublish(owner: string): Promise<void> {
    const rules = this.#ports.get(owner) ?? [];
    this.#ports.delete(owner);
    if (rules.length > 0) await this.#change({ remove: elementsOf(rules) });
  }

  /** A container is connected by this interface of the host's. */
  async setPort({ id }: Network, port: string): Promise<void> {
    if (!this.#bridges.get(id)?.closed || this.#closedPorts.has(port)) return;
    this.#closedPorts.add(port);
    await this.restore();
  }

  async removePort(_: Network, port: string): Promise<void> {
    if (this.#closedPorts.delete(port)) await this.restore();
  }
}

/** For whoever cleans up after a daemon: all that a firewall of this name has set. */
export const removeRules = (table: string): Promise<void> => nft(removalScript(table));
