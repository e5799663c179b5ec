/** The bridge driver over a kernel that is made up; the real one is asked end to end. */

import { describe, expect, test } from "bun:test";
import { silent } from "../../../src/base/logger.ts";
import { BARE, type Endpoint, type Network } from "../../../src/network/driver.ts";
import { BridgeDriver, vethOf } from "../../../src/network/driver-bridge.ts";
import { Firewall } from "../../../src/network/firewall.ts";
import { Netlink } from "../../../src/network/netlink.ts";
import { FakeKernel } from "../../fake/netlink.ts";

const NETWORK: Network = {
  ...{ id: "0123456789abcdef", name: "n", created: "", driver: "bridge", enableIPv4: true, enableIPv6: false },
  ...{ internal: false, attachable: false, labels: {}, ipamOptions: {}, hasOwnSubnets: true },
  options: { "com.docker.network.bridge.name": "br0", "com.docker.network.driver.mtu": "1400" },
  pools: [{ subnet: "10.9.0.0/24", gateway: "10.9.0.1" }],
};
const BOTH: Network = {
  ...NETWORK,
  enableIPv6: true,
  pools: [...NETWORK.pools, { subnet: "fd00:9::/64", gateway: "fd00:9::1" }],
};
const ENDPOINT: Endpoint = {
  ...BARE,
  ...{ id: "fedcba9876543210", networkId: NETWORK.id, interface: "eth0", address: "10.9.0.2", prefix: 24 },
  ...{ gateway: "10.9.0.1", macAddress: "02:42:0a:09:00:02" },
};

const setUp = (kernel = new FakeKernel()) => ({
  kernel,
  driver: new BridgeDriver({
    ...{
      netlink: new Netlink(kernel.exchange),
      firewall: new Firewall({
        table: "none",
        enabled: false,
        respectsHost: false,
        only4: false,
        hairpin: false,
        stops: () => [],
        exchange: kernel.exchange,
      }),
      log: silent,
      forwarding: undefined,
      hairpin: false,
      owner: "test",
    },
  }),
});

describe("BridgeDriver and interfaces of others", () => {
  test("what is no bridge is refused, before anything is done to it", async () => {
    const { kernel, driver } = setUp();
    kernel.add("br0", { kind: "physical" });
    expect(() => driver.check(NETWORK, [])).toThrow("existing interface br0 is not a bridge");
    await expect(driver.ensure(NETWORK)).rejects.toThrow("existing interface br0 is not a bridge");
    expect(kernel.get("br0")).toMatchObject({ addresses: [], up: false });
  });

  test("somebody's bridge is used, and stays when the network goes", async () => {
    const { kernel, driver } = setUp();
    kernel.add("br0", { kind: "bridge" });
    driver.check(NETWORK, []);
    await driver.ensure(NETWORK);
    await driver.remove(NETWORK);
    expect(kernel.get("br0")).toMatchObject({ kind: "bridge" });
  });
});

describe("BridgeDriver.ensure()", () => {
  test("ensure() makes the bridge with the address, the MAC of the address and the MTU that are asked for", async () => {
    const { kernel, driver } = setUp();
    await driver.ensure(NETWORK);
    expect(kernel.get("br0")).toMatchObject({
      ...{ kind: "bridge", mtu: 1400, mac: "02:42:0a:09:00:01", up: true },
      addresses: ["10.9.0.1/24 10.9.0.255"],
    });
    await driver.ensure(NETWORK); // twice is no error
    expect(kernel.get("br0")?.addresses.length).toBe(1);
  });

  test("ensure() gives the bridge an address of each family", async () => {
    const { kernel, driver } = setUp();
    await driver.ensure(BOTH);
    expect(kernel.get("br0")?.addresses).toEqual(["10.9.0.1/24 10.9.0.255", "fd00:9::1/64"]);
  });

  test("ensure() gives an isolated network's bridge no address at all", async () => {
    const { kernel, driver } = setUp();
    const options = { ...NETWORK.options, "com.docker.network.bridge.gateway_mode_ipv4": "isolated" };
    await driver.ensure({ ...NETWORK, internal: true, options });
    expect(kernel.get("br0")).toMatchObject({ up: true, addresses: [] });
  });

  test("ensure() gives an address to a bridge that a dying daemon left without", async () => {
    const { kernel, driver } = setUp();
    kernel.add("br0", { kind: "bridge" });
    await driver.ensure(NETWORK);
    expect(kernel.get("br0")).toMatchObject({ up: true, addresses: ["10.9.0.1/24 10.9.0.255"] });
  });

  test("ensure() makes a bridge again that was removed by hand, and its containers its ports", async () => {
    const { kernel, driver } = setUp();
    await driver.ensure(NETWORK);
    await driver.connect(NETWORK, ENDPOINT, 42);
    kernel.interfaces.delete("0/br0");
    await driver.ensure(NETWORK);
    expect(kernel.get("br0")).toMatchObject({ up: true, addresses: ["10.9.0.1/24 10.9.0.255"] });
    expect(kernel.get(vethOf(ENDPOINT))?.master).toBe("br0");
  });
});

describe("BridgeDriver.mend()", () => {
  const member = { endpoint: ENDPOINT, pid: 42 };
  const connected = async () => {
    const made = setUp();
    await made.driver.ensure(NETWORK);
    await made.driver.connect(NETWORK, ENDPOINT, 42);
    return made;
  };

  test("mend() makes a pair again that is gone, and says whose it is", async () => {
    const { kernel, driver } = await connected();
    kernel.interfaces.delete(`0/${vethOf(ENDPOINT)}`);
    kernel.interfaces.delete("42/eth0");
    expect(await driver.mend(NETWORK, new Set([vethOf(ENDPOINT)]), [member])).toEqual([member]);
    expect(kernel.get("eth0", 42)?.addresses).toEqual(["10.9.0.2/24 10.9.0.255"]);
  });

  test("mend() leaves a member alone whose process has just ended", async () => {
    const { kernel, driver } = await connected();
    kernel.interfaces.delete(`0/${vethOf(ENDPOINT)}`);
    kernel.ended.add(42);
    expect(await driver.mend(NETWORK, new Set([vethOf(ENDPOINT)]), [member])).toEqual([]);
  });

  test("mend() does nothing where nothing is amiss: what is being made is down for a moment, too", async () => {
    const { driver } = await connected();
    expect(await driver.mend(NETWORK, new Set(["br0", vethOf(ENDPOINT)]), [member])).toBeUndefined();
  });

  test("mend() sets up what is down and joins what was parted", async () => {
    const { kernel, driver } = await connected();
    const [bridge, host] = [kernel.get("br0"), kernel.get(vethOf(ENDPOINT))];
    if (bridge) bridge.up = false;
    if (host) Object.assign(host, { up: false, master: undefined });
    expect(await driver.mend(NETWORK, new Set(["br0", vethOf(ENDPOINT)]), [member])).toEqual([]);
    expect([bridge?.up, host?.up, host?.master]).toEqual([true, true, "br0"]);
  });

  test("sweep() removes bridges with our note that no network has, and no others", async () => {
    const { kernel, driver } = await connected();
    kernel.add("br-old", { kind: "bridge", alias: "test" });
    kernel.add("br-theirs", { kind: "bridge" });
    driver.sweep([NETWORK]);
    expect(["br0", "br-old", "br-theirs"].map((name) => kernel.get(name) !== undefined)).toEqual([true, false, true]);
  });
});

describe("BridgeDriver's endpoints", () => {
  test("connect() makes a pair: a port of the bridge, and an interface in the container", async () => {
    const { kernel, driver } = setUp();
    await driver.ensure(NETWORK);
    await driver.connect(NETWORK, ENDPOINT, 42);
    expect(kernel.get(vethOf(ENDPOINT))).toMatchObject({ kind: "veth", up: true, master: "br0", mtu: 1400 });
    expect(kernel.get("eth0", 42)).toMatchObject({
      ...{ kind: "veth", up: true, mtu: 1400, mac: "02:42:0a:09:00:02", linkLocal: false },
      addresses: ["10.9.0.2/24 10.9.0.255"],
    });
  });

  test("connect() of both families leaves the kernel its link-local address", async () => {
    const { kernel, driver } = setUp();
    await driver.ensure(BOTH);
    await driver.connect(BOTH, { ...ENDPOINT, address6: "fd00:9::2", prefix6: 64, gateway6: "fd00:9::1" }, 42);
    expect(kernel.get("eth0", 42)).toMatchObject({
      ...{ linkLocal: true, addresses: ["10.9.0.2/24 10.9.0.255", "fd00:9::2/64"] },
    });
  });

  test("connect() that fails half-way leaves nothing on the host", async () => {
    const { kernel, driver } = setUp();
    await driver.ensure(NETWORK);
    kernel.add("eth0", { kind: "dummy" }, 42);
    kernel.interfaces.delete("42/eth0");
    await expect(driver.connect(NETWORK, { ...ENDPOINT, address: "10.9.0.999" }, 42)).rejects.toThrow();
    expect(kernel.get(vethOf(ENDPOINT))).toBeUndefined();
  });

  test("disconnect() takes the interface out of the container", async () => {
    const { kernel, driver } = setUp();
    await driver.ensure(NETWORK);
    await driver.connect(NETWORK, ENDPOINT, 42);
    await driver.disconnect(NETWORK, ENDPOINT, 42);
    await driver.disconnect(NETWORK, ENDPOINT, 42);
    expect(kernel.get("eth0", 42)).toBeUndefined();
  });

  test("remove() takes the bridge away, also twice", async () => {
    const { kernel, driver } = setUp();
    await driver.ensure(NETWORK);
    await driver.remove(NETWORK);
    await driver.remove(NETWORK);
    expect(kernel.get("br0")).toBeUndefined();
  });
});
