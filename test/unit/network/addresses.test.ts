import { describe, expect, test } from "bun:test";
import {
  addressBytes,
  broadcastOf,
  contains,
  defaultPools,
  formatAddress,
  formatMac,
  formatSubnet,
  freeAddress,
  macOf,
  overlaps,
  parseAddress,
  parseCidr,
  parseRoutes,
} from "../../../src/network/addresses.ts";

const subnet = (text: string) => parseCidr(text).subnet;

describe("addresses", () => {
  test.each<[text: string, number: number]>([
    ["0.0.0.0", 0],
    ["0.0.0.1", 1],
    ["10.0.0.1", 0x0a000001],
    ["127.255.255.255", 0x7fffffff],
    ["128.0.0.0", 0x80000000],
    ["255.255.255.255", 0xffffffff],
  ])("parseAddress(%p) is %p, and formatAddress() goes back", (text, number) => {
    expect(parseAddress(text)).toBe(number);
    expect(formatAddress(number)).toBe(text);
    expect([...addressBytes(number)].join(".")).toBe(text);
  });

  test.each(["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.-1", "1.2.3.x", "1.2.3.", "0x1.2.3.4", "1.2.3.4 ", "::1"])(
    "parseAddress(%p) throws",
    (text) => {
      expect(() => parseAddress(text)).toThrow("invalid IPv4 address");
    },
  );

  test("macOf() is 02:42: and the address", () => {
    expect(formatMac(macOf(parseAddress("172.17.0.2")))).toBe("02:42:ac:11:00:02");
    expect(formatMac(macOf(parseAddress("255.0.10.1")))).toBe("02:42:ff:00:0a:01");
  });
});

describe("subnets", () => {
  test.each<[text: string, base: string, broadcast: string]>([
    ["172.17.0.1/16", "172.17.0.0", "172.17.255.255"],
    ["192.168.16.1/20", "192.168.16.0", "192.168.31.255"],
    ["10.1.2.3/30", "10.1.2.0", "10.1.2.3"],
    ["200.1.2.3/1", "128.0.0.0", "255.255.255.255"],
  ])("parseCidr(%p) lies between %s and %s", (text, base, broadcast) => {
    const parsed = parseCidr(text);
    expect(formatAddress(parsed.address)).toBe(text.split("/")[0] ?? "");
    expect(formatSubnet(parsed.subnet)).toBe(`${base}/${text.split("/")[1]}`);
    expect(formatAddress(broadcastOf(parsed.subnet))).toBe(broadcast);
  });

  test.each([
    "",
    "10.0.0.1",
    "10.0.0.1/",
    "10.0.0.1/0",
    "10.0.0.1/31",
    "10.0.0.1/33",
    "10.0.0.1/x",
    "x/16",
    "10.0.0.1/-1",
  ])("parseCidr(%p) throws", (text) => {
    expect(() => parseCidr(text)).toThrow(/invalid (CIDR|IPv4) address/);
  });

  test.each<[one: string, other: string, result: boolean]>([
    ["10.0.0.0/8", "10.1.0.0/16", true],
    ["10.1.0.0/16", "10.0.0.0/8", true],
    ["10.0.0.0/16", "10.0.0.0/16", true],
    ["10.0.0.0/16", "10.1.0.0/16", false],
    ["10.0.0.0/30", "10.0.0.4/30", false],
    ["128.0.0.0/1", "255.0.0.0/8", true],
  ])("overlaps(%s, %s) is %p", (one, other, result) => {
    expect(overlaps(subnet(one), subnet(other))).toBe(result);
    expect(overlaps(subnet(other), subnet(one))).toBe(result);
  });

  test("contains() includes the first and the last address, and no more", () => {
    const range = subnet("10.0.0.4/30");
    expect([3, 4, 7, 8].map((last) => contains(range, parseAddress(`10.0.0.${last}`)))).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });

  test("defaultPools() are Docker's, none of them twice", () => {
    const pools = [...defaultPools()];
    expect(pools.length).toBe(31);
    expect(formatSubnet(pools[0] ?? subnet("1.1.1.1/8"))).toBe("172.17.0.0/16");
    expect(formatSubnet(pools.at(-1) ?? subnet("1.1.1.1/8"))).toBe("192.168.240.0/20");
    expect(pools.flatMap((one, at) => pools.slice(at + 1).filter((other) => overlaps(one, other)))).toEqual([]);
  });
});

describe("freeAddress()", () => {
  const free = (network: string, range: string, ...taken: string[]) =>
    formatAddress(freeAddress(subnet(network), subnet(range), new Set(taken.map(parseAddress))));

  test("freeAddress() is the lowest that is not taken", () => {
    expect(free("10.0.0.0/24", "10.0.0.0/24")).toBe("10.0.0.1");
    expect(free("10.0.0.0/24", "10.0.0.0/24", "10.0.0.1", "10.0.0.3")).toBe("10.0.0.2");
  });

  test("freeAddress() uses all of a range inside the subnet, but not what is special in the subnet", () => {
    expect(free("10.0.0.0/24", "10.0.0.8/30")).toBe("10.0.0.8");
    expect(free("10.0.0.0/24", "10.0.0.8/30", "10.0.0.8", "10.0.0.9", "10.0.0.10")).toBe("10.0.0.11");
    expect(free("10.0.0.0/24", "10.0.0.252/30", "10.0.0.252", "10.0.0.253")).toBe("10.0.0.254");
  });

  test("freeAddress() throws when all are taken", () => {
    expect(() => free("10.0.0.0/30", "10.0.0.0/30", "10.0.0.1", "10.0.0.2")).toThrow(
      "no available IPv4 addresses on this network's address pools: 10.0.0.0/30 is full",
    );
  });
});

test("parseRoutes() reads the kernel's table, but for default routes", () => {
  const table = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
tun0\t0100A8C0\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
wg0\t000000E0\t00000000\t0001\t0\t0\t0\t000000F0\t0\t0\t0
`;
  expect(parseRoutes(table).map(formatSubnet)).toEqual([
    "10.0.2.0/24",
    "172.17.0.0/16",
    "192.168.0.1/32",
    "224.0.0.0/4",
  ]);
});
