/** What people write after -p. */

import { describe, expect, test } from "bun:test";
import { UsageError } from "../../../src/cli/flags.ts";
import { parsePublish, portBindings } from "../../../src/cli/publish.ts";

const shown = (text: string) => parsePublish(text).map(({ port, host }) => `${host.HostIp}|${host.HostPort}|${port}`);

describe("parsePublish()", () => {
  test.each<[text: string, parts: string[]]>([
    ["80", ["||80/tcp"]],
    ["8080:80", ["|8080|80/tcp"]],
    ["53:53/udp", ["|53|53/udp"]],
    ["127.0.0.1:8080:80", ["127.0.0.1|8080|80/tcp"]],
    ["127.0.0.1::80", ["127.0.0.1||80/tcp"]],
    ["[::1]:8080:80", ["::1|8080|80/tcp"]],
    ["[::]::80/UDP", ["::||80/udp"]],
    ["8000-8001:80-81", ["|8000|80/tcp", "|8001|81/tcp"]],
    ["8000-8010:80", ["|8000-8010|80/tcp"]],
    ["80-82", ["||80/tcp", "||81/tcp", "||82/tcp"]],
    ["published=8080,target=80,protocol=udp", ["|8080|80/udp"]],
    ["target=80", ["||80/tcp"]],
  ])("parsePublish(%p) is %p", (text, parts) => {
    expect(shown(text)).toEqual(parts);
  });

  test.each([
    "",
    "x",
    "80:x",
    "80:80:80:80",
    "1.2.3.4:80",
    "8000-8002:80-81",
    "90-80",
    "70000:80",
    "target=80,colour=red",
    "published=80,target=",
  ])("parsePublish(%p) is refused", (text) => {
    expect(() => parsePublish(text)).toThrow(UsageError);
  });
});

test("portBindings() gathers several of one port", () => {
  expect(portBindings(["8080:80", "127.0.0.1:8081:80"])).toEqual({
    "80/tcp": [
      { HostIp: "", HostPort: "8080" },
      { HostIp: "127.0.0.1", HostPort: "8081" },
    ],
  });
});
