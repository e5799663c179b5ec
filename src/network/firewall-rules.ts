/**
 * What the firewall is to hold, as an nftables script: one table of our own for each family, replaced as a whole in one transaction, so that
 * there is never half a rule set and nobody else's rules are touched. What changes with a container are elements of sets: however many there are,
 * a packet meets the same few rules. Source: nft(8). Pure.
 */

import type { Subnet } from "./addresses.ts";
import { formatSubnet } from "./addresses.ts";

/** A bridge network as the firewall sees it. */
export interface BridgeRules {
  readonly bridge: string;
  readonly subnets: readonly Subnet[];
  /** What leaves through another interface gets the host's address. By family. */
  readonly masquerades: (family: 4 | 6) => boolean;
  /** Nothing goes in or out. */
  readonly internal: boolean;
  /** Reached from outside without being published. */
  readonly open: boolean;
  /** Its containers do not reach each other. */
  readonly closed: boolean;
}

const elements = (items: readonly string[]): string =>
  items.length === 0 ? "" : ` elements = { ${items.join(", ")} };`;

const quoted = (name: string): string => JSON.stringify(name);

const masqueraded = (all: readonly BridgeRules[], family: 4 | 6): readonly string[] =>
  all
    .filter(({ masquerades }) => masquerades(family))
    .flatMap(({ subnets }) => subnets.filter((subnet) => subnet.family === family).map(formatSubnet));

/** @param all  every bridge network that is set up. @param ports  host's ends of containers in closed networks */
export function firewallScript(table: string, all: readonly BridgeRules[], ports: readonly string[]): string {
  const bridges = all.map(({ bridge }) => quoted(bridge));
  const only = (wanted: (one: BridgeRules) => boolean) =>
    elements(all.filter(wanted).map(({ bridge }) => quoted(bridge)));
  return `
${removalScript(table)}
table inet ${table} {
  set bridges { type ifname;${elements(bridges)} }
  set within { type ifname . ifname;${elements(bridges.map((bridge) => `${bridge} . ${bridge}`))} }
  set internal { type ifname;${only(({ internal }) => internal)} }
  set open { type ifname;${only(({ open }) => open)} }
  set masqueraded4 { type ipv4_addr; flags interval;${elements(masqueraded(all, 4))} }
  set masqueraded6 { type ipv6_addr; flags interval;${elements(masqueraded(all, 6))} }
  chain martians {
    type filter hook prerouting priority raw; policy accept;
    iifname @bridges ip daddr 127.0.0.0/8 drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
    iifname . oifname @within accept
    iifname @internal drop
    oifname @bridges goto inward
  }
  chain inward {
    oifname @internal drop
    ct status dnat accept
    oifname @open iifname != @bridges accept
    drop
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname != @bridges ip saddr @masqueraded4 masquerade
    oifname != @bridges ip6 saddr @masqueraded6 masquerade
    oifname @bridges ip saddr 127.0.0.0/8 masquerade
    iifname . oifname @within ct status dnat masquerade
  }
}
table bridge ${table} {
  set closed { type ifname;${elements(ports.map(quoted))} }
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
