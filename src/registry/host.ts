/**
 * Which hosts a name's domain means, and how far each is trusted. Loopback addresses, and what the user listed as insecure, may speak
 * plain HTTP or show a certificate that nobody signed. Source: dockerd(8), --insecure-registry and --registry-mirror.
 */

import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { invalid } from "../base/errors.ts";
import { defaultDomain } from "../base/reference.ts";

/** A server that speaks the distribution protocol. */
export interface Endpoint {
  /** Ends with a slash, as `https://registry-1.docker.io/`; `v2/` follows. */
  readonly base: URL;
  /** Certificates are not verified. */
  readonly insecure: boolean;
  /** Never through a proxy of the environment: the address is this machine's own. */
  readonly direct: boolean;
}

export interface Host {
  /** Names the host in caches. */
  readonly name: string;
  /** A copy of Docker Hub that the user set up: it never sees the user's credentials. */
  readonly mirror: boolean;
  /** Ways to reach it, to be tried in order until one connects. */
  readonly endpoints: readonly Endpoint[];
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

/** `[::1]:5000` → `::1`. */
const hostnameOf = (domain: string): string => domain.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");

function mirrorUrl(text: string): URL {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username)
    throw invalid(`invalid mirror: ${JSON.stringify(text)} is not a URL as https://mirror.example/`);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

export class Hosts {
  readonly #mirrors: readonly URL[];
  readonly #insecureNames: ReadonlySet<string>;
  readonly #insecureBlocks: BlockList;
  readonly #looksUp: boolean;

  /**
   * @param mirrors   URLs of copies of Docker Hub, tried in order before it
   * @param insecure  `host`, `host:port` or address blocks
   * @throws          invalid
   */
  constructor(
    mirrors: readonly string[],
    insecure: readonly string[],
    readonly resolve: Resolve = resolveAll,
  ) {
    const blocks = insecure.filter((entry) => entry.includes("/"));
    this.#mirrors = mirrors.map(mirrorUrl);
    this.#insecureNames = new Set(insecure.filter((entry) => !entry.includes("/")).map((entry) => entry.toLowerCase()));
    this.#insecureBlocks = addressList(blocks);
    this.#looksUp = blocks.length > 0;
  }

  /** @returns the hosts of a reference's domain, to be tried in order. Never empty. */
  async of(domain: string): Promise<readonly Host[]> {
    if (domain !== defaultDomain) return [await this.#host(domain, domain)];
    const mirrors = await Promise.all(this.#mirrors.map((url) => this.#mirror(url)));
    return [...mirrors, await this.#host(hubHost, domain)];
  }

  async #host(authority: string, name: string): Promise<Host> {
    const trust = await this.#trust(authority);
    const schemes = trust.insecure ? ["https", "http"] : ["https"];
    const endpoints = schemes.map((scheme) => ({ base: new URL(`${scheme}://${authority}/`), ...trust }));
    return { name, mirror: false, endpoints };
  }

  async #mirror(url: URL): Promise<Host> {
    return { name: url.href, mirror: true, endpoints: [{ base: url, ...(await this.#trust(url.host)) }] };
  }

  async #trust(authority: string): Promise<Pick<Endpoint, "insecure" | "direct">> {
    const hostname = hostnameOf(authority);
    const addresses = await this.#addresses(hostname);
    const direct = addresses.some((address) => loopback.check(address, familyOf(address)));
    const listed = [authority, hostname].some((name) => this.#insecureNames.has(name.toLowerCase()));
    const inBlock = addresses.some((address) => this.#insecureBlocks.check(address, familyOf(address)));
    return { direct, insecure: direct || listed || inBlock };
  }

  /** A name is looked up only when the answer can matter: a proxy may be the only one to know it. */
  async #addresses(hostname: string): Promise<readonly string[]> {
    if (isIP(hostname)) return [hostname];
    if (localNames.test(hostname)) return ["127.0.0.1"];
    if (!this.#looksUp) return [];
    return this.resolve(hostname).catch(() => []);
  }
}
