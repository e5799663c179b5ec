/**
 * The kernel's memory of where datagrams went. A rule leads only the first of a flow, and what follows goes the same way for as long as it keeps
 * coming: a client that sends on and on would never reach the container that has a port now. So flows that contradict a new rule are forgotten, and
 * those to a container that has ended. A connection of TCP ends by itself. Source: linux/netfilter/nfnetlink_conntrack.h.
 */

import { networkInterfaces } from "node:os";
import { messageOf } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { SystemError } from "../base/system-error.ts";
import { type Address, addressFrom, formatAddress } from "./addresses.ts";
import type { PortRule } from "./firewall-rules.ts";
import type { Exchange } from "./netlink.ts";
import {
  type Answer,
  answers,
  attribute,
  attributesOf,
  errnoOf,
  message,
  NLM_F,
  nested,
  u32,
} from "./netlink-message.ts";
import { NFPROTO, portBytes } from "./nftables.ts";

const SUBSYSTEM = 1 << 8;
const MSG = { new: SUBSYSTEM | 0, get: SUBSYSTEM | 1, delete: SUBSYSTEM | 2 } as const;
const CTA = { original: 1, reply: 2, id: 12, zone: 18, filter: 25 } as const;
const TUPLE = { ip: 1, protocol: 2 } as const;
const IP = { 4: { source: 1, destination: 2 }, 6: { source: 3, destination: 4 } } as const;
const PROTOCOL = { number: 1, source: 2, destination: 3 } as const;
const FILTER = { original: 1, reply: 2 } as const;
/** Which parts of a tuple a filter looks at; of the kernel's nf_internals.h. */
const LOOKS_AT = { number: 1 << 3, destinationPort: 1 << 5 } as const;
const UDP = 17;
/** Bytes of `struct nfgenmsg`. */
const GENMSG = 4;

type Family = 4 | 6;

const genmsg = (family: Family): Uint8Array => Uint8Array.of(family === 4 ? NFPROTO.ip : NFPROTO.ip6, 0, 0, 0);

/** One direction of a flow. */
interface Tuple {
  readonly source: Address;
  readonly destination: Address;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

interface Flow {
  readonly family: Family;
  readonly original: Tuple;
  readonly reply: Tuple;
  /** Attributes that name it, as the kernel wrote them. */
  readonly name: readonly Uint8Array[];
}

function tupleOf(bytes: Buffer, family: Family): Tuple | undefined {
  const parts = attributesOf(bytes);
  const [ip, protocol] = [parts.get(TUPLE.ip), parts.get(TUPLE.protocol)];
  if (!ip || !protocol) return undefined;
  const [addresses, ports] = [attributesOf(ip), attributesOf(protocol)];
  const source = addresses.get(IP[family].source);
  const destination = addresses.get(IP[family].destination);
  if (!source || !destination) return undefined;
  return {
    source: addressFrom(source),
    destination: addressFrom(destination),
    sourcePort: ports.get(PROTOCOL.source)?.readUInt16BE(0) ?? 0,
    destinationPort: ports.get(PROTOCOL.destination)?.readUInt16BE(0) ?? 0,
  };
}

function flowOf({ type, body }: Answer, family: Family): Flow | undefined {
  if (type !== MSG.new) return undefined;
  const found = attributesOf(body.subarray(GENMSG));
  const [first, second] = [found.get(CTA.original), found.get(CTA.reply)];
  const original = first && tupleOf(first, family);
  const reply = second && tupleOf(second, family);
  if (!original || !reply) return undefined;
  const [id, zone] = [found.get(CTA.id), found.get(CTA.zone)];
  const name = [
    nested(CTA.original, first),
    ...(id ? [attribute(CTA.id, id)] : []),
    ...(zone ? [attribute(CTA.zone, zone)] : []),
  ];
  return { family, original, reply, name };
}

/**
 * UDP's, to any of these ports, wherever that is. The kernel looks through all flows that there are, which takes it milliseconds.
 * @throws SystemError ENOSPC for some ten thousand of them
 */
function flowsTo(exchange: Exchange, family: Family, ports: ReadonlySet<number>): readonly Flow[] {
  const [port] = ports.size === 1 ? ports : [];
  const protocol = nested(
    TUPLE.protocol,
    attribute(PROTOCOL.number, Uint8Array.of(UDP)),
    ...(port === undefined ? [] : [attribute(PROTOCOL.destination, portBytes(port))]),
  );
  const looksAt = LOOKS_AT.number | (port === undefined ? 0 : LOOKS_AT.destinationPort);
  const filter = nested(CTA.filter, attribute(FILTER.original, u32(looksAt)), attribute(FILTER.reply, u32(0)));
  const request = message(MSG.get, NLM_F.dump, genmsg(family), nested(CTA.original, protocol), filter);
  return [...answers(exchange(request, 0))].flatMap((answer) => {
    const errno = errnoOf(answer);
    if (errno !== 0) throw new SystemError("list flows of UDP", errno);
    const flow = flowOf(answer, family);
    return flow && ports.has(flow.original.destinationPort) ? [flow] : []; // kernels before 5.8 do not know the filter
  });
}

/** One that has just ended by itself is none the worse for it. */
const remove = (exchange: Exchange, { family, name }: Flow): Uint8Array =>
  exchange(message(MSG.delete, NLM_F.ack, genmsg(family), ...name), 0);

const same = (one: Address, other: Address): boolean => one.family === other.family && one.value === other.value;

const leadsTo = ({ target, targetPort }: PortRule, { reply }: Flow): boolean =>
  same(reply.source, target) && reply.sourcePort === targetPort;

/** What a flow came to: a port of the host that a rule leads, whoever had it before. */
const cameTo = ({ hostAddress }: PortRule, { original }: Flow, own: ReadonlySet<string>): boolean =>
  hostAddress
    ? same(original.destination, hostAddress)
    : own.has(formatAddress(original.destination)) || isLoopback(original.destination);

const isLoopback = ({ family, value }: Address): boolean => (family === 4 ? value >> 24n === 127n : value === 1n);

/** The host's. */
const ownAddresses = (): ReadonlySet<string> =>
  new Set(Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address)));

const isUdp = ({ protocol }: PortRule): boolean => protocol === "udp";

/** As packets have it that come: of the host, or of the container where that is reached itself. */
const portOf = ({ hostPort, targetPort }: PortRule): number => hostPort ?? targetPort;

/** Which flows of a rule's port are to be forgotten. */
interface Step {
  readonly rule: PortRule;
  readonly isStale: (flow: Flow) => boolean;
}

/** Containers come and go in crowds: one look serves all of them. */
const GATHER_MS = 10;

const isTo = (rule: PortRule, { original }: Flow): boolean => original.destinationPort === portOf(rule);

export class Flows {
  #steps: Step[] = [];
  #timer: Timer | undefined;

  /** @param exchange  over netlink's protocol of netfilter */
  constructor(
    readonly exchange: Exchange,
    readonly log: Logger,
  ) {}

  /** Forgets, some time after it returns, where datagrams of ports went: rules of these ports are set, and no longer set. */
  follow(set: readonly PortRule[], gone: readonly PortRule[]): void {
    for (const rule of gone.filter(isUdp))
      this.#steps.push({ rule, isStale: (flow) => isTo(rule, flow) && leadsTo(rule, flow) });
    const own = ownAddresses();
    for (const rule of set.filter((one) => isUdp(one) && one.hostPort !== undefined))
      this.#steps.push({
        rule,
        isStale: (flow) => isTo(rule, flow) && !leadsTo(rule, flow) && cameTo(rule, flow, own),
      });
    if (this.#steps.length > 0) this.#timer ??= setTimeout(() => this.forget(), GATHER_MS).unref();
  }

  /** Does at once what `follow` has been told. Never throws. */
  forget(): void {
    clearTimeout(this.#timer);
    const steps = this.#steps;
    this.#steps = [];
    this.#timer = undefined;
    for (const family of [4, 6] as const) {
      const concerned = steps.filter(({ rule }) => rule.target.family === family);
      const ports = new Set(concerned.map(({ rule }) => portOf(rule)));
      if (ports.size === 0) continue;
      try {
        for (const flow of flowsTo(this.exchange, family, ports))
          if (concerned.some(({ isStale }) => isStale(flow))) remove(this.exchange, flow);
      } catch (error) {
        this.log.warn("clients of a UDP port may go on to send to where it led before", {
          ports: [...ports].join(),
          error: messageOf(error),
        });
      }
    }
  }
}
