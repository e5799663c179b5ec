/** /networks and the network part of containers, over a kernel that is made up. */

import { describe, expect, test } from "bun:test";
import { House } from "../support/house.ts";

describe("POST /networks/create", () => {
  test("fills in what the request leaves open", async () => {
    await using house = await House.open();
    const { status, body } = await house.json("POST /networks/create", { Name: "mine" });
    expect(status).toBe(201);
    const { Id } = body as { Id: string };
    expect(Id).toMatch(/^[0-9a-f]{64}$/);
    expect(await house.json("GET /networks/mine")).toEqual({
      status: 200,
      body: {
        ...{ Name: "mine", Id, Created: expect.any(String), Scope: "local", Driver: "bridge" },
        ...{ EnableIPv4: true, EnableIPv6: false, Internal: false, Attachable: false, Ingress: false },
        IPAM: { Driver: "default", Options: null, Config: [{ Subnet: "172.18.0.0/16", Gateway: "172.18.0.1" }] },
        ...{ ConfigFrom: { Network: "" }, ConfigOnly: false, Containers: {}, Options: {}, Labels: {} },
      },
    });
    expect(house.kernel.get(`br-${Id.slice(0, 12)}`)).toMatchObject({
      up: true,
      addresses: ["172.18.0.1/16 172.18.255.255"],
    });
  });

  test("tells and keeps everything that is asked for", async () => {
    await using house = await House.open();
    const asked = {
      ...{ Name: "mine", EnableIPv6: true, Internal: true, Attachable: true, Labels: { a: "b" } },
      IPAM: {
        Options: { x: "y" },
        Config: [
          {
            Subnet: "10.1.0.0/16",
            IPRange: "10.1.2.0/24",
            Gateway: "10.1.0.254",
            AuxiliaryAddresses: { r: "10.1.0.5" },
          },
          { Subnet: "fd01::/64" },
        ],
      },
      Options: { "com.docker.network.bridge.name": "mybridge" },
    };
    await house.json("POST /networks/create", asked);
    const { body } = await house.json("GET /networks/mine");
    expect(body).toMatchObject({
      ...{ EnableIPv6: true, Internal: true, Attachable: true, Labels: { a: "b" }, Options: asked.Options },
      IPAM: { Options: { x: "y" }, Config: [asked.IPAM.Config[0] ?? {}, { Subnet: "fd01::/64", Gateway: "fd01::1" }] },
    });
  });

  test.each<[body: object, status: number, message: string]>([
    [{}, 400, "invalid name: name is empty"],
    [{ Name: "  " }, 400, "invalid name: name is empty"],
    [{ Name: "host" }, 403, "operation is not permitted on predefined host network"],
    [{ Name: "x", Driver: "overlay" }, 404, 'plugin \\"overlay\\" not found'],
    [{ Name: "x", Driver: "host" }, 403, "only one instance of"],
    [
      { Name: "x", IPAM: { Config: [{ Subnet: "10.0.0.0" }] } },
      400,
      "invalid subnet 10.0.0.0: invalid CIDR block notation",
    ],
    [{ Name: "x", IPAM: { Config: [{ Gateway: "10.0.0.1" }] } }, 400, "needs a Subnet"],
    [{ Name: "x", IPAM: { Config: [{ Subnet: "127.0.0.0/8" }] } }, 400, "it has loopback addresses"],
    [{ Name: "x", IPAM: { Config: [{ Subnet: "10.0.0.0/32" }] } }, 503, "failed to allocate gateway (10.0.0.1)"],
    [
      { Name: "x", IPAM: { Config: [{ Subnet: "10.0.0.0/24", Gateway: "10.0.0.255" }] } },
      503,
      "failed to allocate gateway (10.0.0.255): Address already in use",
    ],
    [{ Name: "x", IPAM: { Config: [{ Subnet: "fd00::zz/64" }] } }, 400, "invalid CIDR block notation"],
    [
      { Name: "x", EnableIPv4: false, EnableIPv6: true, IPAM: { Config: [{ Subnet: "10.3.0.5/16" }] } },
      400,
      "10.3.0.0/16",
    ],
    [{ Name: "x", IPAM: { Driver: "other" } }, 400, "invalid ipam driver: other"],
    [{ Name: "x", EnableIPv4: false }, 400, "IPv4 or IPv6 must be enabled"],
    [{ Name: "x", IPAM: { Config: [{ Subnet: "172.17.4.0/24" }] } }, 403, "Pool overlaps with other one"],
    [{ Name: "x", Options: { "com.docker.network.bridge.name": "br0" } }, 403, "networks have same bridge name"],
    [{ Name: "x", Options: { "com.docker.network.driver.mtu": "big" } }, 400, "failed to parse"],
    [{ Name: "x", Options: { "com.docker.network.bridge.gateway_mode_ipv4": "up" } }, 400, "unknown gateway mode up"],
    [
      { Name: "x", EnableIPv6: true, Options: { "com.docker.network.driver.mtu": "1000" } },
      400,
      "needs an MTU of at least 1280, not 1000",
    ],
    [{ Name: "x", ConfigOnly: true }, 400, "Swarm"],
  ])("%p is %p, and leaves nothing", async (body, status, message) => {
    await using house = await House.open();
    const answer = await house.json("POST /networks/create", body);
    expect(answer.status).toBe(status);
    expect(JSON.stringify(answer.body)).toContain(message);
    expect(house.networks.list().length).toBe(3);
    expect(house.kernel.interfaces.size).toBe(0);
  });

  test.each(["two words", "a/b", "a/connect", "-x", "a:b", "ü", "x".repeat(300)])(
    "%p is a name, whose network is found, joined, left and removed",
    async (name) => {
      await using house = await House.open();
      expect((await house.json("POST /networks/create", { Name: name })).status).toBe(201);
      const path = `/networks/${name.split("/").map(encodeURIComponent).join("/")}`; // a slash as it is: so the CLI has it
      expect((await house.json(`GET ${path}`)).body).toMatchObject({ Name: name });
      expect((await house.json(`GET /networks/${encodeURIComponent(name)}`)).body).toMatchObject({ Name: name });
      await house.json("POST /containers/create?name=box", { Image: "busybox" });
      expect((await house.json(`POST ${path}/connect`, { Container: "box" })).status).toBe(200);
      expect((await house.json(`POST ${path}/disconnect`, { Container: "box" })).status).toBe(200);
      expect((await house.json(`DELETE ${path}`)).status).toBe(204);
    },
  );

  test.each<[asked: object, active: object]>([
    [
      { Config: [{ Subnet: "2001:db8::1/64", Gateway: "10.0.0.1" }] },
      { Subnet: "172.18.0.0/16", Gateway: "172.18.0.1" },
    ],
    [
      { Config: [{ Subnet: "2001:db8::1/64", Gateway: "10.0.0.1" }, { Subnet: "10.9.0.0/16" }] },
      { Subnet: "10.9.0.0/16", Gateway: "10.9.0.1" },
    ],
  ])("subnets of IPv6 lie idle in a network without it: %p", async (IPAM, active) => {
    await using house = await House.open();
    await house.json("POST /networks/create", { Name: "mine", IPAM });
    const other = { Name: "other", IPAM: { Config: [{ Subnet: "2001:db8::/32" }] } }; // they are in nobody's way
    expect((await house.json("POST /networks/create", other)).status).toBe(201);
    expect((await house.json("GET /networks/mine")).body).toMatchObject({
      EnableIPv6: false,
      IPAM: { Config: [active, { Subnet: "2001:db8::1/64", Gateway: "10.0.0.1" }] },
    });
  });

  const ipvlan = (mode: string) => ({
    ...{ Name: "mine", Driver: "ipvlan", IPAM: { Config: [{ Subnet: "192.0.2.0/24" }] } },
    Options: { parent: "eth0", ipvlan_mode: mode },
  });

  test("a kernel without ipvlan says so in a sentence, and nothing is left", async () => {
    await using house = await House.open();
    house.kernel.add("eth0", { kind: "physical" });
    house.kernel.unknown.add("ipvlan");
    expect(await house.json("POST /networks/create", ipvlan("l2"))).toEqual({
      status: 503,
      body: { message: "this kernel has no ipvlan (CONFIG_IPVLAN)" },
    });
    expect(house.networks.list().length).toBe(3);
  });

  test("a container in an ipvlan of l3 has neither a gateway nor a MAC, and its interface leads out", async () => {
    await using house = await House.open();
    house.kernel.add("eth0", { kind: "physical" });
    await house.json("POST /networks/create", ipvlan("l3"));
    const { body } = await house.json("GET /networks/mine");
    expect(body).toMatchObject({ IPAM: { Config: [{ Subnet: "192.0.2.0/24" }] } });
    await house.json("POST /containers/create?name=box", {
      Image: "busybox",
      HostConfig: { NetworkMode: "mine" },
    });
    expect((await house.json("POST /containers/box/start")).status).toBe(204);
    const inside = [...house.kernel.interfaces].find(([key]) => key.endsWith("/eth0") && !key.startsWith("0/"));
    expect(inside?.[1]).toMatchObject({ kind: "ipvlan", parent: "eth0", mac: "", gateway: "link" });
    expect((await house.json("GET /containers/box/json")).body).toMatchObject({
      NetworkSettings: { Networks: { mine: { IPAddress: "192.0.2.1", Gateway: "", MacAddress: "" } } },
    });
    const EndpointConfig = { MacAddress: "02:42:c0:00:02:09" };
    await house.json("POST /containers/create?name=other", { Image: "busybox" });
    expect(await house.json("POST /networks/mine/connect", { Container: "other", EndpointConfig })).toEqual({
      status: 400,
      body: { message: "ipvlan interfaces do not support custom mac address assignment" },
    });
  });

  test("the same name twice, also at once, is one network", async () => {
    await using house = await House.open();
    const both = [1, 2].map(() => house.json("POST /networks/create", { Name: "mine" }));
    expect((await Promise.all(both)).map(({ status }) => status).toSorted()).toEqual([201, 409]);
  });
});

describe("GET /networks", () => {
  test.each<[filters: object, names: string[]]>([
    [{}, ["bridge", "host", "mine", "none"]],
    [{ type: ["custom"] }, ["mine"]],
    [{ type: ["builtin"] }, ["bridge", "host", "none"]],
    [{ dangling: ["true"] }, ["mine"]],
    [{ label: ["a=b"] }, ["mine"]],
    [{ label: ["a=c"] }, []],
    [{ driver: ["host", "null"] }, ["host", "none"]],
    [{ name: ["in"] }, ["mine"]],
    [{ scope: ["swarm"] }, []],
  ])("with the filters %p has %p", async (filters, names) => {
    await using house = await House.open();
    await house.json("POST /networks/create", { Name: "mine", Labels: { a: "b" } });
    const { body } = await house.json(`GET /networks?filters=${encodeURIComponent(JSON.stringify(filters))}`);
    const list: unknown = body;
    expect(Array.isArray(list) && list.map(({ Name }) => Name).toSorted()).toEqual(names);
  });
});

describe("containers in networks", () => {
  const made = async (house: House, body: object) => {
    const { body: answer } = await house.json("POST /containers/create?name=box", { Image: "busybox", ...body });
    await house.json("POST /containers/box/start");
    return answer as { Id: string };
  };

  test("a container with two networks has an interface in each, and events tell of both", async () => {
    await using house = await House.open();
    await house.json("POST /networks/create", { Name: "one" });
    await house.json("POST /networks/create", { Name: "two", IPAM: { Config: [{ Subnet: "10.2.0.0/24" }] } });
    const EndpointsConfig = { one: { Aliases: ["a"] }, two: { IPAMConfig: { IPv4Address: "10.2.0.9" } } };
    const { Id } = await made(house, { HostConfig: { NetworkMode: "one" }, NetworkingConfig: { EndpointsConfig } });
    const { body } = await house.json("GET /containers/box/json");
    expect(body).toMatchObject({
      NetworkSettings: {
        IPAddress: "", // is that of the default bridge
        Networks: {
          one: {
            IPAddress: "172.18.0.2",
            Gateway: "172.18.0.1",
            Aliases: ["a"],
            DNSNames: ["box", "a", Id.slice(0, 12)],
          },
          two: { IPAddress: "10.2.0.9", IPAMConfig: { IPv4Address: "10.2.0.9" } },
        },
      },
    });
    expect(house.held()).toMatchObject({ endpoints: 2 });
    await house.json("POST /containers/box/kill");
    await house.json("POST /containers/box/wait");
    expect(house.held()).toMatchObject({ endpoints: 0 });
  });

  test.each<[body: object, status: number, message: string]>([
    [{ HostConfig: { NetworkMode: "nowhere" } }, 404, "network nowhere not found"],
    [
      { NetworkingConfig: { EndpointsConfig: { bridge: { IPAMConfig: { IPv4Address: "172.17.0.9" } } } } },
      400,
      "user specified IP address is supported on user defined networks only",
    ],
    [
      { NetworkingConfig: { EndpointsConfig: { bridge: { Aliases: ["x"] } } } },
      400,
      "network-scoped alias is supported only for containers in user defined networks",
    ],
    [
      { NetworkingConfig: { EndpointsConfig: { bridge: { MacAddress: "01:00:5e:00:00:01" } } } },
      400,
      "invalid MAC address: 01:00:5e:00:00:01: no interface can have it",
    ],
  ])("a start of %p is %p, and holds nothing", async (body, status, message) => {
    await using house = await House.open();
    await house.json("POST /containers/create?name=box", { Image: "busybox", ...body });
    const answer = await house.json("POST /containers/box/start");
    expect({ status: answer.status, body: JSON.stringify(answer.body) }).toEqual({
      status,
      body: expect.stringContaining(message),
    });
    expect(house.held()).toEqual({ tasks: 0, cgroups: 0, endpoints: 0 });
  });

  test("connect and disconnect of one that does not run hold for its start", async () => {
    await using house = await House.open();
    await house.json("POST /networks/create", { Name: "one" });
    await house.json("POST /containers/create?name=box", { Image: "busybox" });
    expect((await house.json("POST /networks/one/connect", { Container: "box" })).status).toBe(200);
    expect((await house.json("POST /networks/bridge/disconnect", { Container: "box" })).status).toBe(200);
    const { body } = await house.json("GET /containers/box/json");
    expect(Object.keys((body as { NetworkSettings: { Networks: object } }).NetworkSettings.Networks)).toEqual(["one"]);
  });

  test.each<[line: string, body: object, status: number]>([
    ["POST /networks/one/connect", { Container: "nobody" }, 404],
    ["POST /networks/nowhere/connect", { Container: "box" }, 404],
    ["POST /networks/host/connect", { Container: "box" }, 400],
    ["POST /networks/bridge/connect", { Container: "box" }, 403],
    ["POST /networks/one/disconnect", { Container: "box" }, 403],
    ["POST /networks/one/connect", { Container: "box", EndpointConfig: { IPAMConfig: { IPv4Address: "x" } } }, 400],
  ])("%p %p is %p", async (line, body, status) => {
    await using house = await House.open();
    await house.json("POST /networks/create", { Name: "one" });
    await house.json("POST /containers/create?name=box", { Image: "busybox" });
    expect((await house.json(line, body)).status).toBe(status);
  });
});
