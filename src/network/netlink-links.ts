/** Kinds of network interfaces, as rtnetlink wants them described. Source: linux/if_link.h, linux/veth.h. */

import { attribute, attributesOf, textAttribute, u16, u32 } from "./netlink-message.ts";

export const IFF_UP = 1;

export const IFLA = {
  address: 1,
  ifname: 3,
  link: 5,
  mtu: 4,
  master: 10,
  linkinfo: 18,
  netnsPid: 19,
  ifalias: 20,
  afSpec: 26,
  infoSlaveKind: 4,
  infoSlaveData: 5,
  bridgePortMode: 4,
  inet6AddrGenMode: 8,
} as const;
const INFO = { kind: 1, data: 2 } as const;
const VETH = { peer: 1 } as const;
const VLAN = { id: 1 } as const;
const MACVLAN = { mode: 1 } as const;
const IPVLAN = { mode: 1, flags: 2 } as const;

export const MACVLAN_MODES = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
export const IPVLAN_MODES = { l2: 0, l3: 1, l3s: 2 } as const;
export const IPVLAN_FLAGS = { bridge: 0, private: 1, vepa: 2 } as const;

/** `struct ifinfomsg`: family, padding, type, index, flags, change mask. */
export function ifinfo(index = 0, flags = 0, change = 0): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt32LE(flags, 8);
  bytes.writeUInt32LE(change, 12);
  return bytes;
}

/** An interface that a container gets. */
export interface Inside {
  readonly name: string;
  /** A process in the network namespace. */
  readonly pid: number;
  /** Empty for one that the kernel gives. */
  readonly mac: Uint8Array;
}

/** What a new interface is. @param data  attributes of its kind */
export const linkInfo = (kind: string, data: Uint8Array = new Uint8Array()): Uint8Array =>
  attribute(IFLA.linkinfo, textAttribute(INFO.kind, kind), ...(data.length > 0 ? [attribute(INFO.data, data)] : []));

/** A pair: its other end, which is `inside`. */
export const vethData = ({ name, pid, mac }: Inside, mtu: number): Uint8Array =>
  attribute(
    VETH.peer,
    ifinfo(),
    textAttribute(IFLA.ifname, name),
    attribute(IFLA.mtu, u32(mtu)),
    attribute(IFLA.address, mac),
    attribute(IFLA.netnsPid, u32(pid)),
  );

/** What an interface is, from what the kernel tells of it: empty for one of a device's. */
export function kindOf(attributes: ReadonlyMap<number, Buffer>): string {
  const info = attributes.get(IFLA.linkinfo);
  return info ? textOf(attributesOf(info).get(INFO.kind)) : "";
}

export const textOf = (bytes: Buffer | undefined): string =>
  (bytes ?? Buffer.alloc(0)).toString("utf8").replace(/\0$/, "");

export const vlanData = (id: number): Uint8Array => attribute(VLAN.id, u16(id));

/** An interface that sits on another, its parent. */
export interface WireKind {
  readonly name: "macvlan" | "ipvlan";
  /** Attributes. */
  readonly data: Uint8Array;
}

export const macvlanKind = (mode: keyof typeof MACVLAN_MODES): WireKind => ({
  name: "macvlan",
  data: attribute(MACVLAN.mode, u32(MACVLAN_MODES[mode])),
});

/** All of a parent's have the mode and the flag of the last one that was made. */
export const ipvlanKind = (mode: keyof typeof IPVLAN_MODES, flag: keyof typeof IPVLAN_FLAGS): WireKind => ({
  name: "ipvlan",
  data: Buffer.concat([
    attribute(IPVLAN.mode, u16(IPVLAN_MODES[mode])),
    attribute(IPVLAN.flags, u16(IPVLAN_FLAGS[flag])),
  ]),
});
