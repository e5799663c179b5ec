/**
 * Interfaces, addresses and routes over rtnetlink: messages are built here, the socket belongs to the C library.
 * Source: rtnetlink(7), linux/if_link.h, linux/rtnetlink.h, linux/veth.h.
 */

import { hasCode, internal } from "../base/errors.ts";
import { SystemError } from "../base/system-error.ts";
import { type Address, addressBytes, addressFrom, lastOf, subnetAround } from "./addresses.ts";
import {
  IFF_UP,
  IFLA,
  type Inside,
  ifinfo,
  kindOf,
  linkInfo,
  textOf,
  vethData,
  vlanData,
  type WireKind,
} from "./netlink-links.ts";
import {
  type Answer,
  answers,
  attribute,
  attributesOf,
  concat,
  errnoOf,
  message,
  NLM_F,
  textAttribute,
  u32,
} from "./netlink-message.ts";

/** Sends one request and returns all of the answer. `netnsPid` names the network namespace by a process in it; 0 is our own. */
export type Exchange = (request: Uint8Array, netnsPid: number) => Uint8Array;

const RTM = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  setLink: 19,
  newAddr: 20,
  delAddr: 21,
  getAddr: 22,
  newRoute: 24,
  delRoute: 25,
};
const NEW = NLM_F.ack | NLM_F.create | NLM_F.exclusive;

const IFA = { address: 1, local: 2, broadcast: 4 };
const RTA = { oif: 4, gateway: 5 };
const EAFNOSUPPORT = 97;
const IFA_F_NODAD = 2;
const AF = { 4: 2, 6: 10 } as const;
/** No address is made up from the MAC. Source: linux/if_link.h, in6_addr_gen_mode. */
const ADDR_GEN_NONE = 1;

/** `struct ifaddrmsg`: family, prefix length, flags, scope, index. */
const ifaddr = (family: number, prefix: number, flags: number, index: number): Uint8Array =>
  concat(Uint8Array.of(family, prefix, flags, 0), u32(index));

/** How far a route leads. Source: linux/rtnetlink.h. */
const SCOPE = { universe: 0, link: 253 } as const;

/** `struct rtmsg` of a default route: family, lengths, tos, table main, protocol boot, scope, type unicast, flags. */
const defaultRoute = (family: 4 | 6, scope: number = SCOPE.universe): Uint8Array =>
  Uint8Array.of(AF[family], 0, 0, 0, 254, 3, scope, 1, 0, 0, 0, 0);

export interface InterfaceAddress {
  readonly address: Address;
  readonly prefix: number;
}

export interface InterfaceSetting {
  readonly addresses: readonly InterfaceAddress[];
  readonly ownAddresses?: boolean;
  readonly gateways?: readonly Address[];
}

export class Netlink {
  constructor(readonly exchange: Exchange) {}

  /** @param forgiven  refusals that are none */
  #do(action: string, request: Uint8Array, netnsPid = 0, forgiven: readonly number[] = []): Answer[] {
    const all = [...answers(this.exchange(request, netnsPid))];
    for (const answer of all) {
      const errno = errnoOf(answer);
      if (errno !== 0 && !forgiven.includes(errno)) throw new SystemError(action, errno);
    }
    return all;
  }

  /** @returns the interface's index; undefined when there is none of that name */
  index(interfaceName: string, netnsPid = 0): number | undefined {
    try {
      const request = message(RTM.getLink, 0, ifinfo(), textAttribute(IFLA.ifname, interfaceName));
      const all = this.#do(`find ${interfaceName}`, request, netnsPid);
      return all.find(({ type }) => type === RTM.newLink)?.body.readInt32LE(4);
    } catch (error) {
      if (hasCode(error, "ENODEV")) return undefined;
      throw error;
    }
  }

  /** What the kernel tells of one by its name. @returns undefined when there is none, or no such namespace any more */
  #look(interfaceName: string, netnsPid = 0): Buffer | undefined {
    try {
      const request = message(RTM.getLink, 0, ifinfo(), textAttribute(IFLA.ifname, interfaceName));
      const all = this.#do(`look at ${interfaceName}`, request, netnsPid);
      return all.find(({ type }) => type === RTM.newLink)?.body;
    } catch (error) {
      if (hasCode(error, "ENODEV", "ENOENT")) return undefined;
      throw error;
    }
  }

  /** @returns what an interface of the host is, as `bridge`; empty for one of a device's, undefined when there is none of that name */
  kind(interfaceName: string): string | undefined {
    const body = this.#look(interfaceName);
    return body && kindOf(attributesOf(body.subarray(16)));
  }

  isUp(interfaceName: string, netnsPid = 0): boolean {
    const body = this.#look(interfaceName, netnsPid);
    return body !== undefined && (body.readUInt32LE(8) & IFF_UP) !== 0;
  }

  /** Index of the bridge that an interface is a port of. */
  master(interfaceName: string): number | undefined {
    const body = this.#look(interfaceName);
    return body && attributesOf(body.subarray(16)).get(IFLA.master)?.readUInt32LE(0);
  }

  #required(interfaceName: string, netnsPid = 0): number {
    const index = this.index(interfaceName, netnsPid);
    if (index === undefined) throw internal(`Cannot find network interface ${interfaceName}`);
    return index;
  }

  /**
   * With a MAC of its own: else the bridge's would change with its ports.
   * @param alias  a note that stays with it, of whose it is. @throws SystemError EEXIST
   */
  createBridge(bridge: string, mac: Uint8Array, mtu: number, alias: string): void {
    const request = message(
      RTM.newLink,
      NEW,
      ifinfo(),
      textAttribute(IFLA.ifname, bridge),
      attribute(IFLA.address, mac),
      attribute(IFLA.mtu, u32(mtu)),
      linkInfo("bridge"),
    );
    this.#do(`create bridge ${bridge}`, request);
    this.#note(bridge, alias);
  }

  /** One that leads nowhere. @throws SystemError EOPNOTSUPP when the kernel does not know the kind */
  createDummy(name: string, kind: "dummy" | "bridge", alias: string): void {
    const names = textAttribute(IFLA.ifname, name);
    this.#do(`create ${name}`, message(RTM.newLink, NEW, ifinfo(), names, linkInfo(kind)));
    this.#note(name, alias);
  }

  /** Of one of the host's interfaces, by the number of the VLAN. @throws SystemError EOPNOTSUPP when the kernel has no VLANs */
  createVlan(name: string, trunk: string, id: number, alias: string): void {
    const request = message(
      RTM.newLink,
      NEW,
      ifinfo(),
      textAttribute(IFLA.ifname, name),
      attribute(IFLA.link, u32(this.#required(trunk))),
      linkInfo("vlan", vlanData(id)),
    );
    this.#do(`create ${name}`, request);
    this.#note(name, alias);
  }

  #note(interfaceName: string, alias: string): void {
    const names = [textAttribute(IFLA.ifname, interfaceName), textAttribute(IFLA.ifalias, alias)];
    this.#do(`name ${interfaceName}`, message(RTM.setLink, NLM_F.ack, ifinfo(), ...names));
  }

  /** Names of the interfaces with this note. */
  noted(alias: string): readonly string[] {
    return this.#do("list interfaces", message(RTM.getLink, NLM_F.dump, ifinfo()))
      .filter(({ type }) => type === RTM.newLink)
      .map(({ body }) => attributesOf(body.subarray(16)))
      .filter((found) => textOf(found.get(IFLA.ifalias)) === alias)
      .map((found) => textOf(found.get(IFLA.ifname)));
  }

  /** A pair: `host` here and a port of `bridge`, already up; `inside` in a container's namespace. */
  createVeth(host: string, bridge: string, inside: Inside, mtu: number): void {
    const request = message(
      RTM.newLink,
      NEW,
      ifinfo(0, IFF_UP, IFF_UP),
      textAttribute(IFLA.ifname, host),
      attribute(IFLA.mtu, u32(mtu)),
      attribute(IFLA.master, u32(this.#required(bridge))),
      linkInfo("veth", vethData(inside, mtu)),
    );
    this.#do(`create ${host} on ${bridge}`, request);
  }

  /** A bridge sends back through this port what came in there, when that is where it belongs. */
  turnAround(port: string): void {
    const mode = attribute(IFLA.infoSlaveData, attribute(IFLA.bridgePortMode, Uint8Array.of(1)));
    const info = attribute(IFLA.linkinfo, textAttribute(IFLA.infoSlaveKind, "bridge"), mode);
    const request = message(RTM.newLink, NLM_F.ack, ifinfo(this.#required(port)), info);
    this.#do(`let ${port} turn packets around`, request);
  }

  /** Whether the kernel can make this kind. It is asked for one without a parent, which it refuses to make in any case. */
  knows(kind: WireKind["name"]): boolean {
    try {
      this.#do(`make a ${kind} of nothing`, message(RTM.newLink, NEW, ifinfo(), linkInfo(kind)));
    } catch (error) {
      return !hasCode(error, "EOPNOTSUPP");
    }
    throw internal(`the kernel has made a ${kind} without a parent`);
  }

  /**
   * An interface of the container's own on one of the host's.
   * @param mtu  0 for the parent's
   * @throws SystemError EBUSY when the parent is a port of a bridge, or has interfaces of another kind on it
   */
  createOn(parent: string, { name: kind, data }: WireKind, { name, pid, mac }: Inside, mtu: number): void {
    const request = message(
      RTM.newLink,
      NEW,
      ifinfo(),
      textAttribute(IFLA.ifname, name),
      ...(mac.length > 0 ? [attribute(IFLA.address, mac)] : []),
      attribute(IFLA.link, u32(this.#required(parent))),
      ...(mtu > 0 ? [attribute(IFLA.mtu, u32(mtu))] : []),
      attribute(IFLA.netnsPid, u32(pid)),
      linkInfo(kind, data),
    );
    this.#do(`create a ${kind} on ${parent}`, request);
  }

  /** Idempotent. Blocks for some milliseconds in the kernel. */
  remove(interfaceName: string, netnsPid = 0): void {
    const index = this.index(interfaceName, netnsPid);
    if (index !== undefined)
      this.#do(`remove ${interfaceName}`, message(RTM.delLink, NLM_F.ack, ifinfo(index)), netnsPid);
  }

  /**
   * Gives an interface its addresses and sets it up, in one exchange.
   * @param ownAddresses  whether the kernel may give it a link-local IPv6 address
   * @param gateways      where it leads what has no other route
   */
  configure(
    interfaceName: string,
    { addresses, ownAddresses = true, gateways = [] }: InterfaceSetting,
    netnsPid = 0,
  ): void {
    const index = this.#required(interfaceName, netnsPid);
    this.#do(
      `configure ${interfaceName}`,
      concat(
        ...(ownAddresses ? [] : [withoutLinkLocal(index)]),
        ...addresses.map((one) => addressRequest(index, one)),
        message(RTM.newLink, NLM_F.ack, ifinfo(index, IFF_UP, IFF_UP)),
        ...gateways.map((gateway) => defaultRouteRequest(index, gateway)),
      ),
      netnsPid,
      ownAddresses ? [] : [EAFNOSUPPORT], // no IPv6 at all: the kernel's, or below its least MTU of 1280
    );
  }

  /** Routes everything that has no other route through `gateway` (an unspecified one: to whoever is on the wire), instead of whatever was there before. */
  routeThrough(interfaceName: string, gateway: Address, netnsPid = 0): void {
    const request = defaultRouteRequest(this.#required(interfaceName, netnsPid), gateway);
    this.#do(`route through ${interfaceName}`, request, netnsPid);
  }

  /** Idempotent. */
  removeDefaultRoute(family: 4 | 6, netnsPid = 0): void {
    try {
      this.#do("remove the default route", message(RTM.delRoute, NLM_F.ack, defaultRoute(family)), netnsPid);
    } catch (error) {
      if (!hasCode(error, "ESRCH")) throw error;
    }
  }

  up(interfaceName: string): void {
    const index = this.#required(interfaceName);
    this.#do(`set ${interfaceName} up`, message(RTM.newLink, NLM_F.ack, ifinfo(index, IFF_UP, IFF_UP)));
  }

  /** Makes an interface a port of `bridge`. One that is missing is let be. */
  join(interfaceName: string, bridge: string): void {
    const index = this.index(interfaceName);
    if (index === undefined) return;
    const master = attribute(IFLA.master, u32(this.#required(bridge)));
    this.#do(`join ${interfaceName} to ${bridge}`, message(RTM.newLink, NLM_F.ack, ifinfo(index), master));
  }

  /** @returns the addresses of an interface that are not link-local, IPv4 first */
  addresses(interfaceName: string): InterfaceAddress[] {
    const index = this.index(interfaceName);
    const request = message(RTM.getAddr, NLM_F.dump, ifaddr(0, 0, 0, 0));
    return this.#do("list addresses", request)
      .filter(({ type, body }) => type === RTM.newAddr && body.readUInt32LE(4) === index && body.readUInt8(3) === 0)
      .flatMap(({ body }) => {
        const found = attributesOf(body.subarray(8));
        const bytes = found.get(IFA.local) ?? found.get(IFA.address); // IPv6 has the second only
        return bytes ? [{ address: addressFrom(bytes), prefix: body.readUInt8(1) }] : [];
      })
      .toSorted((one, other) => one.address.family - other.address.family);
  }
}

/** Whether it is no address: a route through it is one by the interface alone. */
const isUnspecified = ({ value }: Address): boolean => value === 0n;

/** Instead of one that is there. IPv6 knows no scopes of routes. */
const defaultRouteRequest = (index: number, gateway: Address): Uint8Array =>
  message(
    RTM.newRoute,
    NLM_F.ack | NLM_F.create | NLM_F.replace,
    defaultRoute(gateway.family, isUnspecified(gateway) && gateway.family === 4 ? SCOPE.link : SCOPE.universe),
    ...(isUnspecified(gateway) ? [] : [attribute(RTA.gateway, addressBytes(gateway))]),
    attribute(RTA.oif, u32(index)),
  );

/** The name of an interface that is gone, is down, or is no longer a port of its bridge; undefined for other news. */
export function troubledLink({ type, body }: Answer): string | undefined {
  const isDown = type === RTM.newLink && (body.readUInt32LE(8) & IFF_UP) === 0;
  return isDown || type === RTM.delLink ? textOf(attributesOf(body.subarray(16)).get(IFLA.ifname)) : undefined;
}

const withoutLinkLocal = (index: number): Uint8Array =>
  message(
    RTM.newLink,
    NLM_F.ack,
    ifinfo(index),
    attribute(IFLA.afSpec, attribute(AF[6], attribute(IFLA.inet6AddrGenMode, Uint8Array.of(ADDR_GEN_NONE)))),
  );

function addressRequest(index: number, { address, prefix }: InterfaceAddress): Uint8Array {
  const { family } = address;
  const subnet = subnetAround(address, prefix);
  return message(
    RTM.newAddr,
    NEW,
    // addresses here are given out once: nobody has to ask around whether one is taken
    ifaddr(AF[family], prefix, family === 6 ? IFA_F_NODAD : 0, index),
    attribute(IFA.local, addressBytes(address)),
    attribute(IFA.address, addressBytes(address)),
    ...(family === 4 && prefix < 31 ? [attribute(IFA.broadcast, addressBytes(lastOf(subnet)))] : []),
  );
}
