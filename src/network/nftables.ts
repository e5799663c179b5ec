/**
 * Elements of nftables' sets and maps over netlink: one transaction, some hundred microseconds, where the program `nft` takes ten milliseconds.
 * Source: linux/netfilter/nf_tables.h, nfnetlink.h.
 */

import { SystemError } from "../base/system-error.ts";
import type { Exchange } from "./netlink.ts";
import { answers, attribute, concat, errnoOf, message, NLM_F, nested, textAttribute } from "./netlink-message.ts";

const BATCH = { begin: 0x10, end: 0x11 } as const;
const SUBSYSTEM = 10;
const MSG = { newSetElem: 12, delSetElem: 14 } as const;
const LIST = { table: 1, set: 2, elements: 3 } as const;
const ELEMENT = { key: 1, data: 2, item: 1 } as const;
const DATA_VALUE = 1;

/** Families of tables. Source: linux/netfilter.h. */
export const NFPROTO = { inet: 1, bridge: 7 } as const;

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

/** A part of a concatenation fills whole words. */
const padded = (bytes: Uint8Array): Uint8Array => concat(bytes, new Uint8Array(-bytes.length & 3));

/** `ipv4_addr . inet_service`, each as it is on the wire. */
export const concatenation = (...parts: readonly Uint8Array[]): Uint8Array => concat(...parts.map(padded));

export const portBytes = (port: number): Uint8Array => Uint8Array.of(port >> 8, port & 255);
