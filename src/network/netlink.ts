/**
 * Interfaces, addresses and routes over rtnetlink: messages are built here, the socket belongs to the C library.
 * Source: rtnetlink(7), linux/if_link.h, linux/rtnetlink.h, linux/veth.h. All numbers are little-endian, as on every host we run on.
 */

import { hasCode, internal } from "../base/errors.ts";
import { SystemError } from "../base/system-error.ts";
import { addressBytes, broadcastOf, type Subnet } from "./addresses.ts";

/** Sends one request and returns all of the answer. `netnsPid` names the network namespace by a process in it; 0 is our own. */
export type Exchange = (request: Uint8Array, netnsPid: number) => Uint8Array;

const NEWLINK = 16;
const DELLINK = 17;
const GETLINK = 18;
const NEWADDR = 20;
const GETADDR = 22;
const NEWROUTE = 24;
const ERROR = 2;

const REQUEST = 0x1;
const ACK = 0x4;
const DUMP = 0x300;
const CREATE = 0x600; // NLM_F_CREATE | NLM_F_EXCL

const IFLA = {
  address: 1,
  ifname: 3,
  mtu: 4,
  master: 10,
  linkinfo: 18,
  netnsPid: 19,
  infoKind: 1,
  infoData: 2,
  vethPeer: 1,
};
const IFA = { address: 1, local: 2, broadcast: 4 };
const RTA = { oif: 4, gateway: 5 };
const IFF_UP = 1;
const AF_INET = 2;
const HEADER = 16;

const concat = (...parts: Uint8Array[]): Uint8Array => Buffer.concat(parts);

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

/** `struct rtattr`: length and type, 16 bits each, then the value, padded to 4. */
function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc((4 + value.length + 3) & ~3);
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, 4);
  return bytes;
}

const name = (type: number, text: string): Uint8Array => attribute(type, Buffer.from(`${text}\0`));

/** `struct nlmsghdr`: length, type, flags, sequence, port. */
function message(type: number, flags: number, ...body: Uint8Array[]): Uint8Array {
  const payload = concat(...body);
  const header = Buffer.alloc(HEADER);
  header.writeUInt32LE(HEADER + payload.length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(REQUEST | flags, 6);
  header.writeUInt32LE(1, 8);
  return concat(header, payload);
}

/** `struct ifinfomsg`: family, padding, type, index, flags, change mask. */
function ifinfo(index = 0, flags = 0, change = 0): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt32LE(flags, 8);
  bytes.writeUInt32LE(change, 12);
  return bytes;
}

/** `struct ifaddrmsg`: family, prefix length, flags, scope, index. */
function ifaddr(prefix: number, index: number): Uint8Array {
  return concat(Uint8Array.of(AF_INET, prefix, 0, 0), u32(index));
}

interface Answer {
  readonly type: number;
  readonly body: Buffer;
}

function* answers(bytes: Uint8Array): Generator<Answer> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + HEADER <= buffer.length; ) {
    const length = buffer.readUInt32LE(at);
    if (length < HEADER || at + length > buffer.length) return;
    yield { type: buffer.readUInt16LE(at + 4), body: buffer.subarray(at + HEADER, at + length) };
    at += (length + 3) & ~3;
  }
}

export interface InterfaceAddress {
  readonly address: number;
  readonly subnet: Subnet;
  readonly gateway?: number;
}

export class Netlink {
  constructor(readonly exchange: Exchange) {}

  #do(action: string, request: Uint8Array, netnsPid = 0): Answer[] {
    const all = [...answers(this.exchange(request, netnsPid))];
    for (const { type, body } of all) {
      const errno = type === ERROR ? -body.readInt32LE(0) : 0;
      if (errno !== 0) throw new SystemError(action, errno);
    }
    return all;
  }

  /** @returns the interface's index; undefined when there is none of that name */
  index(interfaceName: string, netnsPid = 0): number | undefined {
    try {
      const all = this.#do(
        `find ${interfaceName}`,
        message(GETLINK, 0, ifinfo(), name(IFLA.ifname, interfaceName)),
        netnsPid,
      );
      return all.find(({ type }) => type === NEWLINK)?.body.readInt32LE(4);
    } catch (error) {
      if (hasCode(error, "ENODEV")) return undefined;
      throw error;
    }
  }

  #required(interfaceName: string, netnsPid = 0): number {
    const index = this.index(interfaceName, netnsPid);
    if (index === undefined) throw internal(`Cannot find network interface ${interfaceName}`);
    return index;
  }

  /** With a MAC of its own: else the bridge's would change with its ports. @throws SystemError EEXIST */
  createBridge(bridge: string, mac: Uint8Array, mtu: number): void {
    const info = attribute(IFLA.linkinfo, name(IFLA.infoKind, "bridge"));
    const request = message(
      NEWLINK,
      ACK | CREATE,
      ifinfo(),
      name(IFLA.ifname, bridge),
      attribute(IFLA.address, mac),
      attribute(IFLA.mtu, u32(mtu)),
      info,
    );
    this.#do(`create bridge ${bridge}`, request);
  }

  /** A pair: `host` here and a port of `bridge`, already up; `peer` in the namespace of `pid`, with this MAC. */
  createVeth(host: string, bridge: string, peer: { name: string; pid: number; mac: Uint8Array }, mtu: number): void {
    const inside = attribute(
      IFLA.vethPeer,
      concat(
        ifinfo(),
        name(IFLA.ifname, peer.name),
        attribute(IFLA.mtu, u32(mtu)),
        attribute(IFLA.address, peer.mac),
        attribute(IFLA.netnsPid, u32(peer.pid)),
      ),
    );
    const info = attribute(IFLA.linkinfo, concat(name(IFLA.infoKind, "veth"), attribute(IFLA.infoData, inside)));
    const request = message(
      NEWLINK,
      ACK | CREATE,
      ifinfo(0, IFF_UP, IFF_UP),
      name(IFLA.ifname, host),
      attribute(IFLA.mtu, u32(mtu)),
      attribute(IFLA.master, u32(this.#required(bridge))),
      info,
    );
    this.#do(`create ${host} on ${bridge}`, request);
  }

  /** Idempotent. Blocks for some milliseconds in the kernel. */
  remove(interfaceName: string): void {
    const index = this.index(interfaceName);
    if (index !== undefined) this.#do(`remove ${interfaceName}`, message(DELLINK, ACK, ifinfo(index)));
  }

  /** Gives an interface its address, sets it up, and routes everything else through `gateway`: one exchange for all of it. */
  configure(interfaceName: string, { address, subnet, gateway }: InterfaceAddress, netnsPid = 0): void {
    const index = this.#required(interfaceName, netnsPid);
    const requests = [addressRequest(index, address, subnet), message(NEWLINK, ACK, ifinfo(index, IFF_UP, IFF_UP))];
    if (gateway !== undefined) requests.push(defaultRouteRequest(index, gateway));
    this.#do(`configure ${interfaceName}`, concat(...requests), netnsPid);
  }

  up(interfaceName: string): void {
    const index = this.#required(interfaceName);
    this.#do(`set ${interfaceName} up`, message(NEWLINK, ACK, ifinfo(index, IFF_UP, IFF_UP)));
  }

  /** Makes an interface a port of `bridge`. One that is missing is let be. */
  join(interfaceName: string, bridge: string): void {
    const index = this.index(interfaceName);
    if (index === undefined) return;
    const master = attribute(IFLA.master, u32(this.#required(bridge)));
    this.#do(`join ${interfaceName} to ${bridge}`, message(NEWLINK, ACK, ifinfo(index), master));
  }

  /** @returns the IPv4 addresses of an interface, with their prefixes */
  addresses(interfaceName: string): { readonly address: number; readonly prefix: number }[] {
    const index = this.index(interfaceName);
    const all = this.#do(`list addresses`, message(GETADDR, DUMP, ifaddr(0, 0)));
    return all
      .filter(({ type, body }) => type === NEWADDR && body.readUInt8(0) === AF_INET && body.readUInt32LE(4) === index)
      .flatMap(({ body }) => {
        const local = attributesOf(body.subarray(8)).get(IFA.local);
        return local ? [{ address: local.readUInt32BE(0), prefix: body.readUInt8(1) }] : [];
      });
  }
}

const addressRequest = (index: number, address: number, subnet: Subnet): Uint8Array =>
  message(
    NEWADDR,
    ACK | CREATE,
    ifaddr(subnet.prefix, index),
    attribute(IFA.local, addressBytes(address)),
    attribute(IFA.address, addressBytes(address)),
    attribute(IFA.broadcast, addressBytes(broadcastOf(subnet))),
  );

function defaultRouteRequest(index: number, gateway: number): Uint8Array {
  // struct rtmsg: family, lengths, tos, table main, protocol boot, scope universe, type unicast, flags
  const rtmsg = Uint8Array.of(AF_INET, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0);
  return message(
    NEWROUTE,
    ACK | CREATE,
    rtmsg,
    attribute(RTA.gateway, addressBytes(gateway)),
    attribute(RTA.oif, u32(index)),
  );
}

function attributesOf(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4) break;
    found.set(bytes.readUInt16LE(at + 2), bytes.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}
