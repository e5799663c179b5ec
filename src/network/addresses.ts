/** IPv4 addresses and subnets as numbers: parsing, printing, and finding one that is free. Pure. */

import { invalid, unavailable } from "../base/errors.ts";

export interface Subnet {
  /** First address of the subnet. */
  readonly base: number;
  /** Bits. */
  readonly prefix: number;
}

/** @throws invalid */
export function parseAddress(text: string): number {
  const parts = text.split(".");
  const bytes = parts.map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : 256));
  if (bytes.length !== 4 || bytes.some((byte) => byte > 255)) throw invalid(`invalid IPv4 address: ${text}`);
  return bytes.reduce((address, byte) => address * 256 + byte, 0);
}

export const formatAddress = (address: number): string =>
  [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");

export const addressBytes = (address: number): Uint8Array =>
  Uint8Array.of(address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255);

const sizeOf = (prefix: number): number => 2 ** (32 - prefix);

/** @returns the address itself and the subnet around it. @throws invalid */
export function parseCidr(text: string): { readonly address: number; readonly subnet: Subnet } {
  const [host = "", bits = ""] = text.split("/");
  const prefix = /^\d{1,2}$/.test(bits) ? Number(bits) : 33;
  if (prefix > 30 || prefix < 1) throw invalid(`invalid CIDR address: ${text}`);
  const address = parseAddress(host);
  return { address, subnet: { base: address - (address % sizeOf(prefix)), prefix } };
}

export const formatSubnet = ({ base, prefix }: Subnet): string => `${formatAddress(base)}/${prefix}`;

export const contains = (subnet: Subnet, address: number): boolean =>
  address >= subnet.base && address < subnet.base + sizeOf(subnet.prefix);

export const overlaps = (one: Subnet, other: Subnet): boolean => contains(one, other.base) || contains(other, one.base);

export const broadcastOf = ({ base, prefix }: Subnet): number => base + sizeOf(prefix) - 1;

/** `02:42:` and the address: Docker's rule, so that a container's MAC is known from its address. */
export const macOf = (address: number): Uint8Array => Uint8Array.of(0x02, 0x42, ...addressBytes(address));

export const formatMac = (mac: Uint8Array): string =>
  [...mac].map((byte) => byte.toString(16).padStart(2, "0")).join(":");

/**
 * @param range  where to look; its first and last address count as network and broadcast when it is the whole subnet
 * @returns the lowest address of `range` that is neither taken nor special in `subnet`
 * @throws unavailable when there is none
 */
export function freeAddress(subnet: Subnet, range: Subnet, taken: ReadonlySet<number>): number {
  const end = range.base + sizeOf(range.prefix);
  for (let address = range.base; address < end; address++)
    if (address !== subnet.base && address !== broadcastOf(subnet) && !taken.has(address)) return address;
  throw unavailable(`no available IPv4 addresses on this network's address pools: ${formatSubnet(range)} is full`);
}

/** Docker's local address pools: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/20 and on. Source: Moby, ipamutils. */
export function* defaultPools(): Generator<Subnet> {
  for (let second = 17; second <= 31; second++) yield { base: parseAddress(`172.${second}.0.0`), prefix: 16 };
  for (let third = 0; third < 256; third += 16) yield { base: parseAddress(`192.168.${third}.0`), prefix: 20 };
}

/**
 * Where the routes of /proc/net/route lead, but for default ones: destination and mask are hexadecimal, in network order read as
 * little-endian. Source: proc_pid_net(5).
 */
export function parseRoutes(table: string): Subnet[] {
  return table
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [, destination, , , , , , mask] = line.trim().split(/\s+/);
      if (!destination || !mask || mask === "00000000") return [];
      const swap = (hex: string) => Buffer.from(hex, "hex").readUInt32LE(0);
      return [{ base: swap(destination), prefix: Math.clz32(~swap(mask)) }];
    });
}
