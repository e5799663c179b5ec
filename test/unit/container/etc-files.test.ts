import { describe, expect, test } from "bun:test";
import {
  hostsFile,
  namedResolvFile,
  parseExtraHost,
  parseResolv,
  resolvFile,
  withGateways,
  withLinked,
} from "../../../src/container/etc-files.ts";

const LOCAL = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;

describe("hostsFile()", () => {
  const setting = { hostname: "ship", domainname: "", addresses: [], extraHosts: [], linked: [] };

  test.each<[name: string, change: object, base: string | undefined, text: string]>([
    ["without a network", {}, undefined, LOCAL],
    ["with an address", { addresses: ["172.17.0.2"] }, undefined, `${LOCAL}172.17.0.2\tship\n`],
    ["with two", { addresses: ["172.17.0.2", "fd00::2"] }, undefined, `${LOCAL}172.17.0.2\tship\nfd00::2\tship\n`],
    [
      "with a domain",
      { addresses: ["172.17.0.2"], domainname: "sea" },
      undefined,
      `${LOCAL}172.17.0.2\tship.sea ship\n`,
    ],
    [
      "with more hosts",
      { extraHosts: ["pier:10.0.0.1", "six:[2001:db8::1]"] },
      undefined,
      `${LOCAL}10.0.0.1\tpier\n2001:db8::1\tsix\n`,
    ],
    ["of the host", { extraHosts: ["pier:10.0.0.1"] }, "127.0.0.1 box\n\n", "127.0.0.1 box\n10.0.0.1\tpier\n"],
  ])("hostsFile() %s", (_, change, base, text) => {
    expect(hostsFile({ ...setting, ...change }, base)).toBe(text);
  });
});

describe("parseExtraHost()", () => {
  test.each([
    ["a:1.2.3.4", "a", "1.2.3.4"],
    ["a=1.2.3.4", "a", "1.2.3.4"],
    ["a:::1", "a", "::1"],
    ["a:[::1]", "a", "::1"],
    ["a:host-gateway", "a", "host-gateway"],
  ])("parseExtraHost(%p) is %p at %p", (text, name, address) => {
    expect(parseExtraHost(text)).toEqual({ name, address });
  });

  test.each(["", "a", "a:", ":1.2.3.4", "="])("parseExtraHost(%p) throws", (text) => {
    expect(() => parseExtraHost(text)).toThrow("bad format for add-host");
  });
});

const NONE = { servers: [], search: [], options: [] };
const HOST =
  "# made by hand\nnameserver 127.0.0.53\nnameserver 192.0.2.1 ; second\nsearch a.example b.example\noptions edns0 trust-ad\n";

describe("parseResolv()", () => {
  test("parseResolv() takes servers, and the last search and options", () => {
    expect(parseResolv(HOST)).toEqual({
      servers: ["127.0.0.53", "192.0.2.1"],
      search: ["a.example", "b.example"],
      options: ["edns0", "trust-ad"],
    });
    expect(parseResolv("search a\nsearch b c\ndomain d\n").search).toEqual(["b", "c"]);
    expect(parseResolv("domain d\n").search).toEqual(["d"]);
    expect(parseResolv("nameserver\n\n  nameserver   ::1  \n")).toEqual({ ...NONE, servers: ["::1"] });
  });
});

describe("resolvFile()", () => {
  test("resolvFile() keeps the host's servers when the network is the host's", () => {
    expect(resolvFile(NONE, HOST, false)).toBe(
      "nameserver 127.0.0.53\nnameserver 192.0.2.1\nsearch a.example b.example\noptions edns0 trust-ad\n",
    );
  });

  test("resolvFile() leaves out servers on the host's loopback when the network is the container's own", () => {
    expect(resolvFile(NONE, HOST, true)).toStartWith("nameserver 192.0.2.1\nsearch");
    expect(resolvFile(NONE, "nameserver ::1\nnameserver 127.0.0.1\n", true)).toBe("");
  });

  test("resolvFile() takes what is asked for, each in place of the host's", () => {
    expect(resolvFile({ servers: ["9.9.9.9"], search: ["c"], options: ["ndots:1"] }, HOST, true)).toBe(
      "nameserver 9.9.9.9\nsearch c\noptions ndots:1\n",
    );
    expect(resolvFile({ ...NONE, servers: ["127.0.0.1"] }, HOST, true)).toStartWith(
      "nameserver 127.0.0.1\nsearch a.example",
    );
    expect(resolvFile({ ...NONE, search: ["."] }, HOST, true)).toBe("nameserver 192.0.2.1\noptions edns0 trust-ad\n"); // "." is for none at all
  });
});

describe("namedResolvFile()", () => {
  test.each([
    [NONE, "nameserver 127.0.0.11\nsearch a.example b.example\noptions edns0 trust-ad ndots:0\n"],
    [{ ...NONE, search: ["."], options: ["ndots:2"] }, "nameserver 127.0.0.11\noptions ndots:2\n"],
    [
      { ...NONE, servers: ["192.0.2.9"], search: ["c.example"], options: ["rotate"] },
      "nameserver 127.0.0.11\nsearch c.example\noptions rotate ndots:0\n",
    ],
  ])("namedResolvFile(%j) asks the name service, for names as they are", (own, text) => {
    expect(namedResolvFile(own, HOST)).toBe(text);
  });
});

test("withGateways() puts the host's addresses, of each family, in the place of their name", () => {
  const entries = ["out:host-gateway", "pier:10.0.0.1"];
  expect(withGateways(entries, ["172.17.0.1", "fd00::1"])).toEqual(["out:172.17.0.1", "out:fd00::1", "pier:10.0.0.1"]);
});

test("withLinked() changes lines of links only", () => {
  const text = "127.0.0.1\tlocalhost\n172.17.0.2\tbase ship db\n172.17.0.3\tbases\n";
  const linked = [{ address: "172.17.0.9", names: ["base", "ship"] }];
  expect(withLinked(text, ["base"], linked)).toBe("127.0.0.1\tlocalhost\n172.17.0.3\tbases\n172.17.0.9\tbase ship\n");
  expect(withLinked(text, ["base"], [])).toBe("127.0.0.1\tlocalhost\n172.17.0.3\tbases\n");
});
