/** A host that is made to forward for its containers, between two others of which one is behind it: real packets over three network namespaces. */

import { expect, test } from "bun:test";
import { e2e } from "../support/e2e.ts";
import { Hosts, NEAR } from "../support/hosts.ts";
import { until } from "../support/patience.ts";

const SERVER = "while :; do echo served | nc -l -p 80; done";
/** Of the second wire, at the far end. */
const BEHIND = { v4: "198.51.100.2", v6: "2001:db8:5::2" } as const;

/** A third host, which the first one may forward to. */
class Routers extends Hosts {
  readonly behind = this.far.replace("far", "behind");

  /** @param forwards  whether the first host does so before there is a daemon */
  constructor(readonly forwards: boolean) {
    super();
  }

  override async open(): Promise<void> {
    await super.open();
    const wire = `b${this.wire.slice(1)}`;
    await Bun.$`ip netns add ${this.behind}`.quiet();
    await this.sh(
      this.near,
      `set -e
      ip link add ${wire} type veth peer name eth0 netns ${this.behind}
      ip addr add 198.51.100.1/24 dev ${wire}; ip -6 addr add 2001:db8:5::1/64 dev ${wire} nodad; ip link set ${wire} up
      echo ${this.forwards ? 1 : 0} | tee /proc/sys/net/ipv4/ip_forward > /proc/sys/net/ipv6/conf/all/forwarding`,
    );
    await this.sh(
      this.behind,
      `ip addr add ${BEHIND.v4}/24 dev eth0; ip -6 addr add ${BEHIND.v6}/64 dev eth0 nodad; ip link set eth0 up
      ip route add default via 198.51.100.1; ip -6 route add default via 2001:db8:5::1`,
    );
  }

  override async close(): Promise<void> {
    await super.close();
    await Bun.$`ip netns del ${this.behind}`.quiet().nothrow();
  }

  /** Which of the families the first host forwards packets of. */
  async passes(): Promise<readonly string[]> {
    const ping = (address: string) => this.sh(this.far, `busybox ping -c 1 -W 1 ${address} >/dev/null && echo passes`);
    const answers = await Promise.all([ping(BEHIND.v4), ping(BEHIND.v6)]);
    return ["IPv4", "IPv6"].filter((_, at) => answers[at] === "passes");
  }

  /** Returns when both do. @throws Error when they do not in time */
  pass = (): Promise<void> => until("the host forwards", async () => (await this.passes()).length === 2);

  /** Both of the kernel's switches. */
  switches = (): Promise<string> =>
    this.sh(this.near, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding");
}

const quiet = new Routers(false);
e2e(
  "a host that did not forward",
  (engine) => {
    const { ok, docker } = engine;

    test("is no router between its other interfaces, while its containers reach all and are reached", async () => {
      expect(await quiet.passes()).toEqual([]);
      await ok("network", "create", "--ipv6", "both");
      const id = await ok("run", "-d", "--network", "both", "-p", "8080:80", "busybox", "sh", "-c", SERVER);
      expect(await quiet.switches()).toBe("1\n1");
      expect(await quiet.passes()).toEqual([]);
      for (const address of [BEHIND.v4, BEHIND.v6]) await ok("exec", id, "ping", "-c", "1", "-W", "10", address);
      for (const address of [NEAR.v4, NEAR.v6])
        for (const host of [quiet.far, quiet.behind]) expect(await quiet.ask(host, address, 8080)).toBe("served");
      expect((await docker("exec", id, "ping", "-c", "1", "-W", "10", "192.0.2.2")).code).toBe(0);
    });

    test("stays none under the next daemon, and when somebody flushes the rules", async () => {
      await engine.daemon.restart("SIGKILL");
      await quiet.sh(quiet.near, "nft flush ruleset");
      await until("the rules are set again", async () =>
        (await quiet.sh(quiet.near, "nft list ruleset")).includes("meta nfproto ipv6 iifname != @bridges drop"),
      );
      expect(await quiet.passes()).toEqual([]);
    });
  },
  [],
  quiet,
);

const routing = new Routers(true);
e2e(
  "a host that forwarded before",
  ({ ok }) => {
    test("goes on to", async () => {
      await ok("network", "create", "--ipv6", "both");
      await routing.pass();
      expect(await routing.sh(routing.near, "nft list ruleset")).not.toContain("!= @bridges drop");
    });
  },
  [],
  routing,
);

const willing = new Routers(false);
e2e(
  "a host with --ip-forward-no-drop",
  ({ ok }) => {
    test("forwards between its other interfaces, too", async () => {
      await ok("network", "create", "--ipv6", "both");
      await willing.pass();
      expect(await willing.sh(willing.near, "nft list ruleset")).not.toContain("!= @bridges drop");
    });
  },
  ["--ip-forward-no-drop"],
  willing,
);
