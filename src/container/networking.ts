/** A container's networks, as the network room knows them: its places are taken, connected and given back here. */

import { invalid } from "../base/errors.ts";
import { together } from "../base/together.ts";
import type { Attachment } from "../network/attachment.ts";
import type { Endpoint, Network } from "../network/driver.ts";
import type { Endpoints, Place } from "../network/endpoints.ts";
import type { Networks } from "../network/networks.ts";
import { type PortBinding, type PublishedPort, samePort, withExposed } from "../network/ports.ts";
import { nothingOpened, type Opened, type Publication, type PublishedPorts } from "../network/published-ports.ts";

import type { Naming } from "./naming.ts";
import type { Container } from "./records.ts";

export class Networking {
  constructor(
    readonly networks: Networks,
    readonly endpoints: Endpoints,
    readonly ports: PublishedPorts,
    readonly naming: Naming,
  ) {}

  describe(id: string): { readonly name: string; readonly type: string } {
    const { name, driver } = this.networks.find(id) ?? { name: id, driver: "" };
    return { name, type: driver };
  }

  find(reference: string): Network | undefined {
    return this.networks.find(reference);
  }

  /** Takes a place in each of its networks. @throws notFound, unavailable, conflict, invalid; what is taken is given back by `release` */
  async reserve(container: Container): Promise<readonly Endpoint[]> {
    const { id, networks } = container;
    const taken: Endpoint[] = [];
    for (const attachment of networks) taken.push((await this.endpoints.reserve(id, attachment)).endpoint);
    this.naming.update(container);
    return taken;
  }

  /** @param pid  its first process */
  async connectAll(id: string, pid: number): Promise<void> {
    await together(this.naming.serve(id, pid), this.endpoints.connectAll(id, pid));
  }

  /**
   * One more network for a running container. After a throw, it has not got it.
   * @param note  writes down what it is about to get
   */
  async connect(
    container: Container,
    attachment: Attachment,
    pid: number,
    note: (endpoint: Endpoint) => void,
  ): Promise<Place> {
    const { id } = container;
    const place = await this.endpoints.reserve(id, attachment);
    try {
      note(place.endpoint);
    } catch (error) {
      await this.endpoints.giveBack(id, place);
      throw error;
    }
    await this.endpoints.connect(id, place, pid);
    try {
      this.naming.update(container);
      await this.naming.serve(id, pid);
    } catch (error) {
      await this.disconnect(container, place.network.id, pid);
      throw error;
    }
    return place;
  }

  async disconnect(container: Container, networkId: string, pid: number): Promise<void> {
    const before = this.naming.networksOf(container.id);
    await this.endpoints.disconnect(container.id, networkId, pid);
    this.naming.left(before.filter((id) => id === networkId));
    this.naming.refresh(container);
  }

  /**
   * Takes the ports of a container whose places are taken.
   * @param early  also on addresses that the host does not have yet
   * @throws internal in Docker's words for one that cannot be had
   */
  async publish(container: Container, early: boolean): Promise<Opened> {
    const place = this.endpoints.wayOut(container.id);
    const bindings = bindingsOf(container);
    if (!place || bindings.length === 0) return nothingOpened;
    return this.ports.open(container.id, container.name, { bindings, place, early });
  }

  /** Through which network a container's ports are reached now; undefined when nothing leads out. */
  wayOut(id: string): Place | undefined {
    return this.endpoints.wayOut(id);
  }

  /**
   * Publishes again what a running container is to publish, after its bindings or its way out have changed. What stays keeps its port of the host
   * and its connections.
   * @throws internal, invalid; then what was there before is there again
   */
  async republish({ before, after, pid, through, save, early = false }: Republishing): Promise<Publication> {
    const { id, name } = after;
    const [place, old] = [this.endpoints.wayOut(id), through ?? this.endpoints.wayOut(id)];
    const noteFor = (container: Container) => (publication: Publication) => save({ ...container, publication });
    const bindings = settledBindings(after, before.publication);
    if (!place || bindings.length === 0) {
      await this.ports.close(id);
      return nothingOpened.publication;
    }
    const known = settledBindings(before, before.publication);
    const previous = old && known.length > 0 ? { bindings: known, place: old, note: noteFor(before) } : undefined;
    return this.ports.change(id, name, { bindings, place, note: noteFor(after), early }, previous, pid);
  }

  /**
   * A running container of the daemon before this one, which may have died over a change of its networks.
   * @param save  writes down what it has published, when that has to be done again
   * @throws internal when its ports are gone
   */
  async adopt(container: Container, pid: number, save: Republishing["save"]): Promise<void> {
    const { id, networks, endpoints, publication, leaving } = container;
    if (leaving) await this.endpoints.takeAway(leaving, pid);
    await this.endpoints.adopt(id, networks, endpoints, pid);
    if (leaving) this.endpoints.route(id, pid);
    if (!publication) return;
    const place = this.endpoints.wayOut(id);
    const isHeld = this.ports.adopt(id, publication);
    const { through } = publication;
    if (isHeld && place && (through === undefined || through === place.endpoint.id))
      return this.ports.adoptRules(id, bindingsOf(container), publication, place);
    const same = { before: container, after: container, pid, save, early: true };
    save({ ...container, publication: await this.republish(same) });
  }

  /** Idempotent. */
  async release(id: string): Promise<void> {
    const networks = this.naming.networksOf(id);
    await together(this.ports.close(id), this.naming.release(id));
    await this.endpoints.release(id);
    this.naming.left(networks);
  }
}

export interface Republishing {
  readonly before: Container;
  readonly after: Container;
  /** Its first process. */
  readonly pid: number;
  /** Its way out before, when that is another now. */
  readonly through?: Place | undefined;
  /** Also on addresses that the host does not have yet. */
  readonly early?: boolean;
  /** Writes a container down, before its ports are held for longer than this daemon lives. @throws when it cannot */
  readonly save: (container: Container) => void;
}

/** All that a container is to publish. */
export const bindingsOf = ({ host, config }: Pick<Container, "host" | "config">): readonly PortBinding[] =>
  host.publishAll ? withExposed(host.portBindings, config.exposedPorts) : host.portBindings;

/** Those that are published already with the ports that they have. */
function settledBindings(container: Container, publication: Publication | undefined): readonly PortBinding[] {
  let free = publication?.ports ?? [];
  const settle = (binding: PortBinding): PortBinding => {
    const found = free.find((one) => isPublishedAs(binding, one));
    if (!found) return binding;
    free = free.filter((one) => one.hostPort !== found.hostPort || !isPublishedAs(binding, one)); // both families of one
    return { ...binding, low: found.hostPort, high: found.hostPort };
  };
  const all = bindingsOf(container);
  // what names its port has the first choice
  const settled = new Map(all.toSorted((one, other) => other.low - one.low).map((one) => [one, settle(one)]));
  return all.map((one) => settled.get(one) ?? one);
}

/** Whether a published port is what a binding asked for. */
export const isPublishedAs = ({ port, hostAddress, low, high }: PortBinding, published: PublishedPort): boolean =>
  samePort(published.port, port) &&
  (hostAddress === "" || published.hostAddress === hostAddress) &&
  (low === 0 || (published.hostPort >= low && published.hostPort <= high));

/** Whether an attachment is to this network, by whatever it names it. */
export const isTo = ({ network }: Attachment, { id, name }: Network): boolean =>
  network === name || network === id || (network.length >= 12 && id.startsWith(network));

/** @throws invalid in Docker's words where a container has no networks of its own */
export function checkOwnNetworks({ host }: Container): void {
  if (host.namespaces.network !== "own")
    throw invalid(
      "container sharing network namespace with another container or host cannot be connected to any other network",
    );
}
