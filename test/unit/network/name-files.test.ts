import { describe, expect, test } from "bun:test";
import { containerFile, networkFile, type Upstream, upstreamsOf } from "../../../src/network/name-files.ts";

describe("networkFile()", () => {
  test("networkFile() has a line for each container, in lower case, each name once", () => {
    const hosts = [
      { address: "10.0.0.2", address6: "", names: ["Db", "base", "DB"] },
      { address: "", address6: "fd00::3", names: ["web"] },
    ];
    expect(networkFile("Mine", hosts)).toBe("network mine\nhost 10.0.0.2 - db base\nhost - fd00::3 web\n");
  });

  test.each(["a b", "a\nhost 6.6.6.6 - victim", "ä", ""])("networkFile() leaves out the name %p", (name) => {
    expect(networkFile("mine", [{ address: "10.0.0.2", address6: "", names: ["db", name] }])).toBe(
      "network mine\nhost 10.0.0.2 - db\n",
    );
  });

  test.each(["a b", "x\nhost 6.6.6.6 - victim"])(
    "networkFile() leaves out what the network is called when that is %p",
    (name) => {
      expect(networkFile(name, [{ address: "10.0.0.2", address6: "", names: ["db"] }])).toBe(
        "network \nhost 10.0.0.2 - db\n",
      );
    },
  );
});

describe("containerFile()", () => {
  test("containerFile() has networks in their order, links and servers", () => {
    const text = containerFile({
      networkIds: ["n2", "n1"],
      links: [
        { networkId: "n1", alias: "Base", target: "Db" },
        { networkId: "n1", alias: "x\nserver own 6.6.6.6", target: "db" },
      ],
      upstreams: [{ from: "host", address: "127.0.0.53" }],
    });
    expect(text).toBe("network n2\nnetwork n1\nlink n1 base db\nserver host 127.0.0.53\n");
  });
});

describe("upstreamsOf()", () => {
  const HOST = ["127.0.0.53", "192.0.2.1", "2001:db8::1", "fe80::1%eth9", "fe80::2%none"];
  const scopeOf = (name: string) => (name === "eth9" ? 9 : undefined);
  const own = (address: string): Upstream => ({ from: "own", address });
  const host = (address: string): Upstream => ({ from: "host", address });

  test.each<[name: string, asked: readonly string[], ways: { 4: boolean; 6: boolean }, expected: readonly Upstream[]]>([
    [
      "the host's",
      [],
      { 4: true, 6: true },
      [host("127.0.0.53"), own("192.0.2.1"), own("2001:db8::1"), host("fe80::1%9")],
    ],
    [
      "without IPv6",
      [],
      { 4: true, 6: false },
      [host("127.0.0.53"), own("192.0.2.1"), host("2001:db8::1"), host("fe80::1%9")],
    ],
    ["asked for", ["127.0.0.1", "::1"], { 4: true, 6: true }, [own("127.0.0.1"), own("::1")]],
    ["nobody's, without a way out", ["192.0.2.1"], { 4: false, 6: false }, []],
  ])("upstreamsOf() gives %s", (_, asked, ways, expected) => {
    expect(upstreamsOf(asked, HOST, ways, scopeOf)).toEqual(expected);
  });
});
