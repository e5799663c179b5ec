/**
 * The three files that a container sees as its own /etc/hostname, /etc/hosts and /etc/resolv.conf. Their content is pure; with the host's network
 * the host's own files are the base.
 */

import { invalid } from "../base/errors.ts";
import type { Endpoint } from "../network/driver.ts";
import { NAME_SERVER } from "../network/name-files.ts";
import type { HostLine } from "./links.ts";

export interface NameSetting {
  readonly hostname: string;
  readonly domainname: string;
  /** The container's own, of all of its networks. */
  readonly addresses: readonly string[];
  /** `name:address`. */
  readonly extraHosts: readonly string[];
  /** Of containers that it is linked to. */
  readonly linked: readonly HostLine[];
}

const LOCAL = [
  "127.0.0.1\tlocalhost",
  "::1\tlocalhost ip6-localhost ip6-loopback",
  "fe00::\tip6-localnet",
  "ff00::\tip6-mcastprefix",
  "ff02::1\tip6-allnodes",
  "ff02::2\tip6-allrouters",
];

/** `name:address`, where the address may be IPv6, in brackets or not. @throws invalid */
export function parseExtraHost(text: string): { readonly name: string; readonly address: string } {
  const [, name, address] = /^([^:=]+)[:=]\[?(.+?)\]?$/.exec(text) ?? [];
  if (!name || !address) throw invalid(`bad format for add-host: ${JSON.stringify(text)}`);
  return { name, address };
}

export const addressesOf = (endpoints: readonly Endpoint[]): readonly string[] =>
  endpoints.flatMap(({ address, address6 }) => [address, address6].filter((one) => one !== ""));

const ownLine = (address: string, { hostname, domainname }: Pick<NameSetting, "hostname" | "domainname">): string =>
  `${address}\t${domainname ? `${hostname}.${domainname} ` : ""}${hostname}`;

/** A hosts file with the container's own line for each of these addresses; what others have written into it stays. */
export function withAddresses(
  text: string,
  gone: readonly string[],
  come: readonly string[],
  names: Pick<NameSetting, "hostname" | "domainname">,
): string {
  const lines = text.split("\n").filter((line) => line !== "" && !gone.includes(line.split(/\s/, 1)[0] ?? ""));
  return `${[...lines, ...come.map((address) => ownLine(address, names))].join("\n")}\n`;
}

const lineOf = ({ address, names }: HostLine): string => `${address}\t${names.join(" ")}`;

/** A hosts file in which these names, each the first of its line, are where `linked` says, or nowhere. */
export function withLinked(text: string, aliases: readonly string[], linked: readonly HostLine[]): string {
  const lines = text.split("\n").filter((line) => line !== "" && !aliases.includes(line.split(/\s+/)[1] ?? ""));
  return `${[...lines, ...linked.map(lineOf)].join("\n")}\n`;
}

/** What stands for the host itself, as containers reach it. */
export const HOST_GATEWAY = "host-gateway";

/** Entries of `--add-host` with addresses only. @param gateways  of the host */
export const withGateways = (extraHosts: readonly string[], gateways: readonly string[]): readonly string[] =>
  extraHosts.flatMap((entry) => {
    const { name, address } = parseExtraHost(entry);
    return address === HOST_GATEWAY ? gateways.map((gateway) => `${name}:${gateway}`) : [entry];
  });

/** @param base  the host's file, when the container uses the host's network */
export function hostsFile(setting: NameSetting, base: string | undefined): string {
  const { addresses } = setting;
  const lines = base === undefined ? [...LOCAL] : [base.trimEnd()];
  for (const entry of setting.extraHosts) {
    const extra = parseExtraHost(entry);
    lines.push(`${extra.address}\t${extra.name}`);
  }
  lines.push(...setting.linked.map(lineOf));
  lines.push(...addresses.map((address) => ownLine(address, setting)));
  return `${lines.join("\n")}\n`;
}

export interface Resolver {
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** Servers of this host only, which a container's own network cannot reach. */
const isLocal = (server: string): boolean => /^(127\.|::1$|0\.0\.0\.0$)/.test(server);

/** The directives of a resolv.conf(5); for `search` and `options` the last one counts. */
export function parseResolv(text: string): Resolver {
  const lines = text.split("\n").map((line) =>
    line
      .replace(/[#;].*/, "")
      .trim()
      .split(/\s+/),
  );
  const last = (name: string) => lines.findLast(([word]) => word === name)?.slice(1) ?? [];
  return {
    servers: lines.flatMap(([word, server]) => (word === "nameserver" && server ? [server] : [])),
    search: last("search").length > 0 ? last("search") : last("domain"),
    options: last("options"),
  };
}

const chosen = (own: readonly string[], fallback: readonly string[]): readonly string[] =>
  own.length > 0 ? own : fallback;

function resolvText(servers: readonly string[], search: readonly string[], options: readonly string[]): string {
  const domains = search.filter((domain) => domain !== ".");
  return [
    ...servers.map((server) => `nameserver ${server}\n`),
    ...(domains.length > 0 ? [`search ${domains.join(" ")}\n`] : []),
    ...(options.length > 0 ? [`options ${options.join(" ")}\n`] : []),
  ].join("");
}

/** Of a container with a name service, which asks the servers. A name is asked for as it is first, dots or not: it may be a container's. */
export function namedResolvFile(own: Resolver, host: string): string {
  const theirs = parseResolv(host);
  const options = chosen(own.options, theirs.options);
  const hasNdots = options.some((option) => option.startsWith("ndots:"));
  return resolvText([NAME_SERVER], chosen(own.search, theirs.search), hasNdots ? options : [...options, "ndots:0"]);
}

/**
 * @param own    what the container (or else the daemon) asks for; an empty list leaves the host's
 * @param host   the host's resolv.conf
 * @param apart  whether the container has a network of its own, from which a resolver on the host's loopback is out of reach
 */
export function resolvFile(own: Resolver, host: string, apart: boolean): string {
  const theirs = parseResolv(host);
  const reachable = apart ? theirs.servers.filter((server) => !isLocal(server)) : theirs.servers;
  return resolvText(
    chosen(own.servers, reachable),
    chosen(own.search, theirs.search),
    chosen(own.options, theirs.options),
  );
}
