/** Which flows of UDP are forgotten, over a kernel that is made up; the real one is asked end to end. */

import { describe, expect, test } from "bun:test";
import { silent } from "../../../src/base/logger.ts";
import { addressBytes, parseAddress } from "../../../src/network/addresses.ts";
import { Flows } from "../../../src/network/conntrack.ts";
import type { PortRule } from "../../../src/network/firewall-rules.ts";
import { answers, attribute, attributesOf, concat, message, nested } from "../../../src/network/netlink-message.ts";
import { portBytes } from "../../../src/network/nftables.ts";

/** `192.0.2.9:4000>127.0.0.1:53 10.0.0.2:53>192.0.2.9:4000`: as it came, and how its answers come. */
type FlowText = string;

function tuple(text: string): Uint8Array {
  const [from = "", to = ""] = text.split(">");
  const parse = (end: string) => {
    const at = end.lastIndexOf(":");
    return { address: parseAddress(end.slice(0, at)), port: Number(end.slice(at + 1)) };
  };
  const [source, destination] = [parse(from), parse(to)];
  const first = source.address.family === 4 ? 1 : 3; // CTA_IP_V4_SRC, CTA_IP_V6_SRC
  const addresses = [source, destination].map(({ address }, at) => attribute(first + at, addressBytes(address)));
  const ports = [source, destination].map(({ port }, at) => attribute(2 + at, portBytes(port)));
  return concat(nested(1, ...addresses), nested(2, attribute(1, Uint8Array.of(17)), ...ports));
}

/** A kernel with these flows. @returns ids (positions) of those that it was told to forget */
function forgotten(flows: readonly FlowText[], set: readonly PortRule[], gone: readonly PortRule[]) {
  const ids: number[] = [];
  let dumps = 0;
  const exchange = (request: Uint8Array): Uint8Array => {
    const [asked] = answers(request);
    if (asked?.type === 0x102) {
      ids.push(attributesOf(asked.body.subarray(4)).get(12)?.readUInt32BE(0) ?? -1);
      return message(2, 0, Buffer.alloc(20));
    }
    dumps++;
    const all = flows.map((text, id) => {
      const [original = "", reply = ""] = text.split(" ");
      const name = Buffer.alloc(4);
      name.writeUInt32BE(id);
      return message(
        0x100,
        0,
        Buffer.alloc(4),
        nested(1, tuple(original)),
        nested(2, tuple(reply)),
        attribute(12, name),
      );
    });
    return concat(...all);
  };
  const kernel = new Flows(exchange, silent);
  kernel.follow(set, gone);
  kernel.forget();
  return { ids, dumps };
}

const rule = (change: Partial<PortRule> = {}): PortRule => ({
  ...{ protocol: "udp", hostAddress: undefined, hostPort: 53, target: parseAddress("10.0.0.2"), targetPort: 5300 },
  ...change,
});

const FLOWS: readonly FlowText[] = [
  "192.0.2.9:4000>127.0.0.1:53 10.0.0.2:5300>192.0.2.9:4000", // led to the container
  "192.0.2.9:4001>127.0.0.1:53 127.0.0.1:53>192.0.2.9:4001", // came when nobody had the port
  "192.0.2.9:4002>127.0.0.1:53 10.0.0.7:5300>192.0.2.9:4002", // led to another
  "10.0.0.5:4003>203.0.113.8:53 203.0.113.8:53>10.0.0.5:4003", // asks somebody elsewhere
  "10.0.0.5:4004>10.0.0.2:5300 10.0.0.2:5300>10.0.0.5:4004", // to the container itself
];

describe("Flows.follow()", () => {
  test("of a port that is led now, forgets those that came to it and went elsewhere", () => {
    expect(forgotten(FLOWS, [rule()], [])).toEqual({ ids: [1, 2], dumps: 1 });
  });

  test("of a port that is led no longer, forgets those to the container", () => {
    expect(forgotten(FLOWS, [], [rule()])).toEqual({ ids: [0], dumps: 1 });
    const direct = rule({ hostPort: undefined });
    expect(forgotten(FLOWS, [], [direct])).toEqual({ ids: [4], dumps: 1 });
  });

  test("looks at one address where the port is led on one", () => {
    const hostAddress = parseAddress("203.0.113.8"); // as if it was ours
    expect(forgotten(FLOWS, [rule({ hostAddress })], []).ids).toEqual([3]);
  });

  test("looks once for many", () => {
    const other = rule({ hostPort: 54 });
    expect(forgotten(FLOWS, [rule(), other], [rule({ target: parseAddress("10.0.0.7") }), other])).toEqual({
      ids: [1, 2],
      dumps: 1,
    });
  });

  test("asks for nothing of TCP", () => {
    expect(forgotten(FLOWS, [rule({ protocol: "tcp" })], [rule({ protocol: "tcp" })])).toEqual({
      ids: [],
      dumps: 0,
    });
  });
});
