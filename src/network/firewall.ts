/**
 * Firewall rules, through nftables: one table of our own for each bridge, replaced as a whole by one atomic `nft -f -`, so that there is never
 * half a rule set and nobody else's rules are touched.
 */

import { internal, unavailable } from "../base/errors.ts";
import { formatSubnet, type Subnet } from "./addresses.ts";

async function nft(script: string): Promise<void> {
  const program = Bun.which("nft", { PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin` });
  if (!program)
    throw unavailable(
      "nft is missing: install Debian's nftables, or start the daemon with --iptables=false --ip-masq=false",
    );
  const child = Bun.spawn([program, "-f", "-"], { stdin: Buffer.from(script), stdout: "ignore", stderr: "pipe" });
  const [error, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  if (code !== 0) throw internal(`Cannot set firewall rules: ${error.trim() || `nft exited with ${code}`}`);
}

const tableOf = (bridge: string): string => `bosun-${bridge}`;

/** What leaves the subnet through another interface gets the host's address. Pure. */
export const masqueradeRules = (bridge: string, subnet: Subnet): string => `
table ip ${tableOf(bridge)} {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${formatSubnet(subnet)} oifname != "${bridge}" masquerade
  }
}
`;

/** Creating the table first makes its deletion succeed whether it was there or not; all of it is one transaction. */
export const setRules = (bridge: string, rules: string): Promise<void> =>
  nft(`table ip ${tableOf(bridge)}\ndelete table ip ${tableOf(bridge)}\n${rules}`);

export const removeRules = (bridge: string): Promise<void> => setRules(bridge, "");
