import { describe, expect, test } from "bun:test";
import { type Linked, linkedLines, linkVariables, parseLink } from "../../../src/container/links.ts";

describe("parseLink()", () => {
  test.each([
    ["db", { target: "db", alias: "db" }],
    ["db:base", { target: "db", alias: "base" }],
    ["/db:/web/base", { target: "db", alias: "base" }],
  ])("parseLink(%p)", (text, link) => {
    expect(parseLink(text)).toEqual(link);
  });

  test.each(["", ":", "db:", ":base", "a:b:c"])("parseLink(%p) throws", (text) => {
    expect(() => parseLink(text)).toThrow("bad format for links");
  });
});

const DB: Linked = {
  ...{ name: "db", parent: "web", alias: "my-base", hostname: "ship", addresses: ["172.17.0.2"] },
  env: ["PATH=/bin", "HOME=/", "COLOUR=red"],
  exposedPorts: ["81/tcp", "53/udp", "80/tcp", "9000"],
};

describe("linkVariables()", () => {
  test("linkVariables() tells of ports, of runs of them, and of the other's environment", () => {
    expect(linkVariables(DB)).toEqual([
      "MY_BASE_PORT=tcp://172.17.0.2:80",
      "MY_BASE_PORT_80_TCP_START=tcp://172.17.0.2:80",
      "MY_BASE_PORT_80_TCP_PORT_START=80",
      "MY_BASE_PORT_80_TCP_END=tcp://172.17.0.2:81",
      "MY_BASE_PORT_80_TCP_PORT_END=81",
      ...[80, 81, 9000].flatMap((port) => [
        `MY_BASE_PORT_${port}_TCP=tcp://172.17.0.2:${port}`,
        `MY_BASE_PORT_${port}_TCP_ADDR=172.17.0.2`,
        `MY_BASE_PORT_${port}_TCP_PORT=${port}`,
        `MY_BASE_PORT_${port}_TCP_PROTO=tcp`,
      ]),
      "MY_BASE_PORT_53_UDP=udp://172.17.0.2:53",
      "MY_BASE_PORT_53_UDP_ADDR=172.17.0.2",
      "MY_BASE_PORT_53_UDP_PORT=53",
      "MY_BASE_PORT_53_UDP_PROTO=udp",
      "MY_BASE_NAME=/web/my-base",
      "MY_BASE_ENV_COLOUR=red",
    ]);
  });

  test("linkVariables() says little of a container without ports", () => {
    expect(linkVariables({ ...DB, exposedPorts: [], env: [] })).toEqual(["MY_BASE_NAME=/web/my-base"]);
  });
});

test("linkedLines() has each name once", () => {
  expect(linkedLines({ ...DB, alias: "db", addresses: ["172.17.0.2", "fd00::2"] })).toEqual([
    { address: "172.17.0.2", names: ["db", "ship"] },
    { address: "fd00::2", names: ["db", "ship"] },
  ]);
});
