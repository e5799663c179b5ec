/** What is wrong with subnets that a request chose, in Docker's words where it has some. Pure. */

import { invalid } from "../base/errors.ts";
import { asAddress, contains, formatSubnet, isInside, overlaps, parseCidr, type Subnet } from "./addresses.ts";
import type { PoolSpec } from "./pools.ts";

/** Blocks whose addresses no interface can have, or everybody has. Source: RFC 6890, RFC 5771, RFC 4291. */
const UNFIT: readonly (readonly [block: Subnet, what: string])[] = (
  [
    ["0.0.0.0/8", "addresses of this network itself"],
    ["127.0.0.0/8", "loopback addresses"],
    ["224.0.0.0/4", "multicast addresses"],
    ["255.255.255.255/32", "the broadcast address"],
    ["::/127", "the unspecified and the loopback address"],
    ["::ffff:0:0/96", "addresses that stand for IPv4's"],
    ["ff00::/8", "multicast addresses"],
  ] as const
).map(([text, what]) => [parseCidr(text).subnet, what]);

function asSubnet(text: string): Subnet | undefined {
  try {
    return parseCidr(text).subnet;
  } catch {
    return undefined;
  }
}

function* rangeFaults(range: string, subnet: Subnet): Generator<string> {
  const found = asSubnet(range);
  if (!found) return yield "invalid CIDR block notation";
  if (found.family !== subnet.family) return yield `parent subnet is an IPv${subnet.family} block`;
  if (!isMasked(range, found)) yield `it should be ${formatSubnet(found)}`;
  if (found.prefix < subnet.prefix) yield `CIDR block is bigger than its parent subnet ${formatSubnet(subnet)}`;
  else if (!isInside(found, subnet)) yield `parent subnet ${formatSubnet(subnet)} doesn't contain ip-range`;
}

/** Whether a block is written by its first address. */
const isMasked = (text: string, { base }: Subnet): boolean => parseCidr(text).address.value === base;

function addressFault(text: string, subnet: Subnet): string | undefined {
  const address = asAddress(text);
  if (!address) return "invalid address";
  if (address.family !== subnet.family) return `parent subnet is an IPv${subnet.family} block`;
  return contains(subnet, address) ? undefined : `parent subnet ${formatSubnet(subnet)} doesn't contain this address`;
}

function* faults(pool: PoolSpec, enableIPv6: boolean): Generator<string> {
  const { subnet: text, range, gateway, auxiliary = {} } = pool;
  const subnet = asSubnet(text);
  if (!subnet) return yield `invalid subnet ${text}: invalid CIDR block notation`;
  if (subnet.family === 6 && !enableIPv6) return; // so has Docker it: nobody uses them
  if (!isMasked(text, subnet)) yield `invalid subnet ${text}: it should be ${formatSubnet(subnet)}`;
  for (const [block, what] of UNFIT) if (overlaps(block, subnet)) yield `invalid subnet ${text}: it has ${what}`;
  if (range) for (const fault of rangeFaults(range, subnet)) yield `invalid ip-range ${range}: ${fault}`;
  const atGateway = gateway && addressFault(gateway, subnet);
  if (atGateway) yield `invalid gateway ${gateway}: ${atGateway}`;
  for (const [name, address] of Object.entries(auxiliary)) {
    const fault = addressFault(address, subnet);
    if (fault) yield `invalid auxiliary address ${name}: ${fault}`;
  }
}

/** @param enableIPv6  of the network. @throws invalid with all that is wrong */
export function checkPools(pools: readonly PoolSpec[], enableIPv6: boolean): void {
  const all = pools.flatMap((pool) => [...faults(pool, enableIPv6)]);
  if (all.length > 0) throw invalid(`invalid network config:\n${all.join("\n")}`);
}
