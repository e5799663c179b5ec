/** Collectors of logs, of the tests' own: they keep what comes, and do what a test tells them. */

import { type Socket, type SocketHandler, udpSocket } from "bun";

type Peer = Socket<undefined>;

/** What has come so far, and those who wait for more. */
class Received {
  readonly messages: Buffer[] = [];
  #waiting: (() => void)[] = [];

  add(bytes: Uint8Array): void {
    this.messages.push(Buffer.from(bytes));
    this.change();
  }

  change(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.messages);
  }

  /** Settles when the condition holds; it is looked at whenever something has come. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      await promise;
    }
  }
}

export interface StreamOptions {
  /** Undefined: any free one. */
  readonly port?: number;
  readonly unix?: string;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** What to do with what came, beside keeping it. */
  readonly answer?: (peer: Peer, bytes: Buffer) => void;
  readonly onOpen?: (peer: Peer) => void;
}

export class StreamCollector extends Received implements Disposable {
  readonly peers = new Set<Peer>();
  /** Connections that there have been. */
  connections = 0;
  /** Its path, when it has one. */
  readonly unix: string | undefined;
  readonly #listener: { stop(force: boolean): void; readonly port?: number };

  constructor({ port = 0, unix, tls, answer, onOpen }: StreamOptions = {}) {
    super();
    this.unix = unix;
    const socket: SocketHandler<undefined> = {
      open: (peer) => {
        this.peers.add(peer);
        this.connections++;
        onOpen?.(peer);
        this.change();
      },
      close: (peer) => {
        this.peers.delete(peer);
        this.change();
      },
      data: (peer, bytes) => {
        this.add(bytes);
        answer?.(peer, Buffer.from(bytes));
      },
    };
    this.#listener = unix
      ? Bun.listen({ unix, socket })
      : Bun.listen({ hostname: "127.0.0.1", port, socket, ...(tls && { tls }) });
  }

  get port(): number {
    return this.#listener.port ?? 0;
  }

  get text(): string {
    return this.bytes.toString();
  }

  [Symbol.dispose](): void {
    this.#listener.stop(true);
  }
}

export class DatagramCollector extends Received implements Disposable {
  private constructor(
    readonly port: number,
    readonly close: () => void,
  ) {
    super();
  }

  static async open(port = 0): Promise<DatagramCollector> {
    const take: ((bytes: Buffer) => void)[] = [];
    const socket = await udpSocket({
      hostname: "127.0.0.1",
      port,
      socket: { data: (_, bytes) => take[0]?.(bytes) },
    });
    const collector = new DatagramCollector(socket.port, () => socket.close());
    take.push((bytes) => collector.add(bytes));
    return collector;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
