import { afterAll, beforeAll, describe, expect, setSystemTime, test } from "bun:test";
import { parseHost } from "../../../src/cli/client.ts";
import { ago, humanSize, shortId, table, truncated } from "../../../src/cli/table.ts";

test("table() pads columns to ten characters at least, three blanks between, none at the end", () => {
  expect(
    table([
      ["ID", "NAME", ""],
      ["1", "a", ""],
      ["123", "long name", "x"],
    ]),
  ).toBe("ID        NAME\n1         a\n123       long name   x");
});

test.each([
  ["short", 10, "short"],
  ["exactly-10", 10, "exactly-10"],
  ["one too long", 11, "one too lo…"],
])("truncated(%p, %p) is %p", (text, width, result) => {
  expect(truncated(text, width)).toBe(result);
});

test("shortId() is the first 12 digits, without the algorithm", () => {
  expect(shortId("sha256:0123456789abcdef")).toBe("0123456789ab");
  expect(shortId("0123456789abcdef")).toBe("0123456789ab");
});

test.each([
  [0, "0B"],
  [999, "999B"],
  [1500, "1.5kB"],
  [4_261_550, "4.26MB"],
  [123_456_789, "123MB"],
  [2_000_000_000, "2GB"],
])("humanSize(%p) is %p", (bytes, text) => {
  expect(humanSize(bytes)).toBe(text);
});

describe("ago()", () => {
  beforeAll(() => void setSystemTime(new Date("2026-01-02T03:04:05Z"))); // the clock stands
  afterAll(() => void setSystemTime());

  test.each<[seconds: number, text: string]>([
    [0, "1 second ago"],
    [5, "5 seconds ago"],
    [65, "1 minute ago"],
    [120, "2 minutes ago"],
    [7300, "2 hours ago"],
    [86_400 * 3, "3 days ago"],
    [86_400 * 21, "3 weeks ago"],
    [86_400 * 100, "3 months ago"],
    [86_400 * 800, "2 years ago"],
  ])("%p seconds are %p", (seconds, text) => {
    expect(ago(Date.now() / 1000 - seconds)).toBe(text);
  });
});

describe("parseHost()", () => {
  test.each([
    ["unix:///run/x.sock", { path: "/run/x.sock" }],
    ["tcp://1.2.3.4:2375", { host: "1.2.3.4", port: 2375 }],
    ["http://box:80/", { host: "box", port: 80 }],
  ])("parseHost(%p)", (text, address) => {
    expect(parseHost(text) as object).toEqual(address);
  });

  test.each(["", "tcp://box", "ssh://box", "fd://"])("parseHost(%p) throws", (text) => {
    expect(() => parseHost(text)).toThrow("unable to parse docker host");
  });
});
