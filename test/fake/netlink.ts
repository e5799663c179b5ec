/**
 * A kernel's network as far as the bridge driver sees it: reads rtnetlink requests by the kernel's own headers, not by how they are
 * written, and answers as the kernel does. Source: linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/veth.h.
 */

import { addressBytes, addressFrom, formatAddress, formatMac, parseAddress } from "../../src/network/addresses.ts";
import type { Exchange } from "../../src/network/netlink.ts";
import { attribute, textAttribute, u32 } from "../../src/network/netlink-message.ts";

const ERRNO = { ENODEV: 19, EEXIST: 17, EINVAL: 22, EOPNOTSUPP: 95, ESRCH: 3 } as const;
/** Kinds that sit on another interface. */
const UPPER: ReadonlySet<string> = new Set(["macvlan", "ipvlan", "vlan"]);

export interface FakeInterface {
  readonly index: number;
  readonly kind: string;
  readonly mtu: number;
  readonly mac: string;
  up: boolean;
  /** Name of the bridge that it is a port of. */
  master: string | undefined;
  readonly addresses: string[];
  /** `link` for a default route without one. */
  gateway: string | undefined;
  gateway6: string | undefined;
  /** Whether the kernel gives it a link-local IPv6 address. */
  linkLocal: boolean;
  /** A note. */
  alias: string;
  /** Name of the interface that it sits on. */
  parent: string | undefined;
  /** Of its kind, as the kernel was given them: by number. */
  readonly data: Readonly<Record<string, number>>;
}

type Attributes = ReadonlyMap<number, Buffer>;

function attributesOf(bytes: Buffer): Attributes {
  const found = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    found.set(bytes.readUInt16LE(at + 2), bytes.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}

const textOf = (attributes: Attributes, type: number): string =>
  (attributes.get(type) ?? Buffer.alloc(0)).toString("latin1").replace(/\0$/, "");
const numberOf = (attributes: Attributes, type: number): number => attributes.get(type)?.readUInt32LE(0) ?? 0;
const numbersOf = (attributes: Attributes): Readonly<Record<string, number>> =>
  Object.fromEntries([...attributes].map(([type, value]) => [type, value.readUIntLE(0, value.length)]));
function addressOf(attributes: Attributes, type: number): string {
  const bytes = attributes.get(type);
  return bytes ? formatAddress(addressFrom(bytes)) : "";
}

function message(type: number, body: Buffer): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + body.length, 0);
  header.writeUInt16LE(type, 4);
  return Buffer.concat([header, body, Buffer.alloc(-body.length & 3)]);
}

/** NLMSG_ERROR; 0 acknowledges. */
function acknowledged(errno: number): Buffer {
  const body = Buffer.alloc(20);
  body.writeInt32LE(-errno, 0);
  return message(2, body);
}

export class FakeKernel {
  /** Pids of processes that are no more. */
  readonly ended = new Set<number>();
  /** Kinds of interfaces that this kernel was built without. */
  readonly unknown = new Set<string>();
  /** By namespace (a pid, 0 for the host) and name. */
  readonly interfaces = new Map<string, FakeInterface>();
  #lastIndex = 0;

  readonly exchange: Exchange = (request, netnsPid) => {
    const all = Buffer.from(request);
    const answers: Buffer[] = [];
    for (let at = 0; at < all.length; ) {
      const length = all.readUInt32LE(at);
      answers.push(this.#answer(all.readUInt16LE(at + 4), all.subarray(at + 16, at + length), netnsPid));
      at += (length + 3) & ~3;
    }
    return Buffer.concat(answers);
  };

  get(name: string, pid = 0): FakeInterface | undefined {
    return this.interfaces.get(`${pid}/${name}`);
  }

  /** What somebody else did. */
  add(name: string, change: Partial<FakeInterface> & { readonly kind: string }, pid = 0): FakeInterface {
    const made: FakeInterface = {
      index: ++this.#lastIndex,
      mtu: 1500,
      mac: "",
      up: false,
      master: undefined,
      addresses: [],
      gateway: undefined,
      gateway6: undefined,
      linkLocal: true,
      alias: "",
      parent: undefined,
      data: {},
      ...change,
    };
    this.interfaces.set(`${pid}/${name}`, made);
    return made;
  }

  #answer(type: number, body: Buffer, pid: number): Buffer {
    const [newLink, delLink, getLink, setLink, newAddress, getAddress, newRoute, delRoute] = [
      ...[16, 17, 18, 19, 20, 22, 24, 25],
    ];
    if (type === getLink) return this.#find(attributesOf(body.subarray(16)), pid);
    if (type === setLink) return acknowledged(this.#note(attributesOf(body.subarray(16)), pid));
    if (type === getAddress) return this.#dump(pid);
    if (type === newLink)
      return acknowledged(body.readInt32LE(4) === 0 ? this.#create(body, pid) : this.#change(body, pid));
    if (type === delLink) return acknowledged(this.#delete(body.readInt32LE(4), pid));
    if (type === newAddress) return acknowledged(this.#address(body, pid));
    if (type === newRoute) return acknowledged(this.#route(body, pid));
    if (type === delRoute) return acknowledged(this.#unroute(body, pid));
    return acknowledged(ERRNO.EOPNOTSUPP);
  }

  #note(attributes: Attributes, pid: number): number {
    const found = this.get(textOf(attributes, 3), pid);
    if (found) found.alias = textOf(attributes, 20);
    return found ? 0 : ERRNO.ENODEV;
  }

  #list(pid: number): Buffer {
    const all = [...this.interfaces].filter(([key]) => key.startsWith(`${pid}/`));
    const links = all.map(([key, { index, alias }]) => {
      const body = Buffer.alloc(16);
      body.writeInt32LE(index, 4);
      const texts = [textAttribute(3, key.slice(`${pid}/`.length)), textAttribute(20, alias)];
      return message(16, Buffer.concat([body, ...texts]));
    });
    return Buffer.concat([...links, message(3, Buffer.alloc(4))]);
  }

  #find(attributes: Attributes, pid: number): Buffer {
    if (!attributes.has(3)) return this.#list(pid);
    const found = this.get(textOf(attributes, 3), pid);
    return found ? this.#tell(found) : acknowledged(ERRNO.ENODEV);
  }

  #tell({ index, up, kind, master }: FakeInterface): Buffer {
    const body = Buffer.alloc(16);
    body.writeInt32LE(index, 4);
    body.writeUInt32LE(Number(up), 8);
    const of = this.get(master ?? "");
    return message(
      16,
      Buffer.concat([
        body,
        ...(kind === "physical" ? [] : [attribute(18, textAttribute(1, kind))]),
        ...(of ? [attribute(10, u32(of.index))] : []),
      ]),
    );
  }

  #byIndex(index: number, pid: number): [key: string, found: FakeInterface] | undefined {
    return [...this.interfaces].find(([key, { index: own }]) => own === index && key.startsWith(`${pid}/`));
  }

  #create(body: Buffer, pid: number): number {
    const attributes = attributesOf(body.subarray(16));
    const info = attributesOf(attributes.get(18) ?? Buffer.alloc(0));
    const name = textOf(attributes, 3);
    const kind = textOf(info, 1);
    const netns = numberOf(attributes, 19) || pid;
    if (this.unknown.has(kind)) return ERRNO.EOPNOTSUPP;
    if (this.get(name, netns)) return ERRNO.EEXIST;
    const parent = this.#nameOf(numberOf(attributes, 5));
    if (UPPER.has(kind) && parent === undefined) return ERRNO.EINVAL;
    const end = attributesOf(
      attributesOf(info.get(2) ?? Buffer.alloc(0))
        .get(1)
        ?.subarray(16) ?? Buffer.alloc(0),
    );
    if (this.ended.has(numberOf(end, 19))) return ERRNO.ESRCH;
    const mac = formatMac(attributes.get(1) ?? new Uint8Array());
    const data = kind === "veth" ? {} : numbersOf(attributesOf(info.get(2) ?? Buffer.alloc(0)));
    const own = { mtu: numberOf(attributes, 4), mac, up: (body.readUInt32LE(8) & 1) === 1 };
    const made = this.add(name, { kind, parent, data, ...own }, netns);
    made.master = this.#nameOf(numberOf(attributes, 10));
    const peer = attributesOf(info.get(2) ?? Buffer.alloc(0)).get(1);
    if (kind !== "veth" || !peer) return 0;
    const other = attributesOf(peer.subarray(16));
    this.add(
      textOf(other, 3),
      { kind, mtu: numberOf(other, 4), mac: formatMac(other.get(1) ?? new Uint8Array()) },
      numberOf(other, 19),
    );
    return 0;
  }

  #nameOf(index: number): string | undefined {
    return this.#byIndex(index, 0)?.[0].slice(2);
  }

  #change(body: Buffer, pid: number): number {
    const [, found] = this.#byIndex(body.readInt32LE(4), pid) ?? [];
    if (!found) return ERRNO.ENODEV;
    if ((body.readUInt32LE(12) & 1) === 1) found.up = (body.readUInt32LE(8) & 1) === 1;
    const attributes = attributesOf(body.subarray(16));
    if (attributes.has(26)) found.linkLocal = false;
    if (attributes.has(10)) found.master = this.#nameOf(numberOf(attributes, 10));
    return 0;
  }

  #delete(index: number, pid: number): number {
    const [key] = this.#byIndex(index, pid) ?? [];
    if (key === undefined) return ERRNO.ENODEV;
    this.interfaces.delete(key);
    return 0;
  }

  #address(body: Buffer, pid: number): number {
    const [, found] = this.#byIndex(body.readUInt32LE(4), pid) ?? [];
    if (!found) return ERRNO.ENODEV;
    const attributes = attributesOf(body.subarray(8));
    found.addresses.push(`${addressOf(attributes, 2)}/${body.readUInt8(1)} ${addressOf(attributes, 4)}`.trim());
    return 0;
  }

  #route(body: Buffer, pid: number): number {
    const attributes = attributesOf(body.subarray(12));
    const [, found] = this.#byIndex(numberOf(attributes, 4), pid) ?? [];
    if (!found) return ERRNO.ENODEV;
    if (body.readUInt8(1) !== 0) return 0;
    for (const [key, other] of this.interfaces) if (key.startsWith(`${pid}/`)) this.#setGateway(other, body, undefined);
    this.#setGateway(found, body, attributes.has(5) ? addressOf(attributes, 5) : "link");
    return 0;
  }

  #setGateway(one: FakeInterface, body: Buffer, gateway: string | undefined): void {
    if (body.readUInt8(0) === 2) one.gateway = gateway;
    else one.gateway6 = gateway;
  }

  #unroute(body: Buffer, pid: number): number {
    const all = [...this.interfaces].filter(([key]) => key.startsWith(`${pid}/`)).map(([, one]) => one);
    const had = all.filter(({ gateway, gateway6 }) => (body.readUInt8(0) === 2 ? gateway : gateway6) !== undefined);
    for (const one of had) this.#setGateway(one, body, undefined);
    return had.length > 0 ? 0 : ERRNO.ESRCH;
  }

  #dump(pid: number): Buffer {
    const all = [...this.interfaces].filter(([key]) => key.startsWith(`${pid}/`));
    const entries = all.flatMap(([, { index, addresses }]) =>
      addresses.map((text) => {
        const [, address = "", prefix] = /^([^/]+)\/(\d+)/.exec(text) ?? [];
        const bytes = addressBytes(parseAddress(address));
        const body = Buffer.alloc(12 + bytes.length);
        body.writeUInt8(bytes.length === 4 ? 2 : 10, 0); // AF_INET, AF_INET6
        body.writeUInt8(Number(prefix), 1);
        body.writeUInt32LE(index, 4);
        body.writeUInt16LE(4 + bytes.length, 8);
        body.writeUInt16LE(bytes.length === 4 ? 2 : 1, 10); // IFA_LOCAL, IFA_ADDRESS
        body.set(bytes, 12);
        return message(20, body);
      }),
    );
    return Buffer.concat([...entries, message(3, Buffer.alloc(4))]);
  }
}
