import { expect, test } from "bun:test";
import { parseChallenges } from "../../../src/registry/challenge.ts";

test.each<[string, string, unknown]>([
  [
    "a bearer challenge",
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
    [
      {
        scheme: "bearer",
        parameters: {
          realm: "https://auth.docker.io/token",
          service: "registry.docker.io",
          scope: "repository:a/b:pull,push",
        },
      },
    ],
  ],
  ["a basic challenge", 'Basic realm="x"', [{ scheme: "basic", parameters: { realm: "x" } }]],
  [
    "two challenges",
    'Basic realm="a, b", Bearer realm=c , service = "d"',
    [
      { scheme: "basic", parameters: { realm: "a, b" } },
      { scheme: "bearer", parameters: { realm: "c", service: "d" } },
    ],
  ],
  ["escapes", 'Basic realm="say \\"hi\\\\"', [{ scheme: "basic", parameters: { realm: 'say "hi\\' } }]],
  ["names in any case", "BEARER Realm=x", [{ scheme: "bearer", parameters: { realm: "x" } }]],
  ["a scheme alone", "Negotiate", [{ scheme: "negotiate", parameters: {} }]],
  ["nothing", "", []],
  ["an open quote", 'Bearer realm="x', [{ scheme: "bearer", parameters: {} }]],
  ["a parameter without a scheme", 'realm="x"', []],
])("parseChallenges() reads %s", (_name, header, expected) => {
  const plain = parseChallenges(header).map(({ scheme, parameters }) => ({ scheme, parameters: { ...parameters } }));
  expect(plain as unknown).toEqual(expected);
});

test("parseChallenges() takes no time for a header made to take long", () => {
  const before = process.cpuUsage();
  parseChallenges(`Bearer realm="${"\\".repeat(100_000)}`);
  parseChallenges(`Bearer ${"a ".repeat(100_000)}`);
  parseChallenges(" ,".repeat(100_000));
  expect(process.cpuUsage(before).user / 1000).toBeLessThan(500); // whatever else the machine does meanwhile
});
