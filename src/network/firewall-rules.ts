/**
 * What the firewall is to hold, as an nftables script: one table of our own for each family, replaced as a whole in one transaction, so that
 * there is never half a rule set and nobody else's rules are touched. What changes with a container are elements of sets: however many there are,
 * a packet meets the same few rules. Source: nft(8). Pure.
 */

import { type Address, addressBytes, formatAddress, formatSubnet, type Subnet } from "./addresses.ts";
import { concatenation, type Element, portBytes } from "./nftables.ts";
import type { Protocol } from "./ports.ts";

/** A bridge network as the firewall sees it. */
export interface BridgeRules {
  readonly bridge: string;
  readonly subnets: readonly Subnet[];
  /** What leaves through another interface gets the host's address. By family. */
  readonly masquerades: (family: 4 | 6) => boolean;
  /** Nothing goes in or out. */
  readonly internal: boolean;
  /** Reached from outside without being published. By family. */
  readonly open: (family: 4 | 6) => boolean;
  /** Its containers do not reach each other. */
  readonly closed: boolean;
}

/** A port that packets are led to. */
export interface PortRule {
  readonly protocol: Protocol;
  /** Of the host, of the target's family; undefined for all. */
  readonly hostAddress: Address | undefined;
  /** Undefined: the target's own port is reached, without a port of the host. */
  readonly hostPort: number | undefined;
  readonly target: Address;
  readonly targetPort: number;
}

export interface FirewallState {
  /** Every bridge network that is set up. */
  readonly bridges: readonly BridgeRules[];
  readonly ports: readonly PortRule[];
  /** The host's ends of containers in closed networks. */
  readonly closed: readonly string[];
  /** Whether what comes from elsewhere has to pass the host's own rules for local traffic: it is not led past them. */
  readonly respectsHost: boolean;
  /** Whether IPv6 is left to rules of the host's own. */
  readonly only4: boolean;
  /** Whether containers reach their own ports of the host by rules: bridges turn packets around, and nobody relays. */
  readonly hairpin: boolean;
  /** Families of which nothing is forwarded but what crosses our bridges. */
  readonly stops: readonly (4 | 6)[];
}

/** By family: those whose elements change with ports, and all of a table's. */
export const PORT_SETS: readonly string[] = ([4, 6] as const).flatMap((family) => [
  ...[`published${family}`, `published_anywhere${family}`, `own${family}`, `self${family}`, `reachable${family}`],
]);
export const SETS: Readonly<Record<"inet" | "bridge", readonly string[]>> = {
  inet: ["bridges", "within", "internal", "open4", "open6", "masqueraded4", "masqueraded6", ...PORT_SETS],
  bridge: ["closed"],
};

const PROTOCOL_NUMBERS: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** Which set a rule is an element of. */
function setOf({ hostAddress, hostPort, target: { family } }: PortRule): string {
  if (hostPort === undefined) return `reachable${family}`;
  return hostAddress ? `published${family}` : `published_anywhere${family}`;
}

/** The elements of a rule, for the kernel: the same as texts have. */
export function portElements(rule: PortRule): readonly Element[] {
  const { protocol, hostPort, target } = rule;
  if (hostPort === undefined) return [leadingElement(rule)];
  const number = Uint8Array.of(PROTOCOL_NUMBERS[protocol]);
  const key = concatenation(addressBytes(target), number, portBytes(hostPort));
  const self = concatenation(addressBytes(target), addressBytes(target));
  return [leadingElement(rule), { set: `own${target.family}`, key }, { set: `self${target.family}`, key: self }];
}

function leadingElement(rule: PortRule): Element {
  const { protocol, hostAddress, hostPort, target, targetPort } = rule;
  const number = Uint8Array.of(PROTOCOL_NUMBERS[protocol]);
  const own = concatenation(addressBytes(target), portBytes(targetPort));
  if (hostPort === undefined) return { set: setOf(rule), key: concatenation(number, own) };
  const key = concatenation(number, ...(hostAddress ? [addressBytes(hostAddress)] : []), portBytes(hostPort));
  return { set: setOf(rule), key, data: own };
}

function elementText({ protocol, hostAddress, hostPort, target, targetPort }: PortRule): string {
  const own = `${formatAddress(target)} . ${targetPort}`;
  if (hostPort === undefined) return `${protocol} . ${own}`;
  return `${protocol} . ${hostAddress ? `${formatAddress(hostAddress)} . ` : ""}${hostPort} : ${own}`;
}

const ownText = ({ protocol, hostPort, target }: PortRule): string =>
  `${formatAddress(target)} . ${protocol} . ${hostPort}`;

const elements = (items: readonly string[]): string =>
  items.length === 0 ? "" : ` elements = { ${items.join(", ")} };`;

const quoted = (name: string): string => JSON.stringify(name);

const masqueraded = (all: readonly BridgeRules[], family: 4 | 6): readonly string[] =>
  all
    .filter(({ masquerades }) => masquerades(family))
    .flatMap(({ subnets }) => subnets.filter((subnet) => subnet.family === family).map(formatSubnet));

function portSets(ports: readonly PortRule[], family: 4 | 6): string {
  const address = `ipv${family}_addr`;
  const led = ports.filter((rule) => rule.hostPort !== undefined && rule.target.family === family);
  const own = led.map(ownText);
  const self = led.map(({ target }) => `${formatAddress(target)} . ${formatAddress(target)}`);
  const of = (set: string) => elements(ports.filter((rule) => setOf(rule) === set).map(elementText));
  return `
  map published${family} { type inet_proto . ${address} . inet_service : ${address} . inet_service;${of(`published${family}`)} }
  map published_anywhere${family} { type inet_proto . inet_service : ${address} . inet_service;${of(`published_anywhere${family}`)} }
  set own${family} { type ${address} . inet_proto . inet_service;${elements([...new Set(own)])} }
  set self${family} { type ${address} . ${address};${elements([...new Set(self)])} }
  set reachable${family} { type inet_proto . ${address} . inet_service;${of(`reachable${family}`)} }`;
}

const leading = (family: 4 | 6, hairpin: boolean): string => {
  const ip = family === 4 ? "ip" : "ip6";
  // keepers relay what rules cannot lead: to ::1, whose packets leave the host by no way, and of a container that asks for its own port of the
  // host, since a bridge leads nothing back out of where it came in
  const own6 = family === 6 ? "\n    ip6 daddr ::1 return" : "";
  return `${own6}${hairpin ? "" : `\n    ${ip} saddr . meta l4proto . th dport @own${family} return`}
    dnat ${ip} to meta l4proto . ${ip} daddr . th dport map @published${family}
    dnat ${ip} to meta l4proto . th dport map @published_anywhere${family}`;
};

export function firewallScript(table: string, state: FirewallState): string {
  const { bridges: all, ports, closed, respectsHost, hairpin } = state;
  const first = state.only4 ? "meta nfproto ipv6 accept" : "";
  const bridges = all.map(({ bridge }) => quoted(bridge));
  const only = (wanted: (one: BridgeRules) => boolean) =>
    elements(all.filter(wanted).map(({ bridge }) => quoted(bridge)));
  return `
${removalScript(table)}
table inet ${table} {
  set bridges { type ifname;${elements(bridges)} }
  set within { type ifname . ifname;${elements(bridges.map((bridge) => `${bridge} . ${bridge}`))} }
  set internal { type ifname;${only(({ internal }) => internal)} }
  set open4 { type ifname;${only(({ open }) => open(4))} }
  set open6 { type ifname;${only(({ open }) => open(6))} }
  set masqueraded4 { type ipv4_addr; flags interval;${elements(masqueraded(all, 4))} }
  set masqueraded6 { type ipv6_addr; flags interval;${elements(masqueraded(all, 6))} }
${portSets(ports, 4)}
${portSets(ports, 6)}
  chain martians {
    type filter hook prerouting priority raw; policy accept;
    iifname @bridges ip daddr 127.0.0.0/8 drop
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    ${first}
    ${respectsHost ? "iifname @bridges " : ""}fib daddr type local jump lead
  }
  chain output {
    type nat hook output priority -100; policy accept;
    ${first}
    fib daddr type local jump lead
  }
  chain lead {${leading(4, hairpin)}${leading(6, hairpin)}
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ${first}
    ct state established,related accept
    iifname . oifname @within accept
    iifname @internal drop
    oifname @bridges goto inward${state.stops.map((family) => `\n    meta nfproto ipv${family} iifname != @bridges drop`).join("")}
  }
  chain inward {
    oifname @internal drop
    ct status dnat accept
    meta l4proto . ip daddr . th dport @reachable4 accept
    meta l4proto . ip6 daddr . th dport @reachable6 accept
    meta nfproto ipv4 oifname @open4 iifname != @bridges accept
    meta nfproto ipv6 oifname @open6 iifname != @bridges accept
    drop
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ${first}
    oifname != @bridges ip saddr @masqueraded4 masquerade
    oifname != @bridges ip6 saddr @masqueraded6 masquerade
    oifname @bridges ip saddr 127.0.0.0/8 masquerade
    iifname . oifname @within ct status dnat masquerade
    # a container that reaches itself; of packets that stay within a bridge the kernel may not tell here where they came in
    ct status dnat ip saddr . ip daddr @self4 masquerade
    ct status dnat ip6 saddr . ip6 daddr @self6 masquerade
  }
}
table bridge ${table} {
  set closed { type ifname;${elements(closed.map(quoted))} }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname @closed oifname @closed drop
  }
}
`;
}

/** Naming a table first makes its deletion succeed whether it was there or not. */
export const removalScript = (table: string): string =>
  ["inet", "bridge", "ip"].map((family) => `table ${family} ${table}\ndelete table ${family} ${table}`).join("\n");
