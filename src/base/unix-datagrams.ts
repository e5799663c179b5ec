/** Unix datagram sockets, as journald and syslog have them: only sending, and never waiting. */

import { closeSync } from "node:fs";
import { constants } from "node:os";
import { checked, cString, library } from "./library.ts";

export interface UnixDatagrams extends Disposable {
  /** @returns false when the reader's queue is full. @throws SystemError: ECONNREFUSED, ECONNRESET or ENOTCONN when it is gone, EMSGSIZE */
  send(message: Uint8Array): boolean;
}

/** @throws SystemError when nobody reads there */
export function openUnixDatagrams(path: string): UnixDatagrams {
  const fd = checked(`connect to ${path}`, library().bosun_datagrams_open(cString(path)));
  return {
    send(message) {
      const result = library().bosun_datagrams_send(fd, message, message.length);
      if (result === -constants.errno.EAGAIN) return false;
      checked(`send to ${path}`, result);
      return true;
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}
