/** The kernel's netlink sockets: requests in, answers out. */

import { checked, library } from "./library.ts";

/** Protocols. Source: linux/netlink.h. */
export const NETLINK = { route: 0, netfilter: 12 } as const;

/** Answers gathered at most, bytes; pages that stay empty cost nothing. */
const MOST = 4 << 20;

/** Used by every exchange, one after the other: a call blocks. */
let room: Buffer | undefined;

/**
 * Sends netlink messages, one or a batch, and gathers all answers.
 * @param netnsPid  a process of the network namespace; 0: ours
 * @throws SystemError when the exchange itself fails; refusals are messages
 */
export function exchangeNetlink(protocol: number, request: Uint8Array, netnsPid = 0): Uint8Array {
  room ??= Buffer.allocUnsafeSlow(MOST);
  const size = library().bosun_netlink(protocol, netnsPid, request, request.byteLength, room, MOST);
  return new Uint8Array(room.subarray(0, checked("talk over netlink", size)));
}
