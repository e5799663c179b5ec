/** Address management: which subnets a network may have, and which addresses of them are free. Pure but for the set of what is taken. */

import { createHash } from "node:crypto";
import { conflict, forbidden, invalid, unavailable } from "../base/errors.ts";
import {
  type Address,
  contains,
  firstOf,
  formatAddress,
  formatSubnet,
  isInside,
  lastOf,
  overlaps,
  parseAddress,
  parseCidr,
  plus,
  type Subnet,
  subnetAround,
} from "./addresses.ts";

/** A subnet of a network, as it is kept on record and shown to clients. */
export interface PoolSpec {
  readonly subnet: string;
  /** Where containers' addresses come from; the whole subnet without it. */
  readonly range?: string;
  readonly gateway?: string;
  /** Names of addresses that are somebody else's. */
  readonly auxiliary?: Readonly<Record<string, string>>;
}

/** A block of addresses that is divided into subnets of one size. */
export interface AddressPool {
  readonly base: Subnet;
  /** Bits of each subnet. */
  readonly size: number;
}

const block = (text: string, size: number): AddressPool => ({ base: parseCidr(text).subnet, size });

/** Docker's local address pools. Source: Moby, ipamutils. */
export const DEFAULT_POOLS: readonly AddressPool[] = [
  ...[17, 18, 19].map((second) => block(`172.${second}.0.0/16`, 16)),
  block("172.20.0.0/14", 16),
  block("172.24.0.0/14", 16),
  block("172.28.0.0/14", 16),
  block("192.168.0.0/16", 20),
];

/** Unique local addresses of this engine alone: 40 bits of its identity. Source: RFC 4193, section 3.2. */
export function uniqueLocalPool(engineId: string): AddressPool {
  const global = createHash("sha256").update(engineId).digest("hex").slice(0, 10);
  const value = BigInt(`0xfd${global}`) << 80n;
  return { base: { family: 6, base: value, prefix: 48 }, size: 64 };
}

/** `base=10.0.0.0/8,size=24`. @throws invalid */
export function parseAddressPool(text: string): AddressPool {
  const [, base, size] = /^base=([^,]+),size=(\d{1,3})$/.exec(text.replaceAll(" ", "")) ?? [];
  if (!base || !size) throw invalid(`invalid value for --default-address-pool: ${text} (want base=CIDR,size=BITS)`);
  const { subnet } = parseCidr(base);
  if (Number(size) < subnet.prefix || Number(size) > (subnet.family === 4 ? 30 : 126))
    throw invalid(`invalid default address pool: subnets of /${size} do not fit into ${base}`);
  return { base: subnet, size: Number(size) };
}

function* subnetsOf({ base, size }: AddressPool): Generator<Subnet> {
  const end = lastOf(base).value;
  for (let at = firstOf(base); at.value <= end; ) {
    const subnet = subnetAround(at, size);
    yield subnet;
    at = plus(lastOf(subnet), 1n);
  }
}

/** A pool of IPv6 has more subnets than anybody looks through. */
const LOOK_AT = 65_536;

/** @returns the first subnet that overlaps nothing in `used`. @throws unavailable in Docker's words */
export function freeSubnet(pools: readonly AddressPool[], family: 4 | 6, used: readonly Subnet[]): Subnet {
  let looked = 0;
  for (const pool of pools.filter(({ base }) => base.family === family))
    for (const subnet of subnetsOf(pool)) {
      if (!used.some((other) => overlaps(subnet, other))) return subnet;
      if (++looked > LOOK_AT) break;
    }
  throw unavailable("all predefined address pools have been fully subnetted");
}

export const checkApart = (subnet: Subnet, used: readonly Subnet[]): void => {
  if (used.some((other) => overlaps(subnet, other)))
    throw forbidden("invalid pool request: Pool overlaps with other one on this address space");
};

/** One subnet of a network, and which of its addresses are taken. */
export class Pool {
  readonly subnet: Subnet;
  readonly range: Subnet;
  readonly gateway: Address | undefined;
  readonly #auxiliary: ReadonlySet<bigint>;
  readonly #taken = new Set<bigint>();

  /** @throws invalid when its parts do not fit together */
  constructor(readonly spec: PoolSpec) {
    const { subnet } = parseCidr(spec.subnet);
    this.subnet = subnet;
    this.range = spec.range ? parseCidr(spec.range).subnet : subnet;
    if (!isInside(this.range, subnet))
      throw invalid(
        `invalid network config:\ninvalid ip-range ${spec.range}: parent subnet ${spec.subnet} does not contain it`,
      );
    this.gateway = spec.gateway ? parseAddress(spec.gateway.split("/")[0] ?? "") : undefined;
    if (this.gateway) this.#checkInside("gateway", this.gateway);
    const auxiliary = Object.values(spec.auxiliary ?? {}).map(parseAddress);
    for (const address of auxiliary) this.#checkInside("auxiliary address", address);
    this.#auxiliary = new Set(auxiliary.map(({ value }) => value));
  }

  #checkInside(what: string, address: Address): void {
    if (!contains(this.subnet, address))
      throw invalid(
        `invalid network config:\ninvalid ${what} ${formatAddress(address)}: parent subnet ${formatSubnet(this.subnet)} does not contain it`,
      );
  }

  /** An IPv4 subnet's first and last address name it and all of its members, IPv6's first any router; but for links of two. Source: RFC 3021, RFC 6164. */
  isReserved({ family, value }: Address): boolean {
    const { prefix, base } = this.subnet;
    if (family === 6) return prefix < 127 && value === base;
    return prefix < 31 && (value === base || value === lastOf(this.subnet).value);
  }

  #isSpecial(address: Address): boolean {
    return address.value === this.gateway?.value || this.isReserved(address);
  }

  #isFree(address: Address): boolean {
    return !this.#isSpecial(address) && !this.#auxiliary.has(address.value) && !this.#taken.has(address.value);
  }

  /** The lowest that is free. @throws unavailable in Docker's words */
  take(): Address {
    const end = lastOf(this.range).value;
    for (let address = firstOf(this.range); address.value <= end; address = plus(address, 1n))
      if (this.#isFree(address)) {
        this.#taken.add(address.value);
        return address;
      }
    throw unavailable(
      `no available IPv${this.subnet.family} addresses on this network's address pools: ${formatSubnet(this.range)} is full`,
    );
  }

  /** This one. @throws invalid, conflict in Docker's words */
  claim(address: Address): Address {
    if (!contains(this.subnet, address))
      throw invalid(`no configured subnet contains IP address ${formatAddress(address)}`);
    if (this.#isSpecial(address) || this.#taken.has(address.value)) throw conflict("Address already in use");
    this.#taken.add(address.value);
    return address;
  }

  /** A running container has it already. */
  adopt(address: Address): void {
    this.#taken.add(address.value);
  }

  release(address: Address): void {
    this.#taken.delete(address.value);
  }
}

/** The first address of a subnet, where Docker puts the gateway unless it is told otherwise. */
export const firstHost = (subnet: Subnet): Address => plus(firstOf(subnet), 1n);
