/**
 * Sockets that a service manager passes (fd://). Bun's server cannot listen on a descriptor that it did not open, so connections are accepted
 * here and relayed to a private socket that it did.
 */

import net from "node:net";
import type { Logger } from "../base/logger.ts";

declare module "bun" {
  /** Takes a connection over that is there already: Bun has it, its types do not. */
  function connect(options: FdSocketOptions & { readonly allowHalfOpen: boolean }): Promise<Socket>;
}

/** Couples an accepted connection with our own server: bytes and half-closes both ways, no faster than the other side reads. */
async function relay(connection: number, server: string, log: Logger): Promise<void> {
  const upstream = net.connect({ path: server, allowHalfOpen: true });
  const fail = (error: unknown) => {
    log.debug("relayed connection broke", { error });
    upstream.destroy();
  };
  upstream.on("error", fail);
  let waiting: Uint8Array = new Uint8Array();
  const client = await Bun.connect({
    fd: connection,
    allowHalfOpen: true,
    socket: {
      data(socket, bytes) {
        if (upstream.write(bytes)) return;
        socket.pause();
        upstream.once("drain", () => socket.resume());
      },
      drain(socket) {
        waiting = waiting.subarray(Math.max(0, socket.write(waiting)));
        if (waiting.byteLength === 0) upstream.resume();
      },
      end: () => void upstream.end(),
      close: () => void upstream.destroy(),
      error: (_, error) => fail(error),
    },
  });
  upstream.on("data", (bytes: Buffer) => {
    const written = Math.max(0, client.write(bytes));
    if (written === bytes.byteLength) return;
    waiting = bytes.subarray(written);
    upstream.pause();
  });
  upstream.once("end", () => client.end());
  upstream.once("close", () => client.end());
}

/**
 * @param listener  a listening socket's descriptor
 * @param server    path of the unix socket that gets the connections
 * @returns a handle that ends the accepting; connections go on
 */
export function acceptOn(listener: number, server: string, log: Logger): Disposable {
  const worker = new Worker(new URL("./activation-worker.ts", import.meta.url));
  worker.onmessage = ({ data: connection }: MessageEvent<number>) => {
    if (connection >= 0)
      relay(connection, server, log).catch((error) => log.warn("cannot relay a connection", { error }));
    else log.error("the passed socket does not accept connections", { descriptor: listener });
  };
  worker.postMessage(listener);
  return { [Symbol.dispose]: () => worker.terminate() };
}
