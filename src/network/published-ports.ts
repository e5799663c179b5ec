/**
 * Containers' ports on the host. A port is held by a process of the container's own (port-keeper.ts), so that a conflict shows before anything
 * starts and nobody takes it later; packets are led there by the kernel. Owners are containers, by id.
 */

import { existsSync } from "node:fs";
import { internal, invalid } from "../base/errors.ts";
import { errnoName } from "../base/system-error.ts";
import { asAddress, parseAddress } from "./addresses.ts";
import { bridgeSettings } from "./bridge-options.ts";
import type { Endpoint } from "./driver.ts";
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
}

const NOTHING: Publication = { ports: [], keeper: undefined };
const ANYWHERE = { 4: "0.0.0.0", 6: "::" } as const;

/** A kernel without IPv6, or one where it is switched off, has no `::`. */
const hasIPv6 = (): boolean => existsSync("/proc/net/if_inet6");

export class PublishedPorts {
  readonly #keepers = new Map<string, HeldPorts>();
  readonly #published = new Map<string, readonly PublishedPort[]>();

  /** @param program  bosun-net */
  constructor(
    readonly firewall: Firewall,
    readonly program: string,
  ) {}

  /**
   * Takes ports for a container that is about to run.
   * @param place  the network through which they are reached
   * @throws internal in Docker's words for a port that somebody has; nothing is held then
   */
  async open(owner: string, name: string, bindings: readonly PortBinding[], place: Place): Promise<Opened> {
    const held = bindings.filter((binding) => isHeld(binding, place));
    const groups = held.map((binding) => groupOf(binding, place));
    const keeper = groups.length === 0 ? undefined : await this.#keep(owner, name, groups, place.endpoint);
    const ports = groups.flatMap(({ addresses }, at) => {
      const { port } = held[at] ?? {};
      const hostPort = keeper?.ports[at];
      if (!port || hostPort === undefined) return [];
      return addresses.map((hostAddress) => ({ port, hostAddress, hostPort }));
    });
    ports.push(...bindings.filter(({ port }) => port.protocol === "sctp").flatMap((one) => unheld(one, place)));
    if (keeper) this.#keepers.set(owner, keeper);
    this.#published.set(owner, ports);
    const publication = { ports, keeper: keeper && { pid: keeper.pid, start: keeper.start } };
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
    await this.firewall.publish(owner, rulesOf(bindings, ports, place));
  }

  async #keep(owner: string, name: string, groups: readonly HeldGroup[], { id }: Endpoint): Promise<Keeper> {
    try {
      return await keepPorts(this.program, groups);
    } catch (error) {
      if (!(error instanceof PortTaken)) throw error;
      const because = this.#words(owner, error);
      throw internal(`driver failed programming external connectivity on endpoint ${name} (${id}): ${because}`);
    }
  }

  #words(owner: string, { group, address, port, errno }: PortTaken): string {
    const at = `${address.includes(":") ? `[${address}]` : address}:${port}`;
    const isOurs = [...this.#published].some(
      ([other, ports]) =>
        other !== owner && ports.some((one) => one.hostPort === port && one.port.protocol === group.protocol),
    );
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
      if (before) await this.#openFor(owner, name, before, pid);
      throw error;
    }
  }

  async #openFor(owner: string, name: string, { bindings, place }: Wanted, pid: number): Promise<Publication> {
    const { publication, follow } = await this.open(owner, name, bindings, place);
    await follow(pid);
    return publication;
  }

  /** After a restart of the daemon. @returns whether its keeper lives still */
  adopt(owner: string, bindings: readonly PortBinding[], { ports, keeper }: Publication, place: Place): boolean {
    this.#published.set(owner, ports);
    this.firewall.adopt(owner, rulesOf(bindings, ports, place));
    const adopted = keeper && adoptKeeper(keeper);
    if (adopted) this.#keepers.set(owner, adopted);
    return keeper === undefined || adopted !== undefined;
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

/** What is to be published, and through which network. */
export interface Wanted {
  readonly bindings: readonly PortBinding[];
  readonly place: Place;
}

export interface Opened {
  readonly publication: Publication;
  /** @param pid  the container's first process. @throws when rules cannot be set */
  follow(pid: number): Promise<void>;
}

export const nothingOpened: Opened = { publication: NOTHING, follow: async () => {} };

/** In a routed network a port needs no port of the host. */
const isRouted = ({ network }: Place): boolean =>
  network.driver === "bridge" && bridgeSettings(network).mode4 === "routed";

/** Many kernels have no sockets of SCTP that could hold one of its ports: packets are led, and nobody is kept from taking it. */
const isHeld = ({ port }: PortBinding, place: Place): boolean => port.protocol !== "sctp" && !isRouted(place);

function unheld(binding: PortBinding, place: Place): readonly PublishedPort[] {
  if (isRouted(place)) return [];
  if (binding.low === 0) throw invalid("a port of SCTP needs a port of the host that is named");
  return addressesOf(binding, place).map((hostAddress) => ({ port: binding.port, hostAddress, hostPort: binding.low }));
}

/** Where a binding that names no address is: on every address of the host, of both families. */
function addressesOf({ hostAddress }: PortBinding, { network, endpoint }: Place): readonly string[] {
  const fallback = network.driver === "bridge" ? bridgeSettings(network).hostBinding : "";
  const asked = hostAddress || (fallback === ANYWHERE[4] ? "" : fallback);
  if (asked !== "") return [asked];
  return [...(endpoint.address === "" ? [] : [ANYWHERE[4]]), ...(hasIPv6() ? [ANYWHERE[6]] : [])];
}

function groupOf(binding: PortBinding, place: Place): HeldGroup {
  const { address, address6 } = place.endpoint;
  const { port, low, high } = binding;
  if (port.protocol === "sctp") throw internal("a port of SCTP cannot be held");
  const addresses = addressesOf(binding, place);
  return { protocol: port.protocol, addresses, low, high, target: address || address6, targetPort: port.number };
}

/** What the kernel can lead by itself: from an address of the host to one of the same family. */
function rulesOf(bindings: readonly PortBinding[], ports: readonly PublishedPort[], place: Place): readonly PortRule[] {
  const targets = [place.endpoint.address, place.endpoint.address6].filter((text) => text !== "").map(parseAddress);
  const direct = isRouted(place) ? bindings : [];
  const led = ports.flatMap(({ port, hostAddress, hostPort }): PortRule[] => {
    const host = asAddress(hostAddress);
    const target = targets.find(({ family }) => family === host?.family);
    if (!host || !target) return [];
    const isAnywhere = host.value === 0n;
    const rule = { protocol: port.protocol, hostPort, target, targetPort: port.number };
    return [{ ...rule, hostAddress: isAnywhere ? undefined : host }];
  });
  const routed = direct.flatMap(({ port }) =>
    targets.map((target) => ({
      ...{ protocol: port.protocol, hostAddress: undefined, hostPort: undefined, target, targetPort: port.number },
    })),
  );
  return [...led, ...routed];
}

/** As users write it: `0.0.0.0:8080->80/tcp`. */
export const describePort = ({ port, hostAddress, hostPort }: PublishedPort): string =>
  `${hostAddress}:${hostPort}->${formatPort(port)}`;
