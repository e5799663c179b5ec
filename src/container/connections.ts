/** Connect and disconnect: which networks a container is in changes, now when it runs, and for every start. Source of the words: Moby. */

import { forbidden, invalid, messageOf } from "../base/errors.ts";
import type { Attachment } from "../network/attachment.ts";
import type { Endpoint, Network } from "../network/driver.ts";
import type { Place } from "../network/endpoints.ts";
import { parentsOf, withoutLink } from "./legacy-links.ts";
import type { Life } from "./life.ts";
import { parseLink } from "./links.ts";
import { bindingsOf, checkOwnNetworks, isTo } from "./networking.ts";
import type { Container } from "./records.ts";
import { isLive } from "./state.ts";

export class Connections {
  readonly #life: Life;

  constructor(life: Life) {
    this.#life = life;
  }

  /** @throws notFound, forbidden, conflict, invalid; all is then as before */
  async connect(reference: string, asked: Attachment): Promise<void> {
    const { id } = this.#life.get(reference);
    await using _ = await this.#life.locks.acquire(id);
    const container = this.#life.get(id);
    const { networking } = this.#life.options.launcher;
    const network = networking.endpoints.check(asked);
    checkOwnNetworks(container);
    if (network.name === "host")
      throw invalid("cannot connect container to host network - container must be created in host network mode");
    if (container.networks.some((one) => isTo(one, network)))
      throw forbidden(`endpoint with name ${container.name} already exists in network ${network.name}`);
    const attachment = { ...asked, network: network.name };
    const others = container.networks.filter((one) => one.network !== "none"); // which is left when there is another
    const wanted = { ...container, networks: [...others, attachment] };
    if (!isLive(container.state)) return void (await this.#save(wanted));
    const connected = await this.#join(container, wanted, attachment, container.state.pid);
    this.#life.networkEvent(connected, "connect", network.id);
  }

  /** A running container: it is written what is to be taken away again, until all is there. */
  async #join(container: Container, wanted: Container, attachment: Attachment, pid: number): Promise<Container> {
    const { records, launcher } = this.#life.options;
    const { networking } = launcher;
    const way = networking.wayOut(container.id);
    const note = (leaving: Endpoint) => void records.save({ ...container, leaving });
    try {
      const { endpoint, network } = await networking.connect(container, attachment, pid, note);
      const joined = { ...wanted, endpoints: [...container.endpoints, endpoint] };
      try {
        const connected = await this.#followWay({ ...container, leaving: endpoint }, joined, way, pid);
        await this.#save(connected);
        await this.#rewriteEtc(container, connected);
        return connected;
      } catch (error) {
        await networking.disconnect(container, network.id, pid);
        throw error;
      }
    } catch (error) {
      if (networking.endpoints.isAlive(container.id)) {
        this.#life.settle({ ...records.get(container.id), leaving: undefined });
        throw error;
      }
      await this.#save(wanted); // it has just ended: it is in the network when it starts again
      return wanted;
    }
  }

  /** @param force  also from a network that is gone. @throws notFound, forbidden */
  async disconnect(reference: string, networkReference: string, force: boolean): Promise<void> {
    const { id } = this.#life.get(reference);
    await using _ = await this.#life.locks.acquire(id);
    const container = this.#life.get(id);
    const { networking } = this.#life.options.launcher;
    const network = force ? networking.find(networkReference) : networking.networks.get(networkReference);
    if (container.host.namespaces.network === "host")
      throw invalid("cannot disconnect container from host network - container was created in host network mode");
    const found = container.networks.find((one) => (network ? isTo(one, network) : one.network === networkReference));
    if (!found) throw forbidden(`container ${id} is not connected to network ${network?.name ?? networkReference}`);
    const left = { ...container, networks: container.networks.filter((one) => one !== found) };
    if (!isLive(container.state) || !network) return void (await this.#save(left));
    await this.#part(container, left, network, container.state.pid);
    this.#life.networkEvent(container, "disconnect", network.id);
  }

  /** A running container: it is written that it has left before it does. */
  async #part(container: Container, left: Container, network: Network, pid: number): Promise<void> {
    const { records, launcher, log } = this.#life.options;
    const { networking } = launcher;
    const { id } = container;
    const way = networking.wayOut(id);
    const leaving = container.endpoints.find(({ networkId }) => networkId === network.id);
    const endpoints = container.endpoints.filter((one) => one !== leaving);
    const parted = { ...left, endpoints, leaving };
    records.save(parted);
    await networking.disconnect(container, network.id, pid).catch((error) => {
      if (networking.endpoints.isAlive(id)) throw error; // else it has just ended
    });
    const disconnected = await this.#followWay(parted, parted, way, pid).catch((error) => {
      log.error("a container has lost its ports", { id, error: messageOf(error) });
      return { ...parted, publication: undefined }; // it has left the network already
    });
    await this.#rewriteEtc(container, disconnected);
    await this.#save({ ...disconnected, leaving: undefined });
  }

  /** Published ports are reached through the way out: when that is another now, they are led there. */
  async #followWay(before: Container, after: Container, way: Place | undefined, pid: number): Promise<Container> {
    const { networking } = this.#life.options.launcher;
    if (networking.wayOut(after.id)?.endpoint.id === way?.endpoint.id || bindingsOf(after).length === 0) return after;
    const save = (container: Container) => void this.#life.records.save(container);
    return { ...after, publication: await networking.republish({ before, after, pid, through: way, save }) };
  }

  /** @param name  `parent/alias`. @throws conflict, notFound, internal */
  async removeLink(name: string): Promise<void> {
    const { records, locks } = this.#life;
    const { id } = withoutLink(name, records);
    await using _ = await locks.acquire(id);
    const before = records.get(id);
    const after = withoutLink(name, records);
    await this.#save(after);
    if (isLive(after.state)) await this.#rewriteLinks(before, after);
  }

  /** A container has new addresses: those that are linked to it and run find it there from now on. */
  async relink(id: string): Promise<void> {
    for (const parent of parentsOf(id, this.#life.records)) await this.#rewriteLinks(parent, parent);
  }

  async #rewriteLinks(before: Container, after: Container): Promise<void> {
    const { launcher, log } = this.#life.options;
    const aliases = before.host.links.map((text) => parseLink(text).alias);
    await launcher.etc
      .rewriteLinks(after.id, aliases, launcher.linkedNow(after))
      .catch((error) => log.warn("cannot write a container's hosts file", { id: after.id, error: messageOf(error) }));
  }

  async #save(container: Container): Promise<void> {
    this.#life.records.save(container);
    await this.#life.records.writeFiles(container.id, { "hostconfig.json": container.host });
  }

  async #rewriteEtc(before: Container, after: Container): Promise<void> {
    const { launcher, log } = this.#life.options;
    const { etc, networking } = launcher;
    try {
      await etc.rewriteHosts(before, after);
      if (networking.naming.isNamed(after.id)) await etc.nameServers(after);
    } catch (error) {
      log.warn("cannot write a container's files in /etc", { id: after.id, error: messageOf(error) });
    }
  }
}
