/**
 * Two hosts with a wire between them, each a network namespace of the test's own: the daemon's, whose firewall and interfaces the test may break
 * as it likes, and one from which packets come that have no part in the first.
 */

import { randomBytes } from "node:crypto";
import { onAbort } from "./abort.ts";
import type { Ground } from "./e2e.ts";
import { PATIENCE_MS } from "./patience.ts";

/** Of the wire, at the daemon's end and at the other. */
export const NEAR = { v4: "192.0.2.1", v6: "2001:db8::1" } as const;
export const FAR = { v4: "192.0.2.2", v6: "2001:db8::2" } as const;

export class Hosts implements Ground {
  readonly #id = randomBytes(3).toString("hex");
  readonly near = `bosun-near-${this.#id}`;
  readonly far = `bosun-far-${this.#id}`;

  /** The first host's end of the wire. */
  get wire(): string {
    return `w${this.#id}`;
  }

  get prefix(): readonly string[] {
    return this.#inside(this.near);
  }

  #inside = (host: string): readonly string[] => ["nsenter", `--net=/run/netns/${host}`];

  #settled = () => {};

  async open(): Promise<void> {
    this.#settled = onAbort(() => this.close());
    const [near, far] = [`w${this.#id}`, `v${this.#id}`];
    for (const host of [this.near, this.far]) await Bun.$`ip netns add ${host} && ip -n ${host} link set lo up`.quiet();
    await Bun.$`ip -n ${this.near} link add ${near} type veth peer name ${far} netns ${this.far}`.quiet();
    for (const [host, link, { v4, v6 }] of [
      [this.near, near, NEAR],
      [this.far, far, FAR],
    ] as const)
      await Bun.$`ip -n ${host} addr add ${v4}/24 dev ${link} && ip -n ${host} -6 addr add ${v6}/64 dev ${link} nodad && ip -n ${host} link set ${link} up`.quiet();
    // whatever it is that the first host has behind it
    await Bun.$`ip -n ${this.far} route add default via ${NEAR.v4} && ip -n ${this.far} -6 route add default via ${NEAR.v6}`.quiet();
  }

  async close(): Promise<void> {
    for (const host of [this.near, this.far]) await Bun.$`ip netns del ${host}`.quiet().nothrow();
    this.#settled();
  }

  /** Runs a shell script on a host. @returns what it prints, whatever its exit code */
  async sh(host: string, script: string): Promise<string> {
    const child = Bun.spawn([...this.#inside(host), "sh", "-c", script], { stdout: "pipe", stderr: "pipe" });
    const [output, error] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return `${output}${error}`.trim();
  }

  /** What a TCP server says to somebody on a host. @param seconds  how long one try waits. @returns "" when it cannot be reached */
  once = (host: string, address: string, port: number | string, seconds = 1): Promise<string> =>
    this.sh(host, `echo | busybox nc -w ${seconds} ${address} ${port} 2>/dev/null`);

  /** The same of one that will answer, though it may not listen yet. @throws Error when it does not */
  async ask(host: string, address: string, port: number | string): Promise<string> {
    const limit = Date.now() + PATIENCE_MS;
    for (;;) {
      const answer = await this.once(host, address, port);
      if (answer !== "") return answer;
      if (Date.now() > limit) throw new Error(`${address}:${port} does not answer on ${host}`);
    }
  }
}
