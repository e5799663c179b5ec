/** IP addresses and subnets of both families as numbers: parsing, printing, arithmetic. Pure. */

import { invalid } from "../base/errors.ts";

export interface Address {
  readonly family: 4 | 6;
  readonly value: bigint;
}

export interface Subnet {
  readonly family: 4 | 6;
  /** First address of the subnet. */
  readonly base: bigint;
  /** Bits. */
  readonly prefix: number;
}

const bitsOf = (family: 4 | 6): number => (family === 4 ? 32 : 128);

function parse4(text: string): bigint | undefined {
  const parts = text.split(".");
  // a leading zero means octal to some, and nothing to Go
  if (parts.length !== 4 || parts.some((part) => !/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255))
    return undefined;
  return parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

/** The last 32 bits may stand as IPv4. */
function groupsOf(text: string): string[] | undefined {
  if (text === "") return [];
  const groups = text.split(":");
  const last = groups.at(-1) ?? "";
  if (!last.includes(".")) return groups;
  const low = parse4(last);
  return low === undefined
    ? undefined
    : [...groups.slice(0, -1), (low >> 16n).toString(16), (low & 0xffffn).toString(16)];
}

function parse6(text: string): bigint | undefined {
  const [head = "", tail, ...more] = text.split("::");
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  if (more.length > 0 || !before || !after) return undefined;
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...before, ...Array<string>(tail === undefined ? 0 : missing).fill("0"), ...after];
  if (groups.some((group) => !/^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

/** @returns undefined for anything else than an address */
export function asAddress(text: string): Address | undefined {
  const family = text.includes(":") ? 6 : 4;
  const value = family === 6 ? parse6(text) : parse4(text);
  return value === undefined ? undefined : { family, value };
}

/** @throws invalid in Go's words, which clients know */
export function parseAddress(text: string): Address {
  const address = asAddress(text);
  if (!address) throw invalid(`invalid IP address: ${text}`);
  return address;
}

/** The longest run of zero groups is left out, the first one of two. Source: RFC 5952. */
function format6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, at) => ((value >> BigInt(16 * (7 - at))) & 0xffffn).toString(16));
  const runs = groups.map((_, at) => {
    const end = groups.findIndex((group, later) => later >= at && group !== "0");
    return { at, length: (end < 0 ? groups.length : end) - at };
  });
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best));
  if (longest.length < 2) return groups.join(":");
  return `${groups.slice(0, longest.at).join(":")}::${groups.slice(longest.at + longest.length).join(":")}`;
}

export const formatAddress = ({ family, value }: Address): string =>
  family === 6 ? format6(value) : [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join(".");

export const addressBytes = ({ family, value }: Address): Uint8Array =>
  Uint8Array.fromHex(value.toString(16).padStart(bitsOf(family) / 4, "0"));

export const addressFrom = (bytes: Uint8Array): Address => ({
  family: bytes.length === 4 ? 4 : 6,
  value: BigInt(`0x${Buffer.from(bytes).toString("hex")}`),
});

const sizeOf = ({ family, prefix }: Subnet): bigint => 1n << BigInt(bitsOf(family) - prefix);

export const subnetAround = ({ family, value }: Address, prefix: number): Subnet => {
  const size = 1n << BigInt(bitsOf(family) - prefix);
  return { family, base: value - (value % size), prefix };
};

/** @returns the address itself and the subnet around it. @throws invalid */
export function parseCidr(text: string): { readonly address: Address; readonly subnet: Subnet } {
  const [host = "", bits = "", ...more] = text.split("/");
  const address = asAddress(host);
  const prefix = /^(0|[1-9]\d{0,2})$/.test(bits) ? Number(bits) : 999;
  if (!address || more.length > 0 || prefix > bitsOf(address.family)) throw invalid(`invalid CIDR address: ${text}`);
  return { address, subnet: subnetAround(address, prefix) };
}

export const firstOf = ({ family, base }: Subnet): Address => ({ family, value: base });
export const lastOf = (subnet: Subnet): Address => ({
  family: subnet.family,
  value: subnet.base + sizeOf(subnet) - 1n,
});

export const plus = ({ family, value }: Address, count: bigint): Address => ({ family, value: value + count });

export const formatSubnet = (subnet: Subnet): string => `${formatAddress(firstOf(subnet))}/${subnet.prefix}`;

export const contains = (subnet: Subnet, { family, value }: Address): boolean =>
  family === subnet.family && value >= subnet.base && value < subnet.base + sizeOf(subnet);

export const isInside = (inner: Subnet, outer: Subnet): boolean =>
  contains(outer, firstOf(inner)) && inner.prefix >= outer.prefix;

export const overlaps = (one: Subnet, other: Subnet): boolean =>
  contains(one, firstOf(other)) || contains(other, firstOf(one));

/** Whether it means many hosts: multicast, or IPv4's broadcast. */
export const isShared = ({ family, value }: Address): boolean =>
  family === 6 ? value >> 120n === 0xffn : value >> 28n === 0xen || value === 0xffffffffn;

/** `02:42:` and the last 32 bits of the address: Docker's rule, so that a container's MAC is known from its address. */
export const macOf = ({ value }: Address): Uint8Array =>
  Uint8Array.fromHex(`0242${(value & 0xffffffffn).toString(16).padStart(8, "0")}`);

export const formatMac = (mac: Uint8Array): string =>
  [...mac].map((byte) => byte.toString(16).padStart(2, "0")).join(":");

/** @throws invalid */
export function parseMac(text: string): Uint8Array {
  if (!/^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(text)) throw invalid(`invalid MAC address: ${text}`);
  return Uint8Array.fromHex(text.replaceAll(/[:-]/g, ""));
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
      const prefix = Math.clz32(~swap(mask));
      return [{ family: 4 as const, base: BigInt(swap(destination)), prefix }];
    });
}

/** The same of /proc/net/ipv6_route. */
export function parseRoutes6(table: string): Subnet[] {
  return table.split("\n").flatMap((line) => {
    const [destination, bits] = line.trim().split(/\s+/);
    const prefix = Number.parseInt(bits ?? "", 16);
    if (!destination || !(prefix > 0 && prefix < 128)) return [];
    return [subnetAround({ family: 6, value: BigInt(`0x${destination}`) }, prefix)];
  });
}
