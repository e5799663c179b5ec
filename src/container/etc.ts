/** The files that a container sees in /etc: written before its start, kept current while it runs. Their content is in etc-files.ts. */

import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toldOf } from "../base/errors.ts";
import { together } from "../base/together.ts";
import type { Endpoint } from "../network/driver.ts";
import type { HostConfig } from "./config.ts";
import {
  addressesOf,
  hostsFile,
  namedResolvFile,
  type Resolver,
  resolvFile,
  withAddresses,
  withGateways,
  withLinked,
} from "./etc-files.ts";
import type { HostResolv } from "./host-resolv.ts";
import { type Linked, linkedLines } from "./links.ts";
import type { Container } from "./records.ts";

export interface EtcOptions {
  /** Of a container's files. */
  readonly folderOf: (id: string) => string;
  /** What the daemon's configuration says where a request is silent. */
  readonly resolver: Resolver;
  readonly hostResolv: HostResolv;
  /** Whether a container has a name service of its own. */
  readonly isNamed: (id: string) => boolean;
}

export class Etc {
  constructor(readonly options: EtcOptions) {}

  #path(id: string, name: string): string {
    return join(this.options.folderOf(id), name);
  }

  /** @param linked  containers that it is linked to. @param gateways  what `host-gateway` means */
  async write(
    { id, config, host }: Container,
    endpoints: readonly Endpoint[],
    linked: readonly Linked[],
    gateways: readonly string[],
  ): Promise<void> {
    const ofHost = host.namespaces.network === "host";
    const hostHosts = ofHost ? await readFile("/etc/hosts", "utf8") : undefined;
    const setting = {
      ...config,
      addresses: addressesOf(endpoints),
      extraHosts: withGateways(host.extraHosts, gateways),
      linked: linked.flatMap(linkedLines),
    };
    const files = {
      hostname: `${config.hostname}\n`,
      hosts: hostsFile(setting, hostHosts),
      "resolv.conf": this.#resolv(host, this.options.isNamed(id)),
    };
    await mkdir(this.options.folderOf(id), { recursive: true });
    await together(
      ...Object.entries(files).map(async ([name, text]) => {
        const path = this.#path(id, name);
        await writeFile(path, text).catch((error) => {
          throw toldOf(path, error);
        });
        await chmod(path, 0o644);
      }),
    );
  }

  #resolv({ dns, dnsSearch, dnsOptions, namespaces }: HostConfig, isNamed: boolean): string {
    const { resolver, hostResolv } = this.options;
    const own = {
      servers: dns.length > 0 ? dns : resolver.servers,
      search: dnsSearch.length > 0 ? dnsSearch : resolver.search,
      options: dnsOptions.length > 0 ? dnsOptions : resolver.options,
    };
    const text = hostResolv.text();
    return isNamed ? namedResolvFile(own, text) : resolvFile(own, text, namespaces.network !== "host");
  }

  /** After a change of a running container's networks: in its place, for the file is mounted in the container. */
  async rewriteHosts(before: Container, after: Container): Promise<void> {
    const path = this.#path(after.id, "hosts");
    const [gone, come] = [addressesOf(before.endpoints), addressesOf(after.endpoints)];
    await writeFile(path, withAddresses(await readFile(path, "utf8"), gone, come, after.config));
  }

  /** Of a running container. @param aliases  all that it has had */
  async rewriteLinks(id: string, aliases: readonly string[], linked: readonly Linked[]): Promise<void> {
    const path = this.#path(id, "hosts");
    const before = await readFile(path, "utf8");
    const after = withLinked(before, aliases, linked.flatMap(linkedLines));
    if (after !== before) await writeFile(path, after);
  }

  /** A running container has got a name service: it is asked from now on, unless somebody has written into the file. */
  async nameServers({ id, host }: Container): Promise<void> {
    const path = this.#path(id, "resolv.conf");
    if ((await readFile(path, "utf8")) === this.#resolv(host, false)) await writeFile(path, this.#resolv(host, true));
  }
}
