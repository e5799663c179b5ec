/**
 * Which proxy a request goes through. Source: dockerd's `proxies` of daemon.json; Go's golang.org/x/net/http/httpproxy for what
 * NO_PROXY means.
 */

import { BlockList, isIP } from "node:net";
import { invalid } from "../base/errors.ts";

export interface ProxySettings {
  /** URLs; empty for none. */
  readonly http: string;
  readonly https: string;
  /** Hosts that are reached directly: `host`, `.domain`, `host:port`, an address, a block of addresses, `*`; with commas between. */
  readonly no: string;
}

const ofEnvironment = (name: string): string => process.env[name] ?? process.env[name.toLowerCase()] ?? "";

/** The environment's, where `given` says nothing. */
export const proxySettings = (given: Partial<ProxySettings> = {}): ProxySettings => ({
  http: given.http ?? ofEnvironment("HTTP_PROXY"),
  https: given.https ?? ofEnvironment("HTTPS_PROXY"),
  no: given.no ?? ofEnvironment("NO_PROXY"),
});

function proxyUrl(text: string): string | undefined {
  if (text === "") return undefined;
  const url = URL.parse(/^[a-z0-9]+:\/\//i.test(text) ? text : `http://${text}`);
  if (!url || !/^https?:$/.test(url.protocol) || !url.hostname)
    throw invalid(`invalid proxy URL ${JSON.stringify(hidden(text))}: want http://host:port`);
  return url.href;
}

/** A proxy as it may be shown: without its password. */
export const hidden = (proxy: string): string => proxy.replace(/\/\/[^/@]*@/, "//xxxxx:xxxxx@");

const familyOf = (address: string) => (isIP(address) === 6 ? "ipv6" : "ipv4");

type Exception = (hostname: string, port: string) => boolean;

function exceptionOf(entry: string): Exception | undefined {
  if (entry === "*") return () => true;
  const [address = "", prefix] = entry.split("/");
  if (prefix !== undefined) {
    if (!isIP(address) || !/^\d{1,3}$/.test(prefix) || Number(prefix) > (isIP(address) === 6 ? 128 : 32))
      return undefined;
    const blocks = new BlockList();
    blocks.addSubnet(address, Number(prefix), familyOf(address));
    return (hostname) => isIP(hostname) !== 0 && blocks.check(hostname, familyOf(hostname));
  }
  if (isIP(entry)) return (hostname) => hostname === entry;
  const [, host = "", port] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
  const name = host.replace(/^\[(.*)\]$/, "$1").replace(/^\*?\./, ".");
  if (name === "") return undefined;
  const suffix = name.startsWith(".") ? name : `.${name}`;
  return (hostname, at) =>
    (port === undefined || port === at) && (hostname.endsWith(suffix) || (!name.startsWith(".") && hostname === name));
}

export class Proxies {
  readonly #http: string | undefined;
  readonly #https: string | undefined;
  readonly #exceptions: readonly Exception[];

  /** @throws invalid for a proxy that is no URL */
  constructor(given: Partial<ProxySettings> = {}) {
    const { http, https, no } = proxySettings(given);
    this.#http = proxyUrl(http);
    this.#https = proxyUrl(https);
    const entries = no.split(",").map((entry) => entry.trim().toLowerCase());
    this.#exceptions = entries.flatMap((entry) => exceptionOf(entry) ?? []);
  }

  /** @returns the proxy's URL; undefined for none */
  of(url: URL): string | undefined {
    const isSecure = url.protocol === "https:";
    const proxy = isSecure ? this.#https : this.#http;
    if (proxy === undefined) return undefined;
    const hostname = url.hostname.toLowerCase().replace(/^\[(.*)\]$/, "$1");
    const port = url.port || (isSecure ? "443" : "80");
    return this.#exceptions.some((matches) => matches(hostname, port)) ? undefined : proxy;
  }
}
