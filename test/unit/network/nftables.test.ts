/** Elements as the kernel takes them: the bytes are those that the program nft has sent for the same (strace of nft 1.0.6). */

import { expect, test } from "bun:test";
import { parseAddress } from "../../../src/network/addresses.ts";
import { type PortRule, portElements } from "../../../src/network/firewall-rules.ts";
import { changeElements, NFPROTO } from "../../../src/network/nftables.ts";

const RULE: PortRule = {
  protocol: "tcp",
  hostAddress: undefined,
  hostPort: 81,
  target: parseAddress("172.17.0.2"),
  targetPort: 80,
};

/** What nft has sent for `add element inet bosun-test publish4_any { tcp . 81 : 172.17.0.2 . 80 }`: table and set, key, data. */
const OF_NFT = [
  "0f000100 626f73756e2d7465737400 00 11000200 7075626c697368345f616e7900 000000",
  "0c00010006000000 00510000",
  "0c000100ac110002 00500000",
];

test("changeElements() says what nft says", () => {
  const sent: Buffer[] = [];
  const [element] = portElements(RULE);
  if (!element) return expect.unreachable();
  changeElements(
    (request) => {
      sent.push(Buffer.from(request));
      return new Uint8Array();
    },
    NFPROTO.inet,
    "bosun-test",
    { add: [{ ...element, set: "publish4_any" }] },
  );
  const hex = sent[0]?.toString("hex") ?? "";
  for (const part of OF_NFT) expect(hex).toContain(part.replaceAll(" ", ""));
});

test("portElements() of a port on every address is led, and passed over for the container itself", () => {
  expect(portElements(RULE).map(({ set }) => set)).toEqual(["published_anywhere4", "own4", "self4"]);
  expect(portElements({ ...RULE, hostAddress: parseAddress("127.0.0.1") })[0]?.set).toBe("published4");
  expect(portElements({ ...RULE, hostPort: undefined }).map(({ set }) => set)).toEqual(["reachable4"]);
  expect(portElements({ ...RULE, target: parseAddress("fd00::2") })[0]?.set).toBe("published_anywhere6");
});

test("changeElements() throws what the kernel refuses", () => {
  const refused = Buffer.alloc(36);
  refused.writeUInt32LE(36, 0);
  refused.writeUInt16LE(2, 4);
  refused.writeInt32LE(-2, 16);
  expect(() => changeElements(() => refused, NFPROTO.inet, "t", {})).toThrow("ENOENT");
});
