import { describe, expect, test } from "bun:test";
import {
  addressBytes,
  addressFrom,
  contains,
  formatAddress,
  formatMac,
  formatSubnet,
  isInside,
  lastOf,
  macOf,
  overlaps,
  parseAddress,
  parseCidr,
  parseMac,
  parseRoutes,
  parseRoutes6,
} from "../../../src/network/addresses.ts";

const subnet = (text: string) => parseCidr(text).subnet;
const at = (text: string) => parseAddress(text);

describe("addresses", () => {
  test.each<[text: string, number: bigint]>([
    ["0.0.0.0", 0n],
    ["0.0.0.1", 1n],
    ["10.0.0.1", 0x0a000001n],
    ["128.0.0.0", 0x80000000n],
    ["255.255.255.255", 0xffffffffn],
    ["::", 0n],
    ["::1", 1n],
    ["2001:db8::1", 0x20010db8000000000000000000000001n],
    ["fe80::1:0:0:1", 0xfe800000000000000001000000000001n],
    ["1:2:3:4:5:6:7:8", 0x00010002000300040005000600070008n],
    ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", (1n << 128n) - 1n],
  ])("parseAddress(%p) is %p, and formatAddress() goes back", (text, value) => {
    expect(parseAddress(text)).toEqual({ family: text.includes(":") ? 6 : 4, value });
    expect(formatAddress(parseAddress(text))).toBe(text);
    expect(addressFrom(addressBytes(parseAddress(text)))).toEqual(parseAddress(text));
  });

  test.each([
    ["2001:0DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["::ffff:1.2.3.4", "::ffff:102:304"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["1:0:0:2:3:0:0:4", "1::2:3:0:0:4"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["1::", "1::"],
  ])("formatAddress() of %p is %p, as RFC 5952 has it", (text, shown) => {
    expect(formatAddress(parseAddress(text))).toBe(shown);
  });

  test.each([
    ...["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.-1", "1.2.3.x", "1.2.3.", "0x1.2.3.4", "1.2.3.4 "],
    ...[":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "12345::", "g::", "::1.2.3"],
  ])("parseAddress(%p) throws", (text) => {
    expect(() => parseAddress(text)).toThrow("invalid IP address");
  });

  test("macOf() is 02:42: and the address", () => {
    expect(formatMac(macOf(at("172.17.0.2")))).toBe("02:42:ac:11:00:02");
    expect(formatMac(macOf(at("255.0.10.1")))).toBe("02:42:ff:00:0a:01");
    expect(formatMac(macOf(at("fd00::1:2")))).toBe("02:42:00:01:00:02");
  });

  test("parseMac() reads colons and dashes, and nothing else", () => {
    expect(formatMac(parseMac("02:42:AC:11:00:02"))).toBe("02:42:ac:11:00:02");
    expect(formatMac(parseMac("02-42-ac-11-00-02"))).toBe("02:42:ac:11:00:02");
    for (const text of ["", "02:42:ac:11:00", "02:42:ac:11:00:02:03", "0242ac110002", "02:42:ac:11:00:0g"])
      expect(() => parseMac(text)).toThrow("invalid MAC address");
  });
});

describe("subnets", () => {
  test.each<[text: string, base: string, last: string]>([
    ["172.17.0.1/16", "172.17.0.0", "172.17.255.255"],
    ["192.168.16.1/20", "192.168.16.0", "192.168.31.255"],
    ["10.1.2.3/30", "10.1.2.0", "10.1.2.3"],
    ["200.1.2.3/1", "128.0.0.0", "255.255.255.255"],
    ["fd00::1:2/64", "fd00::", "fd00::ffff:ffff:ffff:ffff"],
    ["2001:db8::5/128", "2001:db8::5", "2001:db8::5"],
  ])("parseCidr(%p) lies between %s and %s", (text, base, last) => {
    const parsed = parseCidr(text);
    expect(formatAddress(parsed.address)).toBe(text.split("/")[0] ?? "");
    expect(formatSubnet(parsed.subnet)).toBe(`${base}/${text.split("/")[1]}`);
    expect(formatAddress(lastOf(parsed.subnet))).toBe(last);
  });

  test.each([
    "",
    "10.0.0.1",
    "10.0.0.1/",
    "10.0.0.1/33",
    "10.0.0.1/x",
    "x/16",
    "10.0.0.1/-1",
    "::1/129",
    "10.0.0.1/8/8",
  ])("parseCidr(%p) throws", (text) => {
    expect(() => parseCidr(text)).toThrow("invalid CIDR address");
  });

  test.each<[one: string, other: string, result: boolean]>([
    ["10.0.0.0/8", "10.1.0.0/16", true],
    ["10.0.0.0/16", "10.0.0.0/16", true],
    ["10.0.0.0/16", "10.1.0.0/16", false],
    ["10.0.0.0/30", "10.0.0.4/30", false],
    ["128.0.0.0/1", "255.0.0.0/8", true],
    ["fd00::/64", "fd00::1:0/112", true],
    ["fd00::/64", "fd00:0:0:1::/64", false],
    ["0.0.0.0/0", "::/0", false],
  ])("overlaps(%s, %s) is %p", (one, other, result) => {
    expect(overlaps(subnet(one), subnet(other))).toBe(result);
    expect(overlaps(subnet(other), subnet(one))).toBe(result);
  });

  test("contains() includes the first and the last address, and no more", () => {
    const last = [3, 4, 7, 8].map((byte) => contains(subnet("10.0.0.4/30"), at(`10.0.0.${byte}`)));
    expect(last).toEqual([false, true, true, false]);
    expect(contains(subnet("0.0.0.0/0"), at("::1"))).toBe(false);
  });

  test("isInside() is true of itself and of parts", () => {
    expect(isInside(subnet("10.0.0.0/24"), subnet("10.0.0.0/24"))).toBe(true);
    expect(isInside(subnet("10.0.0.128/25"), subnet("10.0.0.0/24"))).toBe(true);
    expect(isInside(subnet("10.0.0.0/23"), subnet("10.0.0.0/24"))).toBe(false);
    expect(isInside(subnet("10.0.1.0/25"), subnet("10.0.0.0/24"))).toBe(false);
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

test("parseRoutes6() leaves out default routes and addresses of the host's own", () => {
  const table = `fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 br0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0
00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001 lo
`;
  expect(parseRoutes6(table).map(formatSubnet)).toEqual(["fd00::/64"]);
});
