/** A container's networks, as the network room knows them: its places are taken, connected and given back here. */

import { conflict, notFound } from "../base/errors.ts";
import type { Attachment } from "../network/attachment.ts";
import type { Endpoint, Network } from "../network/driver.ts";
import type { Endpoints, Place } from "../network/endpoints.ts";
import type { Networks } from "../network/networks.ts";
import { containerOf } from "./config.ts";
import type { Container } from "./records.ts";

export class Networking {
  constructor(
    readonly networks: Networks,
    readonly endpoints: Endpoints,
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

  adopt({ id, networks, endpoints }: Container): Promise<void> {
    return this.endpoints.adopt(id, networks, endpoints);
  }

  /** Idempotent. */
  release(id: string): Promise<void> {
    return this.endpoints.release(id);
  }
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
