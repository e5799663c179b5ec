/** Whether a network can give the addresses that somebody asks of it. Source: Moby, endpoint settings. Pure. */

import { invalid } from "../base/errors.ts";
import { contains, parseAddress, parseCidr } from "./addresses.ts";
import type { Attachment } from "./attachment.ts";
import type { Network } from "./driver.ts";
import { isPredefined } from "./networks.ts";

/** An address of a subnet that lies idle is none to complain of: Docker notes it, and gives none of that family. @throws invalid in Docker's words */
export function checkAddressable(network: Network, { address, address6 }: Attachment): void {
  const asked = [address, address6].filter((text) => text !== "");
  const fault = asked.length > 0 && faultOf(network, asked);
  if (fault) throw invalid(`invalid config for network ${network.name}: invalid endpoint settings:\n${fault}`);
}

function faultOf(network: Network, asked: readonly string[]): string | undefined {
  if (isPredefined(network)) return "user specified IP address is supported on user defined networks only";
  if (!network.hasOwnSubnets)
    return "user specified IP address is supported only when connecting to networks with user configured subnets";
  const subnets = [...network.pools, ...(network.dormantPools ?? [])].map(({ subnet }) => parseCidr(subnet).subnet);
  const stray = asked.find((text) => !subnets.some((subnet) => contains(subnet, parseAddress(text))));
  return stray && `no configured subnet or ip-range contain the IP address ${stray}`;
}
