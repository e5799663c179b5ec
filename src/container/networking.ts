/** A container's networks, as the network room knows them: its places are taken, connected and given back here. */

import { conflict, notFound } from "../base/errors.ts";
import type { Attachment } from "../network/attachment.ts";
import type { Endpoint, Network } from "../network/driver.ts";
import type { Endpoints, Place } from "../network/endpoints.ts";
import type { Networks } from "../network/networks.ts";
import { type PublishedPort, samePort, withExposed } from "../network/ports.ts";
import { nothingOpened, type Opened, type Publication, type PublishedPorts } from "../network/published-ports.ts";
import { containerOf, type HostConfig } from "./config.ts";
import type { Container } from "./records.ts";

export class Networking {
  constructor(
    readonly networks: Networks,
    readonly endpoints: Endpoints,
    readonly ports: PublishedPorts,
  ) {}

  describe(id: string): { readonly name: string; readonly type: string } {
    const { name, driver } = this.networks.find(id) ?? { name: id, driver: "" };
    return { name, type: driver };
  }

  find(reference: string): Network | undefined {
    return this.networks.find(reference);
  }

  /** Takes a place in each of its networks. @throws notFound, unavailable, conflict, invalid; what is taken is given back by `release` */
  async reserve({ id, networks }: Container): Promise<readonly Endpoint[]> {
    const taken: Endpoint[] = [];
    for (const attachment of networks) taken.push((await this.endpoints.reserve(id, attachment)).endpoint);
    return taken;
  }

  /** @param pid  a process in the container's network namespace */
  connectAll(id: string, pid: number): Promise<void> {
    return this.endpoints.connectAll(id, pid);
  }

  /** One more network for a running container. */
  async connect(id: string, attachment: Attachment, pid: number): Promise<Place> {
    const place = await this.endpoints.reserve(id, attachment);
    await this.endpoints.connect(id, place, pid);
    return place;
  }

  async disconnect(id: string, networkId: string, pid: number): Promise<void> {
    await this.endpoints.disconnect(id, networkId, pid);
  }

  /** Takes the ports of a container whose places are taken. @throws internal in Docker's words for one that somebody has */
  async publish({ id, name, config, host }: Container): Promise<Opened> {
    const place = this.endpoints.wayOut(id);
    const bindings = host.publishAll ? withExposed(host.portBindings, config.exposedPorts) : host.portBindings;
    if (!place || bindings.length === 0) return nothingOpened;
    return this.ports.open(id, name, bindings, place);
  }

  /**
   * Publishes again what a running container has published, after its bindings or its way out have changed. What stays keeps its port of the host.
   * @throws internal, invalid; then what was there before is there again
   */
  async republish(before: Container, after: Container, pid: number): Promise<Publication> {
    const { id } = after;
    await this.ports.close(id);
    try {
      const opened = await this.publish({ ...after, host: settledPorts(after, before.publication) });
      await opened.follow(pid);
      return opened.publication;
    } catch (error) {
      await this.ports.close(id);
      const again = await this.publish({ ...before, host: settledPorts(before, before.publication) });
      await again.follow(pid);
      throw error;
    }
  }

  /** A running container of the daemon before this one. @returns what it has published, when that had to be done again */
  async adopt(container: Container, pid: number): Promise<Publication | undefined> {
    const { id, networks, endpoints, publication, config, host } = container;
    await this.endpoints.adopt(id, networks, endpoints, pid);
    const place = this.endpoints.wayOut(id);
    if (!publication || !place) return undefined;
    const bindings = host.publishAll ? withExposed(host.portBindings, config.exposedPorts) : host.portBindings;
    if (this.ports.adopt(id, bindings, publication, place)) return undefined;
    return this.republish(container, container, pid);
  }

  /** Idempotent. */
  async release(id: string): Promise<void> {
    await this.ports.close(id);
    await this.endpoints.release(id);
  }
}

/** Its bindings, those that are published already with the ports that they have. */
function settledPorts({ host, config }: Container, publication: Publication | undefined): HostConfig {
  const bindings = host.publishAll ? withExposed(host.portBindings, config.exposedPorts) : host.portBindings;
  const portBindings = bindings.map((binding) => {
    const { port, hostAddress, low, high } = binding;
    const isIt = (one: PublishedPort) =>
      samePort(one.port, port) &&
      (hostAddress === "" || one.hostAddress === hostAddress) &&
      (low === 0 || (one.hostPort >= low && one.hostPort <= high));
    const found = publication?.ports.find(isIt);
    return found ? { ...binding, low: found.hostPort, high: found.hostPort } : binding;
  });
  return { ...host, portBindings, publishAll: false };
}

/** Whether an attachment is to this network, by whatever it names it. */
export const isTo = ({ network }: Attachment, { id, name }: Network): boolean =>
  network === name || network === id || (network.length >= 12 && id.startsWith(network));

/** @throws conflict in Docker's words where a container has no networks of its own */
export function checkOwnNetworks({ host }: Container): void {
  if (containerOf(host.namespaces.network) !== undefined)
    throw conflict(
      "container sharing network namespace with another container or host cannot be connected to any other network",
    );
}

export const notConnected = (container: string, network: string) =>
  notFound(`container ${container} is not connected to network ${network}`);
