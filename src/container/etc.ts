/** The files that a container sees in /etc: written before its start, kept current while it runs. Their content is in etc-files.ts. */

import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toldOf } from "../base/errors.ts";
import type { Endpoint } from "../network/driver.ts";
import { addressesOf, hostsFile, type Resolver, resolvFile, withAddresses } from "./etc-files.ts";
import type { Container } from "./records.ts";

export class Etc {
  /**
   * @param folderOf  of a container's files
   * @param resolver  what the daemon's configuration says where a request is silent
   */
  constructor(
    readonly folderOf: (id: string) => string,
    readonly resolver: Resolver,
  ) {}

  async write({ id, config, host }: Container, endpoints: readonly Endpoint[]): Promise<void> {
    const folder = this.folderOf(id);
    const ofHost = host.namespaces.network === "host";
    const hostHosts = ofHost ? await readFile("/etc/hosts", "utf8") : undefined;
    const own = {
      servers: host.dns.length > 0 ? host.dns : this.resolver.servers,
      search: host.dnsSearch.length > 0 ? host.dnsSearch : this.resolver.search,
      options: host.dnsOptions.length > 0 ? host.dnsOptions : this.resolver.options,
    };
    const hostResolv = await readFile("/etc/resolv.conf", "utf8").catch(() => "");
    const files = {
      hostname: `${config.hostname}\n`,
      hosts: hostsFile({ ...config, addresses: addressesOf(endpoints), extraHosts: host.extraHosts }, hostHosts),
      "resolv.conf": resolvFile(own, hostResolv, !ofHost),
    };
    await mkdir(folder, { recursive: true });
    for (const [name, text] of Object.entries(files)) {
      const path = join(folder, name);
      await writeFile(path, text).catch((error) => {
        throw toldOf(path, error);
      });
      await chmod(path, 0o644);
    }
  }

  /** After a change of a running container's networks: in its place, for the file is mounted in the container. */
  async rewriteHosts(before: Container, after: Container): Promise<void> {
    const path = join(this.folderOf(after.id), "hosts");
    const [gone, come] = [addressesOf(before.endpoints), addressesOf(after.endpoints)];
    await writeFile(path, withAddresses(await readFile(path, "utf8"), gone, come, after.config));
  }
}
