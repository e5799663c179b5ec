/** Datagrams: udp, and unix sockets of that kind, which Bun has no function for. */

import dgram from "node:dgram";
import { lookup } from "node:dns/promises";
import { hasCode, unavailable } from "../base/errors.ts";
import { openUnixDatagrams } from "../base/unix-datagrams.ts";
import type { Address, Wire } from "./wire.ts";

const noAnswer = (): Promise<never> => Promise.reject(unavailable("datagrams are not answered"));

async function openUdp(host: string, port: number): Promise<Wire> {
  const { address, family } = await lookup(host || "127.0.0.1");
  const socket = dgram.createSocket(family === 6 ? "udp6" : "udp4");
  let open = true;
  socket.on("error", () => {
    open = false; // a port that nobody listens on; the next message goes through a socket of its own
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.connect(port, address, () => {
      socket.off("error", reject);
      resolve();
    });
  });
  return {
    isStream: false,
    get isOpen() {
      return open;
    },
    write: (bytes) =>
      new Promise((resolve, reject) => {
        if (!open) return reject(unavailable(`nobody listens at udp://${host}:${port}`));
        socket.send(bytes, (error) => (error ? reject(error) : resolve()));
      }),
    read: noAnswer,
    [Symbol.dispose]: () => {
      open = false;
      socket.close();
    },
  };
}

/** How long a full queue is waited for: there is no event that we could wait for. ms */
const [FIRST_WAIT, LONGEST_WAIT, PATIENCE] = [1, 100, 30_000];

function openUnix(path: string, signal: AbortSignal): Wire {
  const socket = openUnixDatagrams(path);
  let open = true;
  const write = async (bytes: Uint8Array): Promise<void> => {
    const deadline = performance.now() + PATIENCE;
    for (let wait = FIRST_WAIT; !socket.send(bytes); wait = Math.min(2 * wait, LONGEST_WAIT)) {
      signal.throwIfAborted();
      if (performance.now() > deadline) throw unavailable(`nobody reads from ${path}`);
      await Bun.sleep(wait);
      if (!open) throw unavailable("the connection is closed");
    }
  };
  return {
    isStream: false,
    get isOpen() {
      return open;
    },
    write,
    read: noAnswer,
    [Symbol.dispose]: () => {
      if (open) socket[Symbol.dispose]();
      open = false;
    },
  };
}

export async function openDatagrams(address: Address, signal: AbortSignal): Promise<Wire> {
  return "path" in address ? openUnix(address.path, signal) : openUdp(address.host, address.port);
}

/** Whether a message is larger than datagrams get: it never will be smaller. */
export const isTooLong = (error: unknown): boolean => hasCode(error, "EMSGSIZE");
