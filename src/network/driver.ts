/**
 * Port: how a container gets a network.
 *
 * An *endpoint* is a container's place in a network: reserved before the container's process exists (its address stands in /etc/hosts), connected
 * once the network namespace is there, released when the container has ended. The namespace takes its interfaces with it when it ends.
 */

export interface Endpoint {
  readonly id: string;
  readonly networkId: string;
  /** IPv4 address without prefix; empty when the network has none. So are gateway and MAC. */
  readonly address: string;
  readonly prefix: number;
  readonly gateway: string;
  readonly macAddress: string;
}

export interface NetworkInfo {
  readonly subnet: string;
  readonly gateway: string;
  /** Docker's `com.docker.network.*` options. */
  readonly options: Readonly<Record<string, string>>;
}

export interface NetworkDriver {
  /** As users name it: `bridge`, `host`, `null`. */
  readonly name: string;

  /** Sets up what the network needs on the host (bridge, rules). Idempotent; repairs what was removed by hand. */
  ensure(): Promise<void>;

  /** What the network is or will be. @throws unavailable when no subnet is free */
  info(): NetworkInfo;

  /** Takes an address. @throws unavailable when there is none */
  reserve(): Endpoint;

  /** After a restart of the daemon: the endpoint of a running container stays taken. */
  adopt(endpoint: Endpoint): void;

  /** Puts the interface into the network namespace of `pid`. @throws when the kernel refuses; nothing is left behind */
  connect(endpoint: Endpoint, pid: number): Promise<void>;

  /** Frees the address. Idempotent. */
  release(endpoint: Endpoint): Promise<void>;
}
