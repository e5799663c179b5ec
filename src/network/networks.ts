/** The networks that there are: Docker's three, and users' own. Who is in them is in endpoints.ts. */

import { conflict, forbidden, invalid, notFound, unavailable } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import { Locks } from "../base/lock.ts";
import type { Database, Migration } from "../store/database.ts";
import { contains, formatAddress, parseAddress, parseCidr, type Subnet } from "./addresses.ts";
import type { Network, NetworkDriver } from "./driver.ts";
import { checkPools } from "./pool-checks.ts";
import { type AddressPool, checkApart, firstHost, freeSubnet, Pool, type PoolSpec } from "./pools.ts";

export const networkMigrations: readonly Migration[] = [
  {
    name: "network-1",
    sql: "CREATE TABLE networks (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created TEXT NOT NULL) STRICT",
  },
  { name: "network-2", sql: "ALTER TABLE networks ADD COLUMN record TEXT NOT NULL DEFAULT '{}'" },
];

type Identity = Pick<Network, "id" | "name" | "created">;

/** As a request asks for it. */
export type NewNetwork = Omit<Network, "id" | "created" | "hasOwnSubnets" | "dormantPools">;

export interface NetworksOptions {
  readonly database: Database;
  readonly drivers: readonly NetworkDriver[];
  /** The network `bridge` as it is to be. @throws unavailable when no subnet is free */
  readonly defaultBridge: (identity: Identity, recorded: readonly PoolSpec[], used: readonly Subnet[]) => Network;
  /** Whether there is a network `bridge`. */
  readonly hasDefaultBridge: boolean;
  /** By driver: options of new networks that say nothing else. */
  readonly defaultOptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Where subnets come from that nobody chose. */
  readonly pools: readonly AddressPool[];
  /** Where the host's routes lead. */
  readonly hostSubnets: () => readonly Subnet[];
  readonly emit: (action: string, network: Network) => void;
}

interface Row {
  readonly id: string;
  readonly name: string;
  readonly created: string;
  readonly record: string;
}

const PREDEFINED: Readonly<Record<string, string>> = { bridge: "bridge", host: "host", none: "null" };

export const isPredefined = ({ name }: Pick<Network, "name">): boolean => Object.hasOwn(PREDEFINED, name);

export class Networks {
  readonly #options: NetworksOptions;
  readonly #byId = new Map<string, Network>();
  readonly #idByName = new Map<string, string>();
  readonly #pools = new Map<string, readonly Pool[]>();
  readonly #locks = new Locks();

  constructor(options: NetworksOptions) {
    this.#options = options;
    for (const { id, name, created, record } of options.database.all<Row>("SELECT * FROM networks")) {
      const kept: Partial<Network> = JSON.parse(record); // written by this file only
      this.#remember({ ...bare({ id, name, created }, PREDEFINED[name] ?? "bridge"), ...kept });
    }
    const { hasDefaultBridge } = options;
    for (const [name, driver] of Object.entries(PREDEFINED))
      if (!this.find(name) && (name !== "bridge" || hasDefaultBridge))
        this.#save(bare({ id: newId(), name, created: new Date().toISOString() }, driver));
    if (hasDefaultBridge) this.chooseBridge();
    else this.#forgetBridge();
  }

  /** Containers that name it still cannot start. */
  #forgetBridge(): void {
    const bridge = this.find("bridge");
    if (bridge) this.#forget(bridge);
  }

  /** The default bridge as the daemon's options, its interface and the host's routes have it now. It has no containers. */
  chooseBridge(): Network {
    const { id, name, created, pools } = this.get("bridge");
    const others = this.list().flatMap((network) => (network.id === id ? [] : network.pools));
    const used = [...others.map(({ subnet }) => parseCidr(subnet).subnet), ...this.#options.hostSubnets()];
    const chosen = this.#options.defaultBridge({ id, name, created }, pools, used);
    if (Bun.deepEquals(chosen, this.#byId.get(id))) return chosen;
    this.#save(chosen);
    this.#pools.delete(id);
    return chosen;
  }

  #save(network: Network): void {
    const { id, name, created, ...record } = network;
    this.#options.database.run(
      "INSERT OR REPLACE INTO networks (id, name, created, record) VALUES (?, ?, ?, ?)",
      ...[id, name, created, JSON.stringify(record)],
    );
    this.#remember(network);
  }

  #remember(network: Network): void {
    this.#byId.set(network.id, network);
    this.#idByName.set(network.name, network.id);
  }

  list(): readonly Network[] {
    return [...this.#byId.values()];
  }

  /** @param reference  id, name or unique beginning of an id */
  find(reference: string): Network | undefined {
    const exact = this.#byId.get(reference) ?? this.#byId.get(this.#idByName.get(reference) ?? "");
    if (exact || reference === "") return exact;
    const [found, ...more] = this.list().filter(({ id }) => id.startsWith(reference));
    if (more.length > 0)
      throw invalid(`network ${reference} is ambiguous (${more.length + 1} matches found based on ID prefix)`);
    return found;
  }

  /** @throws notFound, invalid */
  get(reference: string): Network {
    const network = this.find(reference);
    if (!network) throw notFound(`network ${reference} not found`);
    return network;
  }

  /** @throws notFound */
  driverOf({ driver }: Pick<Network, "driver">): NetworkDriver {
    const found = this.#options.drivers.find(({ name }) => name === driver);
    if (!found) throw notFound(`plugin ${JSON.stringify(driver)} not found`);
    return found;
  }

  /** Its subnets, with what is taken of them. */
  poolsOf(network: Network): readonly Pool[] {
    const known = this.#pools.get(network.id);
    if (known) return known;
    const pools = network.pools.map((spec) => new Pool(spec));
    this.#pools.set(network.id, pools);
    return pools;
  }

  /** @throws invalid, conflict, forbidden, unavailable in Docker's words; nothing is left behind then */
  async create(asked: NewNetwork): Promise<Network> {
    const { name } = asked;
    if (name.trim() === "") throw invalid("invalid name: name is empty");
    if (Object.hasOwn(PREDEFINED, name) || name === "default")
      throw forbidden(`operation is not permitted on predefined ${name} network`);
    const driver = this.driverOf(asked);
    if (!driver.hasAddresses) throw forbidden(`only one instance of "${asked.driver}" network is allowed`);
    await using _ = await this.#locks.acquire("create"); // subnets are chosen by looking at those of others
    if (this.#idByName.has(name)) throw conflict(`network with name ${name} already exists`);
    const identity = { id: newId(), created: new Date().toISOString() };
    const options = { ...this.#options.defaultOptions[asked.driver], ...asked.options };
    const subnets = this.#subnets(asked);
    const open = { ...asked, ...identity, options, ...subnets };
    driver.check(open, this.list());
    const needsGateway = driver.needsGateway(open);
    const network = { ...open, pools: subnets.pools.map((pool) => completed(pool, needsGateway)) };
    this.#save(network);
    try {
      await driver.ensure(network);
    } catch (error) {
      await driver.remove(network, this.list()).catch(() => {}); // the first failure is what the caller has to know
      this.#forget(network);
      throw error;
    }
    this.#options.emit("create", network);
    return network;
  }

  /** Fills in subnets that the request left open, and lays aside those of a family that the network does not have. */
  #subnets(asked: NewNetwork): Pick<Network, "pools" | "dormantPools" | "hasOwnSubnets"> {
    const used = this.#usedSubnets();
    const families = [...(asked.enableIPv4 ? [4 as const] : []), ...(asked.enableIPv6 ? [6 as const] : [])];
    if (families.length === 0) throw invalid("IPv4 or IPv6 must be enabled");
    checkPools(asked.pools, asked.enableIPv6);
    const given = asked.pools.map((pool) => ({ pool, family: parseCidr(pool.subnet).subnet.family }));
    const isActive = ({ family }: { readonly family: 4 | 6 }) => families.includes(family);
    for (const { pool } of given.filter(isActive)) checkApart(parseCidr(pool.subnet).subnet, used.networks);
    const pools = families.flatMap((family) => {
      const own = given.filter((one) => one.family === family).map(({ pool }) => pool);
      if (own.length > 0) return own;
      const subnet = freeSubnet(this.#options.pools, family, [...used.networks, ...used.host]);
      return [{ subnet: `${formatAddress({ family, value: subnet.base })}/${subnet.prefix}` }];
    });
    const dormantPools = given.flatMap((one) => (isActive(one) ? [] : [one.pool]));
    return {
      ...{ pools, hasOwnSubnets: given.length > 0 },
      ...(dormantPools.length > 0 && { dormantPools }),
    };
  }

  #usedSubnets(): { readonly networks: readonly Subnet[]; readonly host: readonly Subnet[] } {
    const networks = this.list().flatMap(({ pools }) => pools.map(({ subnet }) => parseCidr(subnet).subnet));
    return { networks, host: this.#options.hostSubnets() };
  }

  /** Nobody is in it. @throws notFound, forbidden */
  async remove(reference: string, checkUnused: (network: Network) => void): Promise<Network> {
    const { id } = this.get(reference);
    await using _ = await this.#locks.acquire(id);
    const network = this.get(id);
    if (isPredefined(network)) throw forbidden(`${network.name} is a pre-defined network and cannot be removed`);
    checkUnused(network);
    await this.driverOf(network).remove(network, this.list());
    this.#forget(network);
    this.#options.emit("destroy", network);
    return network;
  }

  #forget({ id, name }: Network): void {
    this.#options.database.run("DELETE FROM networks WHERE id = ?", id);
    this.#byId.delete(id);
    this.#idByName.delete(name);
    this.#pools.delete(id);
  }

  /** Nobody removes the network meanwhile. */
  hold(id: string): Promise<AsyncDisposable> {
    return this.#locks.acquire(id);
  }
}

/** @throws invalid when its parts do not fit together, unavailable */
function completed(spec: PoolSpec, needsGateway: boolean): PoolSpec {
  const pool = new Pool(spec);
  if (!spec.gateway && !needsGateway) return spec;
  const gateway = pool.gateway ?? firstHost(spec.range ? pool.range : pool.subnet);
  const text = formatAddress(gateway);
  if (!contains(pool.subnet, gateway))
    throw unavailable(
      `failed to allocate gateway (${text}): no available IPv${gateway.family} addresses on ${spec.subnet}`,
    );
  const taken = Object.values(spec.auxiliary ?? {}).map((one) => formatAddress(parseAddress(one)));
  if (pool.isReserved(gateway) || taken.includes(text))
    throw unavailable(`failed to allocate gateway (${text}): Address already in use`);
  return { ...spec, gateway: text };
}

const bare = (identity: Identity, driver: string): Network => ({
  ...identity,
  driver,
  enableIPv4: true,
  enableIPv6: false,
  ...{
    internal: false,
    attachable: false,
    options: {},
    labels: {},
    ipamOptions: null,
    pools: [],
    hasOwnSubnets: false,
  },
});
