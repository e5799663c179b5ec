/** Ports as requests name them. */

import { describe, expect, test } from "bun:test";
import { kindOf } from "../../../src/base/errors.ts";
import { formatPort, parsePort, parsePortRange, toBinding, withExposed } from "../../../src/network/ports.ts";

describe("parsePort()", () => {
  test.each<[text: string, shown: string]>([
    ["80", "80/tcp"],
    ["80/tcp", "80/tcp"],
    ["53/UDP", "53/udp"],
    ["9/sctp", "9/sctp"],
    ["65535/tcp", "65535/tcp"],
  ])("parsePort(%p) is %p", (text, shown) => {
    expect(formatPort(parsePort(text))).toBe(shown);
  });

  test.each(["", "/tcp", "0/tcp", "65536", "80/icmp", "http", "80-81", "-1", "80/tcp/udp", " 80"])(
    "parsePort(%p) throws",
    (text) => {
      expect(() => parsePort(text)).toThrow(/invalid port specification/);
    },
  );
});

test("parsePortRange() is each of a range", () => {
  expect(parsePortRange("8000-8002/udp").map(formatPort)).toEqual(["8000/udp", "8001/udp", "8002/udp"]);
  expect(parsePortRange("80").map(formatPort)).toEqual(["80/tcp"]);
  for (const text of ["8002-8000", "1-", "-1", "80-81-82", "1-70000"])
    expect(() => parsePortRange(text)).toThrow(/invalid/);
});

describe("toBinding()", () => {
  const port = parsePort("80");

  test.each<[address: string, hostPort: string, low: number, high: number]>([
    ["", "", 0, 0],
    ["127.0.0.1", "8080", 8080, 8080],
    ["::1", "8000-8010", 8000, 8010],
  ])("toBinding() to %p %p is from %p to %p", (hostAddress, hostPort, low, high) => {
    expect(toBinding(port, hostAddress, hostPort)).toEqual({ port, hostAddress, low, high });
  });

  test.each([
    ["x", ""],
    ["1.2.3", "80"],
    ["", "x"],
    ["", "70000"],
    ["", "90-80"],
    ["", "-80"],
  ])("toBinding() to %p %p is refused", (hostAddress, hostPort) => {
    try {
      toBinding(port, hostAddress, hostPort);
      expect.unreachable();
    } catch (error) {
      expect(kindOf(error)).toBe("invalid");
    }
  });
});

test.each(["224.0.0.1", "239.1.2.3", "255.255.255.255", "ff02::1"])(
  "toBinding() refuses %s, which is many hosts'",
  (address) => {
    expect(() => toBinding(parsePort("80"), address, "")).toThrow(`invalid IP address: ${address}`);
  },
);

test("withExposed() adds what no binding names", () => {
  const bound = toBinding(parsePort("80"), "", "8080");
  const all = withExposed([bound], ["80/tcp", "80/udp", "81/tcp"]);
  expect(all.map(({ port, low }) => `${formatPort(port)} ${low}`)).toEqual(["80/tcp 8080", "80/udp 0", "81/tcp 0"]);
});
