/** Which subnets networks may have, and which addresses containers. */

import { describe, expect, test } from "bun:test";
import { kindOf } from "../../../src/base/errors.ts";
import { formatAddress, formatSubnet, parseAddress, parseCidr, type Subnet } from "../../../src/network/addresses.ts";
import {
  DEFAULT_POOLS,
  freeSubnet,
  Pool,
  type PoolSpec,
  parseAddressPool,
  uniqueLocalPool,
} from "../../../src/network/pools.ts";

const subnet = (text: string) => parseCidr(text).subnet;
const take = (pool: Pool) => formatAddress(pool.take());

describe("freeSubnet()", () => {
  test("freeSubnet() gives Docker's 31 subnets, one after the other, and then none", () => {
    const used: Subnet[] = [];
    for (let count = 0; count < 31; count++) used.push(freeSubnet(DEFAULT_POOLS, 4, used));
    expect(used.slice(0, 4).map(formatSubnet)).toEqual([
      "172.17.0.0/16",
      "172.18.0.0/16",
      "172.19.0.0/16",
      "172.20.0.0/16",
    ]);
    expect(used.slice(14, 17).map(formatSubnet)).toEqual(["172.31.0.0/16", "192.168.0.0/20", "192.168.16.0/20"]);
    expect(formatSubnet(used.at(-1) ?? subnet("0.0.0.0/0"))).toBe("192.168.240.0/20");
    expect(() => freeSubnet(DEFAULT_POOLS, 4, used)).toThrow("all predefined address pools have been fully subnetted");
  });

  test("freeSubnet() passes over whatever is used, smaller or larger", () => {
    expect(formatSubnet(freeSubnet(DEFAULT_POOLS, 4, [subnet("172.16.0.0/12")]))).toBe("192.168.0.0/20");
    expect(formatSubnet(freeSubnet(DEFAULT_POOLS, 4, [subnet("172.17.5.0/24")]))).toBe("172.18.0.0/16");
  });

  test("freeSubnet() of IPv6 is inside the engine's own unique local prefix", () => {
    const pool = uniqueLocalPool("some engine");
    expect(formatSubnet(pool.base)).toMatch(/^fd[0-9a-f]{2}:[0-9a-f:]+\/48$/);
    const first = freeSubnet([pool], 6, []);
    const second = freeSubnet([pool], 6, [first]);
    expect(first.prefix).toBe(64);
    expect(second.base - first.base).toBe(1n << 64n);
    expect(formatSubnet(uniqueLocalPool("another").base)).not.toBe(formatSubnet(pool.base));
  });
});

describe("parseAddressPool()", () => {
  test("parseAddressPool() reads dockerd's spelling", () => {
    const pool = parseAddressPool("base=10.10.0.0/16,size=24");
    expect(formatSubnet(pool.base)).toBe("10.10.0.0/16");
    expect(formatSubnet(freeSubnet([pool], 4, [subnet("10.10.0.0/24")]))).toBe("10.10.1.0/24");
  });

  test.each([
    "",
    "10.0.0.0/8",
    "base=10.0.0.0/8",
    "base=10.0.0.0/16,size=8",
    "base=x,size=24",
    "base=10.0.0.0/8,size=31",
  ])("parseAddressPool(%p) throws", (text) => {
    expect(() => parseAddressPool(text)).toThrow(/invalid/);
  });
});

describe("Pool", () => {
  test("take() is the lowest that is free, and not the subnet's own, the gateway or an auxiliary one", () => {
    const pool = new Pool({ subnet: "10.0.0.0/29", gateway: "10.0.0.1", auxiliary: { router: "10.0.0.3" } });
    expect([take(pool), take(pool), take(pool), take(pool)]).toEqual(["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
    expect(() => pool.take()).toThrow(
      "no available IPv4 addresses on this network's address pools: 10.0.0.0/29 is full",
    );
    pool.release(parseAddress("10.0.0.4"));
    expect(take(pool)).toBe("10.0.0.4");
  });

  test("take() stays inside the range, of which it uses all", () => {
    const pool = new Pool({ subnet: "10.0.0.0/24", range: "10.0.0.8/30", gateway: "10.0.0.1" });
    expect([take(pool), take(pool), take(pool), take(pool)]).toEqual([
      "10.0.0.8",
      "10.0.0.9",
      "10.0.0.10",
      "10.0.0.11",
    ]);
    expect(() => pool.take()).toThrow("10.0.0.8/30 is full");
  });

  test("take() of IPv6 begins after the subnet's own address", () => {
    expect(take(new Pool({ subnet: "fd00::/64", gateway: "fd00::1" }))).toBe("fd00::2");
  });

  test("claim() takes one address, once", () => {
    const pool = new Pool({ subnet: "10.0.0.0/24", gateway: "10.0.0.1" });
    expect(formatAddress(pool.claim(parseAddress("10.0.0.2")))).toBe("10.0.0.2");
    expect(take(pool)).toBe("10.0.0.3");
    for (const taken of ["10.0.0.2", "10.0.0.1", "10.0.0.0", "10.0.0.255"])
      expect(() => pool.claim(parseAddress(taken))).toThrow("Address already in use");
    expect(() => pool.claim(parseAddress("10.0.1.1"))).toThrow("no configured subnet contains IP address 10.0.1.1");
  });

  test("adopt() keeps an address taken", () => {
    const pool = new Pool({ subnet: "10.0.0.0/24", gateway: "10.0.0.1" });
    pool.adopt(parseAddress("10.0.0.2"));
    expect(take(pool)).toBe("10.0.0.3");
  });

  test.each<[spec: PoolSpec, message: string]>([
    [{ subnet: "10.0.0.0/24", range: "10.0.1.0/25" }, "invalid ip-range 10.0.1.0/25"],
    [{ subnet: "10.0.0.0/24", gateway: "10.1.0.1" }, "invalid gateway 10.1.0.1"],
    [{ subnet: "10.0.0.0/24", auxiliary: { x: "10.1.0.1" } }, "invalid auxiliary address 10.1.0.1"],
    [{ subnet: "10.0.0.0/24", gateway: "x" }, "invalid IP address: x"],
    [{ subnet: "x" }, "invalid CIDR address: x"],
  ])("new Pool(%p) is refused", (spec, message) => {
    expect(() => new Pool(spec)).toThrow(message);
    try {
      new Pool(spec);
    } catch (error) {
      expect(kindOf(error)).toBe("invalid");
    }
  });
});
