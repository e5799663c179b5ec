/** Connections to collectors. */

import { readFileSync } from "node:fs";
import { invalid, messageOf } from "../base/errors.ts";
import { openDatagrams } from "./wire-datagram.ts";
import { StreamWire } from "./wire-stream.ts";

export interface TlsSettings {
  /** PEM. */
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly verify: boolean;
}

export type Address =
  | { readonly kind: "tcp" | "udp"; readonly host: string; readonly port: number }
  | { readonly kind: "tls"; readonly host: string; readonly port: number; readonly tls: TlsSettings }
  | { readonly kind: "unix" | "unixgram"; readonly path: string };

export interface Wire extends Disposable {
  /** Whether bytes run into each other; else each `write` is a message of its own. */
  readonly isStream: boolean;
  readonly isOpen: boolean;
  /** Settles when the kernel has the bytes: until then nothing more should be written. @throws when the connection is lost, or stalls */
  write(bytes: Uint8Array): Promise<void>;
  /** The next `size` bytes of the other side; what comes unasked is thrown away. @throws when the connection is lost, or they do not come */
  read(size: number): Promise<Buffer>;
}

/** The parts of `scheme://host:port` or `scheme:///path`. IPv6 is in brackets. @returns undefined when it is none */
export function splitAddress(
  text: string,
): { scheme: string; host: string; port: number | undefined; path: string } | undefined {
  const [, scheme, rest] = /^([a-z+]+):\/\/(.*)$/.exec(text) ?? [];
  if (scheme === undefined || rest === undefined) return undefined;
  const [, host, port, path = ""] = /^(\[[0-9A-Fa-f:.%]+\]|[^:/[\]]*)(?::(\d{1,5}))?(\/.*)?$/.exec(rest) ?? [];
  if (host === undefined || Number(port ?? 0) > 65_535) return undefined;
  return { scheme, host: host.replace(/^\[|\]$/g, ""), port: port === undefined ? undefined : Number(port), path };
}

/** @throws invalid */
export function readPem(option: string, path: string | undefined): Buffer | undefined {
  try {
    return path ? readFileSync(path) : undefined;
  } catch (error) {
    throw invalid(`could not read ${option}: ${messageOf(error)}`);
  }
}

const openWire = (address: Address, signal: AbortSignal): Promise<Wire> =>
  address.kind === "udp" || address.kind === "unixgram"
    ? openDatagrams(address, signal)
    : StreamWire.open(address, signal);

/** A connection that is made when it is needed, and again after a failure. One user at a time. */
export class Line implements Disposable {
  readonly #closing = new AbortController();
  readonly #lifeMs: number;
  #wire: Wire | undefined;
  #openedAt = 0;

  /** @param lifeMs  after which it is made anew. Infinity: never */
  constructor(
    readonly address: Address,
    lifeMs = Number.POSITIVE_INFINITY,
  ) {
    this.#lifeMs = lifeMs;
  }

  async use<T>(work: (wire: Wire) => Promise<T>): Promise<T> {
    const wire = await this.#open();
    try {
      return await work(wire);
    } catch (error) {
      this.#drop();
      throw error;
    }
  }

  async #open(): Promise<Wire> {
    if (this.#wire?.isOpen === false || performance.now() - this.#openedAt > this.#lifeMs) this.#drop();
    if (this.#wire) return this.#wire;
    const { signal } = this.#closing;
    signal.throwIfAborted();
    const wire = await openWire(this.address, signal);
    if (signal.aborted) wire[Symbol.dispose]();
    signal.throwIfAborted();
    this.#openedAt = performance.now();
    this.#wire = wire;
    return wire;
  }

  #drop(): void {
    this.#wire?.[Symbol.dispose]();
    this.#wire = undefined;
  }

  [Symbol.dispose](): void {
    this.#closing.abort(new Error("the log's sink is closed"));
    this.#drop();
  }
}
