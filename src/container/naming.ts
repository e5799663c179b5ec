/** By which names containers find each other, as the name service knows it: its files are written here whenever something of that changes. */

import { networkInterfaces } from "node:os";
import { messageOf } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { Attachment } from "../network/attachment.ts";
import { type Endpoints, gatewayOf, type Place } from "../network/endpoints.ts";
import { containerFile, type NamedHost, type NameLink, networkFile, upstreamsOf } from "../network/name-files.ts";
import type { NameService } from "../network/name-service.ts";
import { isPredefined } from "../network/networks.ts";
import type { Resolver } from "./etc-files.ts";
import type { HostResolv } from "./host-resolv.ts";
import { parseLink } from "./links.ts";
import type { Container, Records } from "./records.ts";
import { isLive } from "./state.ts";

export interface NamingOptions {
  readonly records: Records;
  readonly endpoints: Endpoints;
  readonly service: Pick<
    NameService,
    "setNetwork" | "removeNetwork" | "setContainer" | "isServed" | "serve" | "adopt" | "release" | "sweep"
  >;
  /** What the daemon's configuration says where a request is silent. */
  readonly resolver: Resolver;
  readonly hostResolv: HostResolv;
  readonly log: Logger;
}

/** What a container is known by in a network of users' own. Its own name comes first. */
export const dnsNames = ({ id, name, config }: Container, { aliases }: Attachment): readonly string[] => [
  ...new Set([name, ...aliases, id.slice(0, 12), ...(config.hostname ? [config.hostname] : [])]),
];

/** Networks of users' own have names, the default ones have not. */
const hasNames = ({ network }: Place): boolean => !isPredefined(network);

/** Of an interface of the host. */
const scopeOf = (name: string): number | undefined =>
  networkInterfaces()[name]?.find(({ family }) => family === "IPv6")?.scopeid;

/** A disk may have room again. */
const AGAIN_MS = 1000;

export class Naming {
  readonly #options: NamingOptions;
  /** What could not be written, by whose names it is. */
  readonly #owed = new Map<string, () => void>();
  #timer: Timer | undefined;

  constructor(options: NamingOptions) {
    this.#options = options;
  }

  /** In the order in which they are asked. */
  #placesOf(id: string): readonly Place[] {
    return this.#options.endpoints.byPriority(id).filter(hasNames);
  }

  /** Whether a container with its places taken has a name service. */
  isNamed(id: string): boolean {
    return this.#options.service.isServed(id) || this.#placesOf(id).length > 0;
  }

  /** Whether its name service runs. */
  isServed(id: string): boolean {
    return this.#options.service.isServed(id);
  }

  /** Before the program starts, whenever its places have changed, and when servers have: what it asks, and where others find it. */
  update(container: Container): void {
    const { service } = this.#options;
    const places = this.#placesOf(container.id);
    for (const { network } of places) this.#updateNetwork(network.id);
    if (!this.isNamed(container.id)) return;
    service.setContainer(
      container.id,
      containerFile({
        networkIds: places.map(({ network }) => network.id),
        links: places.flatMap(linksOf),
        upstreams: this.#upstreamsOf(container),
      }),
    );
  }

  #upstreamsOf({ id, host }: Container) {
    const { endpoints, resolver, hostResolv } = this.#options;
    const asked = host.dns.length > 0 ? host.dns : resolver.servers;
    const places = endpoints.byPriority(id);
    const leads = (family: 4 | 6) => places.some((place) => gatewayOf(place, family) !== undefined);
    const ways = { 4: leads(4), 6: leads(6) };
    return upstreamsOf(asked, asked.length > 0 ? [] : hostResolv.resolver().servers, ways, scopeOf);
  }

  /** The same of what has happened already, and cannot be refused: where there is no room for a file, it is tried again until there is. */
  refresh(container: Container): void {
    this.#persistently(`container ${container.id}`, () => this.update(container));
  }

  #persistently(what: string, write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#options.log.warn("names are not what they are to be", { of: what, error: messageOf(error) });
      this.#owed.set(what, write);
      this.#timer ??= setTimeout(() => this.#payOwed(), AGAIN_MS).unref();
    }
  }

  #payOwed(): void {
    const owed = [...this.#owed];
    this.#owed.clear();
    this.#timer = undefined;
    for (const [what, write] of owed) this.#persistently(what, write);
  }

  /** Somebody has come or gone. */
  #updateNetwork(networkId: string): void {
    const { endpoints, records, service } = this.#options;
    let name = "";
    const hosts = [...endpoints.members(networkId)].flatMap(([id, { network, endpoint, attachment }]): NamedHost[] => {
      const container = records.find(id);
      name = network.name;
      return container ? [{ ...endpoint, names: dnsNames(container, attachment) }] : [];
    });
    if (hosts.length === 0) service.removeNetwork(networkId);
    else service.setNetwork(networkId, networkFile(name, hosts));
  }

  /** One whose places are taken, and whose files are written. @param pid  its first process. @throws internal */
  async serve(id: string, pid: number): Promise<void> {
    if (!this.#options.service.isServed(id) && this.#placesOf(id).length > 0)
      await this.#options.service.serve(id, pid);
  }

  /** Networks of a container that is about to give its places back. */
  networksOf(id: string): readonly string[] {
    return this.#placesOf(id).map(({ network }) => network.id);
  }

  /** It is in these networks no more. */
  left(networkIds: readonly string[]): void {
    for (const id of networkIds) this.#persistently(`network ${id}`, () => this.#updateNetwork(id));
  }

  /** It has ended. Idempotent. */
  release(id: string): Promise<void> {
    return this.#options.service.release(id);
  }

  /** At start: containers that run on have their services, and what is left of others goes. From now on the host's servers are followed. */
  async restore(): Promise<void> {
    const { records, service, hostResolv, log } = this.#options;
    const running = records.all().filter(({ id, state }) => isLive(state) && this.isNamed(id));
    service.sweep(new Set(running.map(({ id }) => id)), new Set(running.flatMap(({ id }) => this.networksOf(id))));
    for (const container of running) {
      this.refresh(container);
      if (isLive(container.state))
        await service
          .adopt(container.id, container.state.pid)
          .catch((error) =>
            log.error("a container has no name service", { id: container.id, error: messageOf(error) }),
          );
    }
    hostResolv.follow(() => this.#followHost());
  }

  #followHost(): void {
    for (const container of this.#options.records.all()) if (isLive(container.state)) this.refresh(container);
  }
}

function linksOf({ network, attachment }: Place): readonly NameLink[] {
  return attachment.links.map((link) => {
    const { target, alias } = parseLink(link);
    return { networkId: network.id, alias, target };
  });
}
