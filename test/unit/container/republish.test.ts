/** What a change of published ports makes of a container's configuration. */

import { describe, expect, test } from "bun:test";
import { type PublishChange, publishing } from "../../../src/container/republish.ts";
import { parsePort, toBinding } from "../../../src/network/ports.ts";
import { requested } from "../../support/plans.ts";

const binding = (address: string, hostPort: string, port: string) => toBinding(parsePort(port), address, hostPort);
const change = (some: Partial<PublishChange>): PublishChange => ({ add: [], remove: [], ...some });

/** A container that publishes 80 at 8080, and 81 at a port that the host chose. */
const container = (HostConfig: object = {}) => {
  const PortBindings = { "80/tcp": [{ HostPort: "8080" }], "81/tcp": [{}] };
  const { host, config } = requested({ HostConfig: { PortBindings, ...HostConfig } });
  const ports = [
    { port: parsePort("80"), hostAddress: "0.0.0.0", hostPort: 8080 },
    { port: parsePort("81"), hostAddress: "0.0.0.0", hostPort: 32_768 },
  ];
  return { id: "box", host, config, publication: { ports, keeper: undefined } };
};
const described = (some: Partial<PublishChange>) =>
  publishing(container(), change(some)).portBindings.map(({ port, low }) => `${low}:${port.number}`);

describe("publishing()", () => {
  test("adds, and removes by the port of the host, by the one that it chose, or by the container's", () => {
    expect(described({ add: [binding("", "9", "90")] })).toEqual(["8080:80", "0:81", "9:90"]);
    expect(described({ remove: [binding("", "8080", "80")] })).toEqual(["0:81"]);
    expect(described({ remove: [binding("", "32768", "81")] })).toEqual(["8080:80"]);
    expect(described({ remove: [binding("", "", "81")] })).toEqual(["8080:80"]);
  });

  test.each<[Partial<PublishChange>, string]>([
    [{ remove: [binding("", "9", "80")] }, "does not publish 9:80/tcp"],
    [{ remove: [binding("127.0.0.1", "8080", "80")] }, "does not publish 127.0.0.1:8080:80/tcp"],
    [{ add: [binding("", "8080", "80")] }, "publishes 8080:80/tcp already"],
  ])("publishing(%p) throws %p", (some, words) => {
    expect(() => publishing(container(), change(some))).toThrow(words);
  });

  test("is refused without a network of its own, and does nothing when nothing is asked", () => {
    const bare = container({ NetworkMode: "host" });
    expect(() => publishing(bare, change({ add: [binding("", "", "80")] }))).toThrow("has no network of its own");
    expect(publishing(bare, change({}))).toBe(bare.host);
  });
});
