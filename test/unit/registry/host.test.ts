import { describe, expect, test } from "bun:test";
import { Hosts } from "../../../src/registry/host.ts";
import { failureOf } from "../../support/errors.ts";

const addresses: Readonly<Record<string, readonly string[]>> = {
  "lan.example": ["10.1.2.3"],
  "six.example": ["fd00::1"],
};
const resolve = async (name: string) => addresses[name] ?? [];

/** URLs in order; `+` marks one whose certificate is not verified, `!` one that no proxy sees. */
async function urls(domain: string, insecure: string[] = [], mirrors: string[] = []): Promise<string[]> {
  const hosts = await new Hosts({ hubMirrors: mirrors, insecure, resolve }).of(domain);
  return hosts.flatMap(({ endpoints }) =>
    endpoints.map((one) => `${one.base.href}${one.insecure ? "+" : ""}${one.direct ? "!" : ""}`),
  );
}

describe("Hosts.of() gives", () => {
  test.each<[string, string[], string[]]>([
    ["reg.example", [], ["https://reg.example/"]],
    ["docker.io", [], ["https://registry-1.docker.io/"]],
    ["localhost:5000", [], ["https://localhost:5000/+!", "http://localhost:5000/+!"]],
    ["127.0.0.1:5000", [], ["https://127.0.0.1:5000/+!", "http://127.0.0.1:5000/+!"]],
    ["127.9.9.9", [], ["https://127.9.9.9/+!", "http://127.9.9.9/+!"]],
    ["[::1]:5000", [], ["https://[::1]:5000/+!", "http://[::1]:5000/+!"]],
    ["10.1.2.3:5000", [], ["https://10.1.2.3:5000/"]],
    ["10.1.2.3:5000", ["10.0.0.0/8"], ["https://10.1.2.3:5000/+", "http://10.1.2.3:5000/+"]],
    ["11.1.2.3:5000", ["10.0.0.0/8"], ["https://11.1.2.3:5000/"]],
    ["lan.example", ["10.0.0.0/8"], ["https://lan.example/+", "http://lan.example/+"]],
    ["six.example:1", ["fd00::/8"], ["https://six.example:1/+", "http://six.example:1/+"]],
    ["reg.example:5000", ["reg.example:5000"], ["https://reg.example:5000/+", "http://reg.example:5000/+"]],
    ["reg.example:5000", ["REG.example"], ["https://reg.example:5000/+", "http://reg.example:5000/+"]],
    ["reg.example:5001", ["reg.example:5000"], ["https://reg.example:5001/"]],
    ["localhost.evil.example", [], ["https://localhost.evil.example/"]],
  ])("%s with %j", async (domain, insecure, expected) => {
    expect(await urls(domain, insecure)).toEqual(expected);
  });

  test("the mirrors of Docker Hub first, in order, for Docker Hub only", async () => {
    const mirrors = ["https://mirror.example", "http://127.0.0.1:5000/path"];
    expect(await urls("docker.io", [], mirrors)).toEqual([
      "https://mirror.example/",
      "http://127.0.0.1:5000/path/+!",
      "https://registry-1.docker.io/",
    ]);
    expect(await urls("reg.example", [], mirrors)).toEqual(["https://reg.example/"]);
  });
});

test("mirrors of any registry: its own, those for all, then itself; each is told which registry is meant", async () => {
  const mirrors = { "ghcr.io": ["https://one.example/x"], "*": ["https://all.example"] };
  const hosts = async (domain: string) =>
    (await new Hosts({ mirrors, hubMirrors: ["https://hub.example"] }).of(domain)).map(
      ({ endpoints, mirror, namespace }) => `${mirror ? "mirror" : "origin"} ${endpoints[0]?.base} ${namespace ?? ""}`,
    );
  expect(await hosts("ghcr.io")).toEqual([
    "mirror https://one.example/x/ ghcr.io",
    "mirror https://all.example/ ghcr.io",
    "origin https://ghcr.io/ ",
  ]);
  expect(await hosts("docker.io")).toEqual([
    "mirror https://hub.example/ ",
    "mirror https://all.example/ docker.io",
    "origin https://registry-1.docker.io/ ",
  ]);
});

describe("Hosts refuses", () => {
  test.each(["mirror.example", "ftp://mirror.example", "https://a:b@mirror.example", "https://mirror.example/?x"])(
    "the mirror %s",
    async (mirror) => {
      expect(await failureOf(() => new Hosts({ hubMirrors: [mirror] }))).toStartWith("invalid: invalid mirror");
    },
  );

  test.each(["10.0.0.0/33", "10.0.0/8", "fd00::/129", "x/8", "10.0.0.0/"])("the address block %s", async (block) => {
    expect(await failureOf(() => new Hosts({ insecure: [block] }))).toStartWith("invalid: invalid insecure registry");
  });
});
