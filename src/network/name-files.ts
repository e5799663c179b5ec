/**
 * What a container's name service reads: one file for each network, which all of its containers share, and one for each container. Lines of words;
 * their meaning is drawn in shim/net-names-zone.c. Pure.
 */

/** Where a container's name service is. */
export const NAME_SERVER = "127.0.0.11";

/** A container in a network. */
export interface NamedHost {
  /** Empty when it has none. So is the other. */
  readonly address: string;
  readonly address6: string;
  /** Its own name comes first. */
  readonly names: readonly string[];
}

/** A server elsewhere, and the network namespace from which it is asked. */
export interface Upstream {
  readonly from: "own" | "host";
  /** An IPv6 address that means one interface only has its number behind it: `fe80::1%2`. */
  readonly address: string;
}

/** In that network `alias` means whatever `target` does, for one container only. */
export interface NameLink {
  readonly networkId: string;
  readonly alias: string;
  readonly target: string;
}

export interface ContainerNames {
  /** The one that is asked first comes first. */
  readonly networkIds: readonly string[];
  readonly links: readonly NameLink[];
  readonly upstreams: readonly Upstream[];
}

/** What cannot be a word of a file cannot be asked for either. */
const isWord = (text: string): boolean => /^[!-~]+$/.test(text);
const wordsOf = (names: readonly string[]): readonly string[] => [
  ...new Set(names.filter(isWord).map((name) => name.toLowerCase())),
];

/** @param network  its name, which Docker lets be anything: `name.network` means something only where it is a word, too */
export function networkFile(network: string, hosts: readonly NamedHost[]): string {
  const lines = hosts.map(
    ({ address, address6, names }) => `host ${address || "-"} ${address6 || "-"} ${wordsOf(names).join(" ")}\n`,
  );
  return `network ${isWord(network) ? network.toLowerCase() : ""}\n${lines.join("")}`;
}

export function containerFile({ networkIds, links, upstreams }: ContainerNames): string {
  return [
    ...networkIds.map((id) => `network ${id}\n`),
    ...links
      .filter(({ alias, target }) => isWord(alias) && isWord(target))
      .map(({ networkId, alias, target }) => `link ${networkId} ${alias.toLowerCase()} ${target.toLowerCase()}\n`),
    ...upstreams.map(({ from, address }) => `server ${from} ${address}\n`),
  ].join("");
}

const isLoopback = (address: string): boolean => /^(127\.|::1$|0\.0\.0\.0$)/.test(address);

/**
 * @param asked     servers of the container's own choice or the daemon's: they are meant as the container sees them
 * @param host      the host's; what is on its loopback is asked from there, and so is IPv6 of a container that has none
 * @param ways      whether something leads out of the container, by family. Without, nobody elsewhere hears what it asks for
 * @param scopeOf   number of an interface of the host
 */
export function upstreamsOf(
  asked: readonly string[],
  host: readonly string[],
  ways: { readonly 4: boolean; readonly 6: boolean },
  scopeOf: (name: string) => number | undefined,
): readonly Upstream[] {
  if (!ways[4] && !ways[6]) return [];
  if (asked.length > 0) return asked.map((address) => ({ from: "own", address }));
  return host.flatMap((server): Upstream[] => {
    const [address = "", interfaceName] = server.split("%");
    const scope = interfaceName === undefined ? undefined : scopeOf(interfaceName);
    if (interfaceName !== undefined)
      return scope === undefined ? [] : [{ from: "host", address: `${address}%${scope}` }];
    const isReached = !isLoopback(address) && ways[address.includes(":") ? 6 : 4];
    return [{ from: isReached ? "own" : "host", address }];
  });
}
