/** The kernel's netlink sockets: requests in, answers out; and what it tells unasked. */

import { closeSync } from "node:fs";
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

/** Groups that tell of changes, as a mask. Source: linux/rtnetlink.h, linux/netfilter/nfnetlink.h. */
export const NETLINK_GROUPS = { link: 1 << 0, nftables: 1 << 6 } as const;

/** One that breaks at once again is not opened again in a loop. */
const REOPEN_MS = 100;

/**
 * Hears what the kernel tells of changes, from now on.
 * @param onMessages  whole messages, one or more
 * @param onLost      some were lost: it told faster than we listened, or the socket broke
 * @returns           dispose of it to hear no more. @throws SystemError
 */
export function watchNetlink(
  protocol: number,
  groups: number,
  onMessages: (messages: Uint8Array) => void,
  onLost: () => void,
): Disposable {
  let isOver = false;
  let cancel = (): Promise<void> => Promise.resolve();
  const follow = async (fd: number): Promise<void> => {
    try {
      const reader = Bun.file(fd).stream().getReader();
      cancel = () => reader.cancel();
      for (let next = await reader.read(); !next.done && !isOver; next = await reader.read()) onMessages(next.value);
    } catch {
      // ENOBUFS: the room of the socket was full; whatever it is, another socket begins anew
    } finally {
      closeSync(fd);
    }
  };
  const open = (): number => checked("watch netlink", library().bosun_netlink_watch(protocol, groups));
  /** After a socket that broke. @returns undefined when none can be had now */
  const reopen = (): number | undefined => {
    try {
      return open();
    } catch {
      return undefined; // out of descriptors, or of memory: it is tried again
    }
  };
  const first = open();
  void (async () => {
    for (let fd: number | undefined = first; !isOver; fd = reopen()) {
      if (fd !== undefined) await follow(fd);
      if (isOver) return;
      await Bun.sleep(REOPEN_MS);
      onLost();
    }
  })();
  return {
    [Symbol.dispose]() {
      isOver = true;
      void cancel().catch(() => {});
    },
  };
}
