/**
 * Containers' ports on the host. A port is held by a process of the container's own (port-keeper.ts), so that a conflict shows before anything
 * starts and nobody takes it later; packets are led there by the kernel. Owners are containers, by id.
 */

import { existsSync } from "node:fs";
import { internal, invalid } from "../base/errors.ts";
import { errnoName } from "../base/system-error.ts";
import { type Address, asAddress, formatAddress, parseAddress } from "./addresses.ts";
import { bridgeSettings } from "./bridge-options.ts";
import type { Place } from "./endpoints.ts";
import type { Firewall } from "./firewall.ts";
import type { PortRule } from "./firewall-rules.ts";
import type { ProcessIdentity } from "./net-program.ts";
import { adoptKeeper, type HeldGroup, type HeldPorts, type Keeper, keepPorts, PortTaken } from "./port-keeper.ts";
import { formatPort, type PortBinding, type PublishedPort } from "./ports.ts";

/** What a container has published, as it is on record. */
export interface Publication {
  readonly ports: readonly PublishedPort[];
  /** Holds them; undefined when there is nothing to hold. */
  readonly keeper: ProcessIdentity | undefined;
  /** The endpoint that packets are led to. */
  readonly through?: string;
}

const NOTHING: Publication = { ports: [], keeper: undefined };
const ANYWHERE = { 4: "0.0.0.0", 6: "::" } as const;

/** A kernel without IPv6, or one where it is switched off, has no `::`. */
const hasIPv6 = (): boolean => existsSync("/proc/net/if_inet6");

export interface PublishedPortsOptions {
  readonly firewall: Firewall;
  /** bosun-net. */
  readonly program: string;
  /** Whether what no rule can lead goes through the keeper. */
  readonly relays: boolean;
  /** Whether a published port is reached at the container's own address, too, by whoever has a route to it. */
  readonly directRouting: boolean;
}

export class PublishedPorts {
  readonly #keepers = new Map<string, HeldPorts>();
  readonly #published = new Map<string, readonly PublishedPort[]>();

  constructor(readonly options: PublishedPortsOptions) {}

  get firewall(): Firewall {
    return this.options.firewall;
  }

  #rulesOf(bindings: readonly PortBinding[], ports: readonly PublishedPort[], place: Place): readonly PortRule[] {
    const families = ([4, 6] as const).filter((family) => this.options.directRouting || isRouted(place, family));
    return [...ledRules(ports, place), ...directRules(bindings, place, families)];
  }

  /**
   * Takes ports for a container that is about to run.
   * @throws internal in Docker's words for a port that somebody has, or an address that the host has not; nothing is held then
   */
  async open(owner: string, name: string, { bindings, place, early = false }: Asked): Promise<Opened> {
    const held = bindings.filter((binding) => isHeld(binding, place));
    const groups = held.map((binding) => groupOf(binding, place));
    const keeper = groups.length === 0 ? undefined : await this.#keep(owner, groups, { name, place, early });
    const ports = groups.flatMap(({ addresses }, at) => {
      const { port } = held[at] ?? {};
      const hostPort = keeper?.ports[at];
      if (!port || hostPort === undefined) return [];
      return addresses.map((hostAddress) => ({ port, hostAddress, hostPort }));
    });
    ports.push(...bindings.filter(({ port }) => port.protocol === "sctp").flatMap((one) => unheld(one, place)));
    if (keeper) this.#keepers.set(owner, keeper);
    this.#published.set(owner, ports);
    const identity = keeper && { pid: keeper.pid, start: keeper.start };
    const publication = { ports, keeper: identity, through: place.endpoint.id };
    return { publication, follow: (pid) => this.#follow(owner, bindings, place, publication, keeper, pid) };
  }

  /** Packets are led from here on, and the ports are held as long as this process lives. */
  async #follow(
    owner: string,
    bindings: readonly PortBinding[],
    place: Place,
    { ports }: Publication,
    keeper: Keeper | undefined,
    pid: number,
  ): Promise<void> {
    keeper?.follow(pid);
    await this.firewall.publish(owner, this.#rulesOf(bindings, ports, place));
  }

  async #keep(
    owner: string,
    groups: readonly HeldGroup[],
    { name, place, early }: { readonly name: string; readonly place: Place; readonly early: boolean },
  ): Promise<Keeper> {
    const { program, relays } = this.options;
    try {
      return await keepPorts(groups, { program, relays, early });
    } catch (error) {
      if (!(error instanceof PortTaken)) throw error;
      const because = this.#words(owner, error);
      const at = `on endpoint ${name} (${place.endpoint.id})`;
      throw internal(`driver failed programming external connectivity ${at}: ${because}`);
    }
  }

  #words(owner: string, { group, address, port, errno }: PortTaken): string {
    const at = `${address.includes(":") ? `[${address}]` : address}:${port}`;
    const isOurs = [...this.#published].some(
      ([other, ports]) =>
        other !== owner && ports.some((one) => one.hostPort === port && one.port.protocol === group.protocol),
    );
    if (errnoName(errno) === "EADDRNOTAVAIL")
      return `failed to bind host port ${at}/${group.protocol}: cannot assign requested address: the host does not have ${address}`;
    if (errnoName(errno) !== "EADDRINUSE")
      return `failed to bind host port ${at}/${group.protocol}: ${errnoName(errno)}`;
    return isOurs
      ? `Bind for ${at} failed: port is already allocated`
      : `failed to bind host port ${at}/${group.protocol}: address already in use`;
  }

  /**
   * Other ports, or another way to them, for a container that runs. What stays keeps its port of the host, and its connections.
   * @param before  what `open` got; there again after a throw
   * @throws as open
   */
  async change(
    owner: string,
    name: string,
    wanted: Wanted,
    before: Wanted | undefined,
    pid: number,
  ): Promise<Publication> {
    await this.#keepers.get(owner)?.retire();
    this.#keepers.delete(owner);
    try {
      return await this.#openFor(owner, name, wanted, pid);
    } catch (error) {
      if (before) await this.#openFor(owner, name, { ...before, early: true }, pid);
      throw error;
    }
  }

  async #openFor(owner: string, name: string, wanted: Wanted, pid: number): Promise<Publication> {
    const { publication, follow } = await this.open(owner, name, wanted);
    wanted.note(publication); // until it is told whom to follow, a keeper ends with the daemon
    await follow(pid);
    return publication;
  }

  /** After a restart of the daemon: whoever holds the ports. @returns whether that lives still */
  adopt(owner: string, { ports, keeper }: Publication): boolean {
    this.#published.set(owner, ports);
    const adopted = keeper && adoptKeeper(keeper);
    if (adopted) this.#keepers.set(owner, adopted);
    return keeper === undefined || adopted !== undefined;
  }

  /** And the rules that lead there. */
  adoptRules(owner: string, bindings: readonly PortBinding[], { ports }: Publication, place: Place): void {
    this.firewall.adopt(owner, this.#rulesOf(bindings, ports, place));
  }

  /** Idempotent. Returns when the ports are free again. */
  async close(owner: string): Promise<void> {
    const keeper = this.#keepers.get(owner);
    this.#keepers.delete(owner);
    this.#published.delete(owner);
    await this.firewall.unpublish(owner);
    await keeper?.end();
  }
}

export interface Asked {
  readonly bindings: readonly PortBinding[];
  /** The network through which they are reached. */
  readonly place: Place;
  /** An address that the host does not have yet is taken, too: after a boot, some come later than the daemon. */
  readonly early?: boolean;
}

export interface Wanted extends Asked {
  /** Writes down what is held, before it is held for longer than the daemon lives. @throws when it cannot be written */
  readonly note: (publication: Publication) => void;
}

export interface Opened {
  readonly publication: Publication;
  /** @param pid  the container's first process. @throws when rules cannot be set */
  follow(pid: number): Promise<void>;
}

export const nothingOpened: Opened = { publication: NOTHING, follow: async () => {} };

/** In a routed network a port needs no port of the host. */
const isRouted = ({ network }: Place, family: 4 | 6): boolean =>
  network.driver === "bridge" && bridgeSettings(network)[family === 4 ? "mode4" : "mode6"] === "routed";

/** Many kernels have no sockets of SCTP that could hold one of its ports: packets are led, and nobody is kept from taking it. */
const isHeld = (binding: PortBinding, place: Place): boolean =>
  binding.port.protocol !== "sctp" && addressesOf(binding, place).length > 0;

function unheld(binding: PortBinding, place: Place): readonly PublishedPort[] {
  const addresses = addressesOf(binding, place);
  if (addresses.length > 0 && binding.low === 0) throw invalid("a port of SCTP needs a port of the host that is named");
  return addresses.map((hostAddress) => ({ port: binding.port, hostAddress, hostPort: binding.low }));
}

/** An endpoint's addresses that ports of the host lead to (a macvlan is nowhere that the host could lead to), the one first that leads from both families. */
const targetsOf = (place: Place): readonly Address[] =>
  (place.network.driver !== "bridge" ? [] : [place.endpoint.address, place.endpoint.address6])
    .filter((text) => text !== "")
    .map(parseAddress)
    .filter(({ family }) => !isRouted(place, family));

/** Where a binding that names no address is: on every address of the host, of both families. */
function addressesOf({ hostAddress }: PortBinding, place: Place): readonly string[] {
  const { network, endpoint } = place;
  if (targetsOf(place).length === 0) return [];
  const fallback = network.driver === "bridge" ? bridgeSettings(network).hostBinding : "";
  const asked = hostAddress || (fallback === ANYWHERE[4] ? "" : fallback);
  if (asked !== "") return isRouted(place, parseAddress(asked).family) ? [] : [asked];
  const isOn4 = endpoint.address !== "" && !isRouted(place, 4);
  const isOn6 = hasIPv6() && !isRouted(place, 6);
  return [...(isOn4 ? [ANYWHERE[4]] : []), ...(isOn6 ? [ANYWHERE[6]] : [])];
}

function groupOf(binding: PortBinding, place: Place): HeldGroup {
  const { port, low, high } = binding;
  const [target] = targetsOf(place);
  if (port.protocol === "sctp" || !target) throw internal("a port cannot be held");
  const addresses = addressesOf(binding, place);
  return { protocol: port.protocol, addresses, low, high, target: formatAddress(target), targetPort: port.number };
}

/** What the kernel can lead by itself: from an address of the host to one of the same family. */
function ledRules(ports: readonly PublishedPort[], place: Place): readonly PortRule[] {
  const targets = targetsOf(place);
  return ports.flatMap(({ port, hostAddress, hostPort }): PortRule[] => {
    const host = asAddress(hostAddress);
    const target = targets.find(({ family }) => family === host?.family);
    if (!host || !target) return [];
    const rule = { protocol: port.protocol, hostPort, target, targetPort: port.number };
    return [{ ...rule, hostAddress: host.value === 0n ? undefined : host }];
  });
}

/** Ports that are reached at the container's own address. */
function directRules(
  bindings: readonly PortBinding[],
  { endpoint }: Place,
  families: readonly (4 | 6)[],
): readonly PortRule[] {
  const targets = [endpoint.address, endpoint.address6].filter((text) => text !== "").map(parseAddress);
  return bindings.flatMap(({ port }) =>
    targets
      .filter(({ family }) => families.includes(family))
      .map((target) => ({
        ...{ protocol: port.protocol, hostAddress: undefined, hostPort: undefined, target, targetPort: port.number },
      })),
  );
}

/** As users write it: `0.0.0.0:8080->80/tcp`. */
export const describePort = ({ port, hostAddress, hostPort }: PublishedPort): string =>
  `${hostAddress}:${hostPort}->${formatPort(port)}`;
