/** Streams: tcp, tls, unix. Nothing is queued here beyond what the caller waits for, and nothing that comes unasked is kept. */

import net from "node:net";
import tls from "node:tls";
import { unavailable } from "../base/errors.ts";
import type { Address, Wire } from "./wire.ts";

type StreamAddress = Exclude<Address, { kind: "udp" | "unixgram" }> | Extract<Address, { kind: "unix" }>;

/** A peer that takes nothing, or answers nothing, for so long is one that is lost. */
const STALL_MS = 30_000;

function connect(address: Address): net.Socket {
  if (address.kind === "tls") {
    const { host, port, tls: settings } = address;
    return tls.connect({
      host,
      port,
      rejectUnauthorized: settings.verify,
      ...(net.isIP(host) === 0 && { servername: host }),
      ...(settings.ca && { ca: settings.ca }),
      ...(settings.cert && { cert: settings.cert }),
      ...(settings.key && { key: settings.key }),
    });
  }
  return "path" in address
    ? net.connect({ path: address.path })
    : net.connect({ host: address.host, port: address.port });
}

/** Bytes that somebody waits for. */
interface Awaited {
  readonly size: number;
  bytes: Buffer;
  readonly done: (bytes: Buffer) => void;
}

export class StreamWire implements Wire {
  readonly isStream = true;
  readonly #socket: net.Socket;
  #open = true;
  /** Of those who wait: for the connection, for room, for an answer. */
  readonly #fails = new Set<(error: Error) => void>();
  #awaited: Awaited | undefined;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on("error", (error) => this.#lost(error));
    for (const event of ["end", "close"])
      socket.on(event, () => this.#lost(unavailable("the collector has closed the connection")));
    socket.on("data", (bytes: Buffer) => this.#take(bytes));
  }

  static async open(address: StreamAddress, signal: AbortSignal): Promise<StreamWire> {
    const socket = connect(address);
    const wire = new StreamWire(socket);
    const cut = () => socket.destroy(unavailable("the log's sink is closed"));
    signal.addEventListener("abort", cut, { once: true });
    socket.once("close", () => signal.removeEventListener("abort", cut));
    try {
      await wire.#waited<void>((done) =>
        socket.once(address.kind === "tls" ? "secureConnect" : "connect", () => done()),
      );
    } catch (error) {
      socket.destroy();
      throw error;
    }
    socket.setKeepAlive(true, 60_000);
    return wire;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  #lost(error: Error): void {
    this.#open = false;
    for (const fail of this.#fails) fail(error);
  }

  #take(bytes: Buffer): void {
    const awaited = this.#awaited;
    if (!awaited) return;
    awaited.bytes = Buffer.concat([awaited.bytes, bytes]);
    if (awaited.bytes.length < awaited.size) return;
    this.#awaited = undefined;
    awaited.done(awaited.bytes.subarray(0, awaited.size));
  }

  #waited<T>(begin: (done: (value: T) => void) => void): Promise<T> {
    if (!this.#open) return Promise.reject(unavailable("the collector has closed the connection"));
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const timer = setTimeout(() => reject(unavailable("the collector does not answer")), STALL_MS);
    this.#fails.add(reject);
    begin(resolve);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#fails.delete(reject);
    });
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#waited((done) => void this.#socket.write(bytes, () => done()));
  }

  read(size: number): Promise<Buffer> {
    return this.#waited((done) => {
      this.#awaited = { size, bytes: Buffer.alloc(0), done };
    });
  }

  [Symbol.dispose](): void {
    this.#lost(unavailable("the connection is closed"));
    this.#socket.destroySoon(); // what the kernel has not taken yet still goes, unless the peer is lost
  }
}
