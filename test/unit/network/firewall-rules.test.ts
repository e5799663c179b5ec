/** The firewall's script, as text, and as nft itself checks it. */

import { describe, expect, test } from "bun:test";
import { parseAddress, parseCidr } from "../../../src/network/addresses.ts";
import { type BridgeRules, type FirewallState, firewallScript } from "../../../src/network/firewall-rules.ts";

const BRIDGE: BridgeRules = {
  bridge: "br0",
  subnets: [parseCidr("10.1.0.0/16").subnet, parseCidr("fd00::/64").subnet],
  masquerades: () => true,
  ...{ internal: false, open: () => false, closed: false },
};
const EMPTY: FirewallState = {
  bridges: [],
  ports: [],
  closed: [],
  respectsHost: false,
  only4: false,
  hairpin: false,
  stops: [],
};
const FULL: FirewallState = {
  bridges: [
    BRIDGE,
    { ...BRIDGE, bridge: "br1", internal: true, masquerades: () => false },
    { ...BRIDGE, bridge: "br2", subnets: [], open: () => true },
  ],
  ports: [
    { protocol: "tcp", hostAddress: undefined, hostPort: 80, target: parseAddress("10.1.0.2"), targetPort: 8080 },
    {
      protocol: "udp",
      hostAddress: parseAddress("127.0.0.1"),
      hostPort: 53,
      target: parseAddress("10.1.0.2"),
      targetPort: 53,
    },
    { protocol: "sctp", hostAddress: undefined, hostPort: 9, target: parseAddress("fd00::2"), targetPort: 9 },
    { protocol: "tcp", hostAddress: undefined, hostPort: undefined, target: parseAddress("fd00::2"), targetPort: 22 },
  ],
  closed: ["veth1"],
  respectsHost: false,
  only4: false,
  hairpin: false,
  stops: [4, 6],
};

const nft = Bun.which("nft", { PATH: `${process.env.PATH ?? ""}:/usr/sbin` });

describe("firewallScript()", () => {
  test("has the elements of every kind", () => {
    const script = firewallScript("t", FULL);
    for (const part of [
      'set bridges { type ifname; elements = { "br0", "br1", "br2" }; }',
      'set internal { type ifname; elements = { "br1" }; }',
      'set open4 { type ifname; elements = { "br2" }; }',
      "set masqueraded4 { type ipv4_addr; flags interval; elements = { 10.1.0.0/16 }; }",
      "elements = { tcp . 80 : 10.1.0.2 . 8080 };",
      "elements = { udp . 127.0.0.1 . 53 : 10.1.0.2 . 53 };",
      "elements = { sctp . 9 : fd00::2 . 9 };",
      "elements = { tcp . fd00::2 . 22 };",
      'set closed { type ifname; elements = { "veth1" }; }',
    ])
      expect(script).toContain(part);
  });

  test("has as many rules for a hundred networks and ports as for none", () => {
    const many = Array.from({ length: 100 }, (_, at) => ({ ...BRIDGE, bridge: `br${at}`, subnets: [] }));
    const rules = (state: FirewallState) =>
      firewallScript("t", state).match(/\b(accept|drop|masquerade|jump|dnat|return)\b/g);
    expect(rules({ ...FULL, bridges: many, stops: [] })).toEqual(rules(EMPTY));
  });

  test("stops what crosses none of our bridges, of the families that it is told", () => {
    const stopped = (stops: readonly (4 | 6)[]) =>
      [...firewallScript("t", { ...EMPTY, stops }).matchAll(/nfproto ipv(.) iifname != @bridges drop/g)].map(
        ([, family]) => family,
      );
    expect([stopped([]), stopped([4]), stopped([4, 6])]).toEqual([[], ["4"], ["4", "6"]]);
  });

  test("leads only what comes from containers and the host itself, where the host's firewall is respected", () => {
    const led = (respectsHost: boolean) =>
      /\n(.*)fib daddr type local jump lead\n/.exec(firewallScript("t", { ...EMPTY, respectsHost }))?.[1]?.trim();
    expect(led(false)).toBe("");
    expect(led(true)).toBe("iifname @bridges");
  });

  test.skipIf(nft === null || process.getuid?.() !== 0)("is what nft accepts", async () => {
    for (const state of [EMPTY, FULL, { ...FULL, only4: true, hairpin: true }]) {
      const child = Bun.spawn([nft ?? "nft", "-c", "-f", "-"], {
        stdin: Buffer.from(firewallScript("bosun-check", state)),
        stderr: "pipe",
      });
      expect(await child.stderr.text()).toBe("");
    }
  });
});
