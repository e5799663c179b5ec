/** What the network `bridge` is, by the daemon's options and the host as it is. */

import { describe, expect, test } from "bun:test";
import { parseAddress, parseCidr } from "../../../src/network/addresses.ts";
import {
  type DefaultBridgeOptions,
  defaultBridge,
  routerOf,
  type Surroundings,
} from "../../../src/network/default-bridge.ts";
import { DEFAULT_POOLS, uniqueLocalPool } from "../../../src/network/pools.ts";
import { BRIDGE } from "../../fake/networks.ts";

const AROUND: Surroundings = { present: [], recorded: [], used: [], pools: [...DEFAULT_POOLS, uniqueLocalPool("x")] };
const FAMILY = BRIDGE.ipv4;

const pools = (options: Partial<DefaultBridgeOptions>, around: Partial<Surroundings> = {}) =>
  defaultBridge({ id: "i", name: "bridge", created: "" }, { ...BRIDGE, ...options }, { ...AROUND, ...around }).pools;

describe("defaultBridge()", () => {
  test("is the first default subnet that nobody uses", () => {
    expect(pools({})).toEqual([{ subnet: "172.17.0.0/16", gateway: "172.17.0.1" }]);
    const used = [parseCidr("172.17.3.0/24").subnet];
    expect(pools({}, { used })).toEqual([{ subnet: "172.18.0.0/16", gateway: "172.18.0.1" }]);
  });

  test("is what --bip says", () => {
    expect(pools({ ipv4: { ...FAMILY, address: "10.1.2.3/24" } })).toEqual([
      { subnet: "10.1.2.0/24", gateway: "10.1.2.3" },
    ]);
  });

  test("is what the interface has already, whatever --bip says", () => {
    const present = [{ address: parseAddress("10.77.0.1"), prefix: 16 }];
    expect(pools({ ipv4: { ...FAMILY, address: "10.1.2.3/24" } }, { present })).toEqual([
      { subnet: "10.77.0.0/16", gateway: "10.77.0.1" },
    ]);
  });

  test("is what it was before, unless the host has given that away since", () => {
    const recorded = [{ subnet: "10.5.0.0/24", gateway: "10.5.0.1" }];
    expect(pools({}, { recorded })).toEqual(recorded);
    const used = [parseCidr("10.5.0.0/24").subnet];
    expect(pools({}, { recorded, used })).toEqual([{ subnet: "172.17.0.0/16", gateway: "172.17.0.1" }]);
  });

  test("takes addresses from --fixed-cidr only, which has to lie inside", () => {
    const ipv4 = { ...FAMILY, address: "10.9.0.1/24", fixedCidr: "10.9.0.8/30" };
    expect(pools({ ipv4 })).toEqual([{ subnet: "10.9.0.0/24", gateway: "10.9.0.1", range: "10.9.0.8/30" }]);
    expect(() => pools({ ipv4: { ...ipv4, fixedCidr: "10.8.0.0/30" } })).toThrow(
      "--fixed-cidr 10.8.0.0/30 is not inside the subnet of the bridge, 10.9.0.0/24",
    );
  });

  test("has containers route through --default-gateway", () => {
    const [pool] = pools({ ipv4: { ...FAMILY, address: "10.9.0.1/24", gateway: "10.9.0.254" } });
    expect(pool).toEqual({
      subnet: "10.9.0.0/24",
      gateway: "10.9.0.1",
      auxiliary: { DefaultGatewayIPv4: "10.9.0.254" },
    });
    expect(pool && routerOf(pool)).toBe("10.9.0.254");
  });

  test("has IPv6 when it is asked for: from --fixed-cidr-v6, or a prefix of the engine's own", () => {
    const [, six] = pools({ enableIPv6: true, ipv6: { ...FAMILY, fixedCidr: "fd00:1::/64" } });
    expect(six).toEqual({ subnet: "fd00:1::/64", gateway: "fd00:1::1" });
    expect(pools({ enableIPv6: true })[1]?.subnet).toMatch(/^fd[0-9a-f:]+\/64$/);
  });
});
