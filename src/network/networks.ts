/** The networks that there are and who is in them. For now the three that Docker predefines; networks of users' own come later. */

import { forbidden, invalid, notFound } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import type { Database, Migration } from "../store/database.ts";
import type { Endpoint, NetworkDriver } from "./driver.ts";

export const networkMigrations: readonly Migration[] = [
  {
    name: "network-1",
    sql: "CREATE TABLE networks (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created TEXT NOT NULL) STRICT",
  },
];

export const PREDEFINED = ["bridge", "host", "none"] as const;
export type NetworkName = (typeof PREDEFINED)[number];

interface Row {
  readonly id: string;
  readonly name: NetworkName;
  readonly created: string;
}

export interface Network extends Row {
  readonly driver: NetworkDriver;
}

/** @returns the driver of a predefined network */
export type DriverOf = (name: NetworkName, networkId: string) => NetworkDriver;

export class Networks {
  readonly #networks: readonly Network[];
  readonly #endpoints = new Map<string, { readonly network: Network; readonly endpoint: Endpoint }>();

  constructor(database: Database, driverOf: DriverOf) {
    this.#networks = PREDEFINED.map((name) => {
      const row = database.find<Row>("SELECT * FROM networks WHERE name = ?", name) ?? insert(database, name);
      return { ...row, driver: driverOf(name, row.id) };
    });
  }

  list(): readonly Network[] {
    return this.#networks;
  }

  /** @param reference  id, name or unique beginning of an id. @throws notFound */
  get(reference: string): Network {
    const exact = this.#networks.find(({ id, name }) => id === reference || name === reference);
    if (exact) return exact;
    const [found, ...more] = this.#networks.filter(({ id }) => id.startsWith(reference));
    if (!found) throw notFound(`network ${reference} not found`);
    if (more.length > 0)
      throw invalid(`network ${reference} is ambiguous (${more.length + 1} matches found based on ID prefix)`);
    return found;
  }

  /** @throws forbidden always: what is there is predefined */
  remove(reference: string): never {
    throw forbidden(`${this.get(reference).name} is a pre-defined network and cannot be removed`);
  }

  /** Containers in a network, by id. */
  members(networkId: string): ReadonlyMap<string, Endpoint> {
    return new Map(
      [...this.#endpoints].flatMap(([id, { network, endpoint }]) => (network.id === networkId ? [[id, endpoint]] : [])),
    );
  }

  /** Takes a place in the network for a container that is about to start. */
  async reserve(name: NetworkName, containerId: string): Promise<Endpoint> {
    const network = this.get(name);
    await network.driver.ensure();
    const endpoint = network.driver.reserve();
    this.#endpoints.set(containerId, { network, endpoint });
    return endpoint;
  }

  /** A running container that was there before this daemon. */
  adopt(name: NetworkName, containerId: string, endpoint: Endpoint): void {
    const network = this.get(name);
    network.driver.adopt(endpoint);
    this.#endpoints.set(containerId, { network, endpoint });
  }

  /** @param pid  a process in the container's network namespace */
  async connect(containerId: string, pid: number): Promise<void> {
    const place = this.#endpoints.get(containerId);
    await place?.network.driver.connect(place.endpoint, pid);
  }

  /** Idempotent. */
  async release(containerId: string): Promise<void> {
    const place = this.#endpoints.get(containerId);
    if (!place) return;
    this.#endpoints.delete(containerId);
    await place.network.driver.release(place.endpoint);
  }
}

function insert(database: Database, name: NetworkName): Row {
  const row = { id: newId(), name, created: new Date().toISOString() };
  database.run("INSERT INTO networks (id, name, created) VALUES (?, ?, ?)", row.id, row.name, row.created);
  return row;
}
