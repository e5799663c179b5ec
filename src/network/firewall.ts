/** Firewall rules, through nftables: what there has to be is kept here, and set in one transaction for each change. */

import { internal, unavailable } from "../base/errors.ts";
import { Locks } from "../base/lock.ts";
import { parseCidr } from "./addresses.ts";
import { bridgeSettings } from "./bridge-options.ts";
import type { Network } from "./driver.ts";
import { type BridgeRules, firewallScript, removalScript } from "./firewall-rules.ts";

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

export class Firewall {
  readonly #bridges = new Map<string, BridgeRules>();
  readonly #closedPorts = new Set<string>();
  readonly #locks = new Locks();

  /**
   * @param table    of ours alone, whose name tells engines on one host apart
   * @param enabled  whether any rules are to be set
   */
  constructor(
    readonly table: string,
    readonly enabled: boolean,
  ) {}

  async #apply(): Promise<void> {
    if (!this.enabled) return;
    await using _ = await this.#locks.acquire("table");
    await nft(firewallScript(this.table, [...this.#bridges.values()], [...this.#closedPorts]));
  }

  /** Idempotent; sets everything again, should somebody have removed it. */
  async setBridge(network: Network): Promise<void> {
    this.#bridges.set(network.id, rulesOf(network));
    await this.#apply();
  }

  async removeBridge({ id }: Network): Promise<void> {
    if (this.#bridges.delete(id)) await this.#apply();
  }

  /** A container is connected by this interface of the host's. */
  async setPort({ id }: Network, port: string): Promise<void> {
    if (!this.#bridges.get(id)?.closed || this.#closedPorts.has(port)) return;
    this.#closedPorts.add(port);
    await this.#apply();
  }

  async removePort(_: Network, port: string): Promise<void> {
    if (this.#closedPorts.delete(port)) await this.#apply();
  }
}

/** For whoever cleans up after a daemon: all that a firewall of this name has set. */
export const removeRules = (table: string): Promise<void> => nft(removalScript(table));
