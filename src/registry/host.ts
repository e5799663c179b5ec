/**
 * Which hosts a name's domain means, and how far each is trusted. Loopback addresses, and what the user listed as insecure, may speak
 * plain HTTP or show a certificate that nobody signed. Source: dockerd(8), --insecure-registry and --registry-mirror.
 */

import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { invalid } from "../base/errors.ts";
import { defaultDomain } from "../base/reference.ts";

/** How far a host is trusted, and what it is shown. */
export interface Trust {
  /** Certificates are not verified. */
  readonly insecure: boolean;
  /** Never through a proxy: the address is this machine's own. */
  readonly direct: boolean;
  readonly certificates?: Certificates | undefined;
}

/** A server that speaks the distribution protocol. */
export interface Endpoint extends Trust {
  /** Ends with a slash, as `https://registry-1.docker.io/`; `v2/` follows. */
  readonly base: URL;
}

export interface Host {
  /** Names the host in caches. */
  readonly name: string;
  /**
   * A copy that the user set up: it never sees the user's credentials. They belong to the origin, and a request carries no others: a mirror
   * that wants some cannot be used, as with dockerd.
   */
  readonly mirror: boolean;
  /** Of a mirror that may serve several registries: the one that is meant. Sent as containerd does it, as `?ns=`. */
  readonly namespace?: string;
  /** Ways to reach it, to be tried in order until one connects. */
  readonly endpoints: readonly Endpoint[];
}

/** Certificate authorities beside the usual ones, and what the client shows; PEM. */
export interface Certificates {
  readonly ca?: readonly string[];
  readonly cert?: string;
  readonly key?: string;
}

/** Where Docker Hub's registry lives. */
const hubHost = "registry-1.docker.io";

type Resolve = (host: string) => Promise<readonly string[]>;
const resolveAll: Resolve = async (host) => (await lookup(host, { all: true })).map((found) => found.address);

const familyOf = (address: string) => (isIP(address) === 6 ? "ipv6" : "ipv4");

function addressList(blocks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const block of blocks) {
    const [address = "", prefix = ""] = block.split("/");
    const most = isIP(address) === 6 ? 128 : 32;
    if (isIP(address) === 0 || !/^\d{1,3}$/.test(prefix) || Number(prefix) > most)
      throw invalid(
        `invalid insecure registry ${JSON.stringify(block)}: want host[:port] or an address block as 10.0.0.0/8`,
      );
    list.addSubnet(address, Number(prefix), familyOf(address));
  }
  return list;
}

const loopback = addressList(["127.0.0.0/8", "::1/128"]);

const localNames = /^(?:.+\.)?localhost$/i;

/** @returns whether an address is this machine's own, told without looking names up. */
export function isLoopback(url: URL): boolean {
  const hostname = hostnameOf(url.host);
  return localNames.test(hostname) || (isIP(hostname) !== 0 && loopback.check(hostname, familyOf(hostname)));
}

/** Of a host that nobody named: another one sent us there. */
export const strangerTrust = (url: URL): Trust => ({ insecure: false, direct: isLoopback(url) });

/** `[::1]:5000` → `::1`. */
const hostnameOf = (domain: string): string => domain.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");

function mirrorUrl(text: string): URL {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username)
    throw invalid(`invalid mirror: ${JSON.stringify(text)} is not a URL as https://mirror.example/`);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

export interface HostsOptions {
  /** URLs of copies of Docker Hub, tried in order before it. */
  readonly hubMirrors?: readonly string[];
  /** URLs of copies of a registry, by its domain; those of `*` come after, for every domain. */
  readonly mirrors?: Readonly<Record<string, readonly string[]>>;
  /** `host`, `host:port` or address blocks. */
  readonly insecure?: readonly string[];
  /** What is shown to `host[:port]`. */
  readonly certificatesOf?: (authority: string) => Promise<Certificates | undefined>;
  readonly resolve?: Resolve;
}

const everyDomain = "*";

export class Hosts {
  readonly #hubMirrors: readonly URL[];
  readonly #mirrors: ReadonlyMap<string, readonly URL[]>;
  readonly #insecureNames: ReadonlySet<string>;
  readonly #insecureBlocks: BlockList;
  readonly #looksUp: boolean;
  readonly #certificatesOf: (authority: string) => Promise<Certificates | undefined>;
  readonly #resolve: Resolve;

  /** @throws invalid */
  constructor(options: HostsOptions) {
    const { hubMirrors = [], mirrors = {}, insecure = [], resolve = resolveAll } = options;
    const blocks = insecure.filter((entry) => entry.includes("/"));
    this.#hubMirrors = hubMirrors.map(mirrorUrl);
    this.#mirrors = new Map(
      Object.entries(mirrors).map(([domain, urls]) => [domain.toLowerCase(), urls.map(mirrorUrl)]),
    );
    this.#insecureNames = new Set(insecure.filter((entry) => !entry.includes("/")).map((entry) => entry.toLowerCase()));
    this.#insecureBlocks = addressList(blocks);
    this.#looksUp = blocks.length > 0;
    this.#certificatesOf = options.certificatesOf ?? (async () => undefined);
    this.#resolve = resolve;
  }

  /** @returns the hosts of a reference's domain, to be tried in order. Never empty. */
  async of(domain: string): Promise<readonly Host[]> {
    const hub = domain === defaultDomain ? this.#hubMirrors : [];
    const named = [domain.toLowerCase(), everyDomain].flatMap((key) => this.#mirrors.get(key) ?? []);
    const mirrors = [
      ...hub.map((url) => this.#mirror(url)),
      ...named.map((url) => this.#mirror(url, domain)),
      this.origin(domain),
    ];
    return Promise.all(mirrors);
  }

  /** The host that a domain means, without its mirrors. */
  async origin(domain: string): Promise<Host> {
    const authority = domain === defaultDomain ? hubHost : domain;
    const trust = await this.trust(authority);
    const schemes = trust.insecure ? ["https", "http"] : ["https"];
    const endpoints = schemes.map((scheme) => ({ base: new URL(`${scheme}://${authority}/`), ...trust }));
    return { name: domain, mirror: false, endpoints };
  }

  async #mirror(url: URL, namespace?: string): Promise<Host> {
    const endpoint = { base: url, ...(await this.trust(url.host)) };
    return { name: url.href, mirror: true, endpoints: [endpoint], ...(namespace !== undefined && { namespace }) };
  }

  /** @param authority  `host[:port]` */
  async trust(authority: string): Promise<Trust> {
    const hostname = hostnameOf(authority);
    const addresses = await this.#addresses(hostname);
    const direct = addresses.some((address) => loopback.check(address, familyOf(address)));
    const listed = [authority, hostname].some((name) => this.#insecureNames.has(name.toLowerCase()));
    const inBlock = addresses.some((address) => this.#insecureBlocks.check(address, familyOf(address)));
    const certificates = await this.#certificatesOf(authority);
    return { direct, insecure: direct || listed || inBlock, ...(certificates && { certificates }) };
  }

  /** A name is looked up only when the answer can matter: a proxy may be the only one to know it. */
  async #addresses(hostname: string): Promise<readonly string[]> {
    if (isIP(hostname)) return [hostname];
    if (localNames.test(hostname)) return ["127.0.0.1"];
    if (!this.#looksUp) return [];
    return this.#resolve(hostname).catch(() => []);
  }
}
