/** Firewall rules, through nftables: what there has to be is kept here, and set in one transaction for each change. */

import { hasCode, unavailable } from "../base/errors.ts";
import { Locks } from "../base/lock.ts";
import { parseCidr } from "./addresses.ts";
import { bridgeSettings } from "./bridge-options.ts";
import type { Flows } from "./conntrack.ts";
import type { Network } from "./driver.ts";
import {
  type BridgeRules,
  firewallScript,
  PORT_SETS,
  type PortRule,
  portElements,
  removalScript,
  SETS,
} from "./firewall-rules.ts";
import type { HostFilter } from "./host-filter.ts";
import { PROGRAM_PATH, run } from "./host-programs.ts";
import type { Exchange } from "./netlink.ts";
import { changeElements, countElements, countRules, type Element, NFPROTO } from "./nftables.ts";

async function nft(script: string): Promise<void> {
  if (!Bun.which("nft", { PATH: PROGRAM_PATH }))
    throw unavailable("nft is missing: install Debian's nftables, or start the daemon with --iptables=false");
  await run(["nft", "-f", "-"], script);
}

function rulesOf(network: Network): BridgeRules {
  const { bridge, icc, masquerade, mode4, mode6 } = bridgeSettings(network);
  const mode = (family: 4 | 6) => (family === 4 ? mode4 : mode6);
  return {
    bridge,
    subnets: network.pools.map(({ subnet }) => parseCidr(subnet).subnet),
    masquerades: (family) => masquerade && !network.internal && mode(family).startsWith("nat"),
    internal: network.internal,
    open: (family) => mode(family) === "nat-unprotected",
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
  /** Whether IPv6 is left to rules of the host's own. */
  readonly only4: boolean;
  /** Whether containers reach their own ports of the host by rules. */
  readonly hairpin: boolean;
  /** Families of which nothing is to be forwarded but what crosses our bridges. */
  readonly stops: () => readonly (4 | 6)[];
  /** Netlink's protocol of netfilter. */
  readonly exchange: Exchange;
  /** Told of what is published; absent where no rules are to be set. */
  readonly flows?: Pick<Flows, "follow">;
  /** What others have set; absent where no rules are to be set. */
  readonly hostFilter?: HostFilter;
}

const nameOf = ({ set, key, data }: Element): string =>
  [set, ...[key, data ?? new Uint8Array()].map((bytes) => Buffer.from(bytes).toString("hex"))].join(" ");

/** How many rules there are, and elements by set: what somebody takes away shows in these. */
type Measure = ReadonlyMap<string, number>;

export class Firewall {
  readonly #options: FirewallOptions;
  readonly #bridges = new Map<string, BridgeRules>();
  /** By owner. */
  readonly #ports = new Map<string, readonly PortRule[]>();
  readonly #closedPorts = new Set<string>();
  readonly #locks = new Locks();
  /** What the kernel had when all was set last. */
  #set: Measure | undefined;

  constructor(options: FirewallOptions) {
    this.#options = options;
  }

  get enabled(): boolean {
    return this.#options.enabled;
  }

  /** Families of which nothing is forwarded but what crosses our bridges. */
  get stopped(): readonly (4 | 6)[] {
    return this.#options.enabled ? this.#options.stops() : [];
  }

  /** Sets everything as it has to be, whatever has become of it. */
  async restore(): Promise<void> {
    if (!this.#options.enabled) return;
    await using _ = await this.#locks.acquire("table");
    await this.#restore();
  }

  async #restore(): Promise<void> {
    const { table, respectsHost, only4, hairpin, stops, hostFilter } = this.#options;
    const state = { bridges: [...this.#bridges.values()], ports: [...this.#ports.values()].flat() };
    const closed = [...this.#closedPorts];
    await nft(firewallScript(table, { ...state, closed, respectsHost, only4, hairpin, stops: stops() }));
    this.#set = this.#measure();
    await hostFilter?.let(state.bridges.map(({ bridge }) => bridge));
  }

  #measure(): Measure {
    const { table, exchange } = this.#options;
    const count = (family: number, sets: readonly string[]) =>
      sets.map((set): [string, number] => [set, countElements(exchange, family, table, set)]);
    const rules = [NFPROTO.inet, NFPROTO.bridge].map((family): [string, number] => [
      `rules of ${family}`,
      countRules(exchange, family, table),
    ]);
    return new Map([...rules, ...count(NFPROTO.inet, SETS.inet), ...count(NFPROTO.bridge, SETS.bridge)]);
  }

  /** What there has to be: ports have come and gone since all was set. */
  #wanted(): Measure {
    const wanted = new Map(this.#set);
    for (const set of PORT_SETS) wanted.set(set, 0);
    for (const { set } of elementsOf([...this.#ports.values()].flat())) wanted.set(set, (wanted.get(set) ?? 0) + 1);
    return wanted;
  }

  /** @returns what is not as it was set; nothing when all is well */
  missing(): readonly string[] {
    if (!this.#options.enabled || this.#set === undefined) return [];
    try {
      const found = this.#measure();
      return [...this.#wanted()].filter(([what, count]) => (found.get(what) ?? 0) < count).map(([what]) => what);
    } catch (error) {
      if (hasCode(error, "ENOENT")) return [`table ${this.#options.table}`];
      throw error;
    }
  }

  /** After somebody else has changed rules: ours are set again when some are missing. @returns what was missing */
  async mend(): Promise<readonly string[]> {
    if (!this.#options.enabled) return [];
    await using _ = await this.#locks.acquire("table");
    const missing = this.missing();
    if (missing.length > 0) {
      await this.#restore();
      this.#follow([...this.#ports.values()].flat(), []); // what came meanwhile went elsewhere
    } else await this.#options.hostFilter?.let([...this.#bridges.values()].map(({ bridge }) => bridge));
    return missing;
  }

  get table(): string {
    return this.#options.table;
  }

  /** What others' rules may do to containers, in words. */
  warnings(): readonly string[] {
    const strangers = this.#options.enabled ? (this.#options.hostFilter?.strangers() ?? []) : [];
    return strangers.map((chain) => `the firewall chain ${chain} drops what the host forwards, also for containers`);
  }

  /** Only elements come and go; when there is not what there should be, all of it is set again. @param note  what is wanted from now on */
  async #change(
    note: () => void,
    changes: { readonly add?: readonly Element[]; readonly remove?: readonly Element[] },
  ): Promise<void> {
    const { table, enabled, exchange } = this.#options;
    await using _ = await this.#locks.acquire("table");
    note();
    if (!enabled || (changes.add ?? []).length + (changes.remove ?? []).length === 0) return;
    try {
      changeElements(exchange, NFPROTO.inet, table, changes);
    } catch (error) {
      if (!hasCode(error, "ENOENT") && !hasCode(error, "EEXIST")) throw error;
      await this.#restore();
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

  /** Leads packets to a container's ports, to these only from now on. @param owner  names them for `unpublish` */
  async publish(owner: string, rules: readonly PortRule[]): Promise<void> {
    const known = this.#ports.get(owner) ?? [];
    const before = elementsOf(known);
    const after = elementsOf(rules);
    const without = (some: readonly Element[], others: readonly Element[]) => {
      const names = new Set(others.map(nameOf));
      return some.filter((one) => !names.has(nameOf(one)));
    };
    await this.#change(() => this.#ports.set(owner, rules), {
      remove: without(before, after),
      add: without(after, before),
    });
    const others = (some: readonly PortRule[], than: readonly PortRule[]) =>
      some.filter((rule) => !than.some((one) => Bun.deepEquals(one, rule)));
    this.#follow(others(rules, known), others(known, rules));
  }

  /** After a restart of the daemon: what is published is so still, and belongs to what is restored. */
  adopt(owner: string, rules: readonly PortRule[]): void {
    this.#ports.set(owner, rules);
  }

  /** Idempotent. */
  async unpublish(owner: string): Promise<void> {
    const rules = this.#ports.get(owner) ?? [];
    if (rules.length === 0) return;
    await this.#change(() => this.#ports.delete(owner), { remove: elementsOf(rules) });
    this.#follow([], rules);
  }

  #follow(set: readonly PortRule[], gone: readonly PortRule[]): void {
    if (this.#options.enabled) this.#options.flows?.follow(set, gone);
  }

  /** After a restart of the daemon: a container is connected by it still, and it belongs to what is restored. */
  adoptPort(network: Network, port: string): void {
    if (rulesOf(network).closed) this.#closedPorts.add(port);
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
