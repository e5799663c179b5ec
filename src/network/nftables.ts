/**
 * Elements of nftables' sets and maps over netlink: one transaction, some hundred microseconds, where the program `nft` takes ten milliseconds.
 * Source: linux/netfilter/nf_tables.h, nfnetlink.h.
 */

import { SystemError } from "../base/system-error.ts";
import type { Exchange } from "./netlink.ts";
import {
  type Answer,
  answers,
  attribute,
  attributesOf,
  concat,
  errnoOf,
  message,
  NLM_F,
  nested,
  textAttribute,
} from "./netlink-message.ts";

const BATCH = { begin: 0x10, end: 0x11 } as const;
const SUBSYSTEM = 10;
const MSG = { newChain: 3, getChain: 4, getRule: 7, newSetElem: 12, getSetElem: 13, delSetElem: 14 } as const;
/** Of tables, chains, rules, sets and elements. */
const REMOVALS: ReadonlySet<number> = new Set([2, 5, 8, 11, MSG.delSetElem]);
const CHAIN = { table: 1, name: 3, hook: 4, policy: 5, hookNumber: 1 } as const;
/** Bytes of `struct nfgenmsg`. */
const GENMSG = 4;
const LIST = { table: 1, set: 2, elements: 3 } as const;
const ELEMENT = { key: 1, data: 2, item: 1 } as const;
const DATA_VALUE = 1;

/** Families of tables. Source: linux/netfilter.h. */
export const NFPROTO = { inet: 1, ip: 2, bridge: 7, ip6: 10 } as const;
/** Where packets pass that are on the way through this host. Source: linux/netfilter.h. */
export const HOOK_FORWARD = 2;

export interface Element {
  readonly set: string;
  readonly key: Uint8Array;
  /** Of a map. */
  readonly data?: Uint8Array;
}

/** `struct nfgenmsg`: family, version, resource in network order. */
const nfgenmsg = (family: number, resource = 0): Uint8Array => Uint8Array.of(family, 0, resource >> 8, resource & 255);

function elementMessage(action: number, family: number, table: string, { set, key, data }: Element): Uint8Array {
  const value = (type: number, bytes: Uint8Array) => nested(type, attribute(DATA_VALUE, bytes));
  const item = nested(ELEMENT.item, value(ELEMENT.key, key), ...(data ? [value(ELEMENT.data, data)] : []));
  return message(
    (SUBSYSTEM << 8) | action,
    NLM_F.ack | (action === MSG.newSetElem ? NLM_F.create : 0),
    nfgenmsg(family),
    textAttribute(LIST.table, table),
    textAttribute(LIST.set, set),
    nested(LIST.elements, item),
  );
}

/** Adds and removes elements, all or none. @throws SystemError ENOENT without the table or an element that is to go, EEXIST */
export function changeElements(
  exchange: Exchange,
  family: number,
  table: string,
  changes: { readonly add?: readonly Element[]; readonly remove?: readonly Element[] },
): void {
  const batch = concat(
    message(BATCH.begin, 0, nfgenmsg(0, SUBSYSTEM)),
    ...(changes.remove ?? []).map((one) => elementMessage(MSG.delSetElem, family, table, one)),
    ...(changes.add ?? []).map((one) => elementMessage(MSG.newSetElem, family, table, one)),
    message(BATCH.end, 0, nfgenmsg(0, SUBSYSTEM)),
  );
  for (const answer of answers(exchange(batch, 0))) {
    const errno = errnoOf(answer);
    if (errno !== 0) throw new SystemError(`change the firewall's table ${table}`, errno);
  }
}

/** The items of a list, each with the same type. Source: linux/netlink.h. */
function itemsOf(list: Buffer): number {
  let count = 0;
  for (let at = 0; at + 4 <= list.length; at += (list.readUInt16LE(at) + 3) & ~3) {
    if (list.readUInt16LE(at) < 4) break;
    count++;
  }
  return count;
}

function dump(exchange: Exchange, action: number, family: number, ...attributes: readonly Uint8Array[]): Answer[] {
  const request = message((SUBSYSTEM << 8) | action, NLM_F.dump, nfgenmsg(family), ...attributes);
  const all = [...answers(exchange(request, 0))];
  for (const answer of all) {
    const errno = errnoOf(answer);
    if (errno !== 0) throw new SystemError("list firewall rules", errno);
  }
  return all.filter(({ type }) => type >> 8 === SUBSYSTEM);
}

/** How many rules a table has; 0 for one that is not there. */
export const countRules = (exchange: Exchange, family: number, table: string): number =>
  dump(exchange, MSG.getRule, family, textAttribute(LIST.table, table)).length;

/** @throws SystemError ENOENT without the table or the set */
export function countElements(exchange: Exchange, family: number, table: string, set: string): number {
  const parts = dump(exchange, MSG.getSetElem, family, textAttribute(LIST.table, table), textAttribute(LIST.set, set));
  return parts.reduce((sum, { body }) => {
    const list = attributesOf(body.subarray(GENMSG)).get(LIST.elements);
    return sum + (list ? itemsOf(list) : 0);
  }, 0);
}

/** A chain that the kernel itself calls at one of its hooks. */
export interface BaseChain {
  readonly family: number;
  readonly table: string;
  readonly name: string;
  /** Source: linux/netfilter.h, nf_inet_hooks. */
  readonly hook: number;
  /** What becomes of a packet that no rule decides about. */
  readonly drops: boolean;
}

const textOf = (bytes: Buffer | undefined): string => (bytes ?? Buffer.alloc(0)).toString("utf8").replace(/\0$/, "");

/** Of every table of a family; 0 for all families. */
export function baseChains(exchange: Exchange, family = 0): readonly BaseChain[] {
  return dump(exchange, MSG.getChain, family).flatMap(({ body }) => {
    const chain = attributesOf(body.subarray(GENMSG));
    const hook = chain.get(CHAIN.hook);
    const number = hook && attributesOf(hook).get(CHAIN.hookNumber);
    if (!number) return [];
    return {
      family: body.readUInt8(0),
      table: textOf(chain.get(CHAIN.table)),
      name: textOf(chain.get(CHAIN.name)),
      hook: number.readUInt32BE(0),
      drops: chain.get(CHAIN.policy)?.readUInt32BE(0) === 0,
    };
  });
}

/** Each kind of message names the table first; others' tables may tell of thousands of elements at once. */
function tableOf(body: Buffer): string {
  const rest = body.subarray(GENMSG);
  return rest.length < 4 || rest.readUInt16LE(2) !== LIST.table ? "" : textOf(rest.subarray(4, rest.readUInt16LE(0)));
}

/** Something that is gone from a table. */
export function removedFrom({ type, body }: Answer): { readonly table: string } | undefined {
  if (type >> 8 !== SUBSYSTEM || !REMOVALS.has(type & 255)) return undefined;
  return { table: tableOf(body) };
}

/** Whether it tells of a chain that is new or other than before, and whose. */
export function changedChain({ type, body }: Answer): { readonly table: string } | undefined {
  if (type !== ((SUBSYSTEM << 8) | MSG.newChain)) return undefined;
  return { table: tableOf(body) };
}

/** A part of a concatenation fills whole words. */
const padded = (bytes: Uint8Array): Uint8Array => concat(bytes, new Uint8Array(-bytes.length & 3));

/** `ipv4_addr . inet_service`, each as it is on the wire. */
export const concatenation = (...parts: readonly Uint8Array[]): Uint8Array => concat(...parts.map(padded));

export const portBytes = (port: number): Uint8Array => Uint8Array.of(port >> 8, port & 255);
