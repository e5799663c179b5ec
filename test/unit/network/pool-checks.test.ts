/** Subnets that a request may not choose. */

import { describe, expect, test } from "bun:test";
import { checkPools } from "../../../src/network/pool-checks.ts";
import type { PoolSpec } from "../../../src/network/pools.ts";

describe("checkPools()", () => {
  test.each<[PoolSpec, string]>([
    [{ subnet: "10.0.0.0" }, "invalid subnet 10.0.0.0: invalid CIDR block notation"],
    [{ subnet: "010.0.0.0/8" }, "invalid subnet 010.0.0.0/8: invalid CIDR block notation"],
    [{ subnet: "10.0.0.0/024" }, "invalid subnet 10.0.0.0/024: invalid CIDR block notation"],
    [{ subnet: "10.0.0.5/24" }, "invalid subnet 10.0.0.5/24: it should be 10.0.0.0/24"],
    [{ subnet: "fd00::1/64" }, "invalid subnet fd00::1/64: it should be fd00::/64"],
    [{ subnet: "127.0.0.0/8" }, "invalid subnet 127.0.0.0/8: it has loopback addresses"],
    [{ subnet: "0.0.0.0/0" }, "invalid subnet 0.0.0.0/0: it has multicast addresses"],
    [{ subnet: "224.1.0.0/24" }, "invalid subnet 224.1.0.0/24: it has multicast addresses"],
    [{ subnet: "255.255.255.0/24" }, "invalid subnet 255.255.255.0/24: it has the broadcast address"],
    [{ subnet: "::/0" }, "invalid subnet ::/0: it has multicast addresses"],
    [{ subnet: "ff02::/64" }, "invalid subnet ff02::/64: it has multicast addresses"],
    [{ subnet: "::ffff:10.1.0.0/112" }, "it has addresses that stand for IPv4's"],
    [{ subnet: "10.0.0.0/24", range: "x" }, "invalid ip-range x: invalid CIDR block notation"],
    [{ subnet: "10.0.0.0/24", range: "fd00::/64" }, "invalid ip-range fd00::/64: parent subnet is an IPv4 block"],
    [{ subnet: "10.0.0.0/24", range: "10.0.0.9/28" }, "invalid ip-range 10.0.0.9/28: it should be 10.0.0.0/28"],
    [
      { subnet: "10.0.0.0/24", range: "10.0.0.0/8" },
      "invalid ip-range 10.0.0.0/8: CIDR block is bigger than its parent subnet 10.0.0.0/24",
    ],
    [
      { subnet: "10.0.0.0/24", range: "10.0.1.0/28" },
      "invalid ip-range 10.0.1.0/28: parent subnet 10.0.0.0/24 doesn't contain ip-range",
    ],
    [{ subnet: "10.0.0.0/24", gateway: "10.0.0.1/24" }, "invalid gateway 10.0.0.1/24: invalid address"],
    [{ subnet: "10.0.0.0/24", gateway: "fe80::1" }, "invalid gateway fe80::1: parent subnet is an IPv4 block"],
    [
      { subnet: "10.0.0.0/24", gateway: "10.0.1.1" },
      "invalid gateway 10.0.1.1: parent subnet 10.0.0.0/24 doesn't contain this address",
    ],
    [{ subnet: "10.0.0.0/24", auxiliary: { a: "banana" } }, "invalid auxiliary address a: invalid address"],
  ])("%p is refused", (pool, words) => {
    expect(() => checkPools([pool], true)).toThrow(words);
  });

  test("tells all that is wrong at once", () => {
    expect(() => checkPools([{ subnet: "10.0.0.5/24", gateway: "x" }, { subnet: "y" }], true)).toThrow(
      "invalid network config:\ninvalid subnet 10.0.0.5/24: it should be 10.0.0.0/24\ninvalid gateway x: invalid address\ninvalid subnet y: invalid CIDR block notation",
    );
  });

  test.each([
    "10.0.0.0/31",
    "10.0.0.0/32",
    "169.254.0.0/16",
    "240.0.0.0/8",
    "fe80::/64",
    "fd00::/127",
    "2001:db8::/64",
  ])("%s is none of its business", (subnet) => {
    checkPools([{ subnet }], true);
  });

  test("IPv6 of a network without it has to be a block, no more", () => {
    checkPools([{ subnet: "2001:db8::1/64", range: "10.0.0.0/8", gateway: "x", auxiliary: { a: "y" } }], false);
    expect(() => checkPools([{ subnet: "2001:db8::x/64" }], false)).toThrow("invalid CIDR block notation");
    expect(() => checkPools([{ subnet: "10.0.0.1/8" }], false)).toThrow("it should be 10.0.0.0/8");
  });
});
