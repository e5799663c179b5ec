/** The bridge driver over a kernel that is made up; the real one is asked end to end. */

import { describe, expect, test } from "bun:test";
import { silent } from "../../../src/base/logger.ts";
import { BridgeDriver, type BridgeOptions, vethOf } from "../../../src/network/driver-bridge.ts";
import { Netlink } from "../../../src/network/netlink.ts";
import { FakeKernel } from "../../fake/netlink.ts";

const OPTIONS: BridgeOptions = {
  name: "br0",
  address: "10.9.0.1/24",
  fixedCidr: undefined,
  mtu: 1400,
  masquerade: false,
  firewall: false,
  forward: false,
};

const setUp = (change: Partial<BridgeOptions> = {}, kernel = new FakeKernel()) => ({
  kernel,
  driver: new BridgeDriver("net", { ...OPTIONS, ...change }, new Netlink(kernel.exchange), silent),
});

describe("BridgeDriver.ensure()", () => {
  test("ensure() makes the bridge with the address, the MAC of the address and the MTU that are asked for", async () => {
    const { kernel, driver } = setUp();
    await driver.ensure();
    expect(kernel.get("br0")).toEqual({
      index: 1,
      kind: "bridge",
      mtu: 1400,
      mac: "02:42:0a:09:00:01",
      up: true,
      master: undefined,
      addresses: ["10.9.0.1/24 10.9.0.255"],
      gateway: undefined,
    });
    await driver.ensure(); // twice is no error
    expect(kernel.get("br0")?.addresses.length).toBe(1);
  });

  test("ensure() keeps the address of a bridge that is there", async () => {
    const { kernel, driver } = setUp();
    kernel.add("br0", { kind: "bridge", addresses: ["10.77.0.1/16 10.77.255.255"] });
    await driver.ensure();
    expect(kernel.get("br0")).toMatchObject({ up: true, addresses: ["10.77.0.1/16 10.77.255.255"] });
    expect(driver.info()).toMatchObject({ subnet: "10.77.0.0/16", gateway: "10.77.0.1" });
  });

  test("ensure() gives an address to a bridge that a dying daemon left without", async () => {
    const { kernel, driver } = setUp();
    kernel.add("br0", { kind: "bridge" });
    await driver.ensure();
    expect(kernel.get("br0")).toMatchObject({ up: true, addresses: ["10.9.0.1/24 10.9.0.255"] });
  });

  test("ensure() makes a bridge again that was removed by hand, and its containers its ports", async () => {
    const { kernel, driver } = setUp();
    await driver.ensure();
    const endpoint = driver.reserve();
    await driver.connect(endpoint, 42);
    kernel.interfaces.delete("0/br0");
    await driver.ensure();
    expect(kernel.get("br0")).toMatchObject({ up: true, addresses: ["10.9.0.1/24 10.9.0.255"] });
    expect(kernel.get(vethOf(endpoint))?.master).toBe("br0");
  });
});

describe("BridgeDriver endpoints", () => {
  test("reserve() gives every endpoint an address of its own, beginning after the bridge's", () => {
    const { driver } = setUp();
    const [one, two] = [driver.reserve(), driver.reserve()];
    expect([one.address, two.address]).toEqual(["10.9.0.2", "10.9.0.3"]);
    expect(one).toMatchObject({ networkId: "net", prefix: 24, gateway: "10.9.0.1", macAddress: "02:42:0a:09:00:02" });
    expect(one.id).not.toBe(two.id);
  });

  test("release() frees the address, also twice", async () => {
    const { driver } = setUp();
    const one = driver.reserve();
    driver.reserve();
    await driver.release(one);
    await driver.release(one);
    expect(driver.reserve().address).toBe("10.9.0.2");
  });

  test("adopt() keeps an address taken that an earlier daemon gave", () => {
    const first = setUp();
    const endpoint = first.driver.reserve();
    const next = setUp({}, first.kernel);
    next.driver.adopt(endpoint);
    expect(next.driver.reserve().address).toBe("10.9.0.3");
  });

  test("adopt() before the bridge is there makes it as the running containers know it", async () => {
    const { kernel, driver } = setUp({ address: undefined });
    driver.adopt({
      id: "e",
      networkId: "net",
      address: "10.123.0.7",
      prefix: 24,
      gateway: "10.123.0.1",
      macAddress: "",
    });
    await driver.ensure();
    expect(kernel.get("br0")?.addresses).toEqual(["10.123.0.1/24 10.123.0.255"]);
  });

  test("reserve() takes addresses from --fixed-cidr only, and throws when they are used up", () => {
    const { driver } = setUp({ fixedCidr: "10.9.0.8/30" });
    const given = Array.from({ length: 4 }, () => driver.reserve().address);
    expect(given).toEqual(["10.9.0.8", "10.9.0.9", "10.9.0.10", "10.9.0.11"]);
    expect(() => driver.reserve()).toThrow("10.9.0.8/30 is full");
  });

  test("info() refuses a --fixed-cidr outside of the subnet", () => {
    expect(() => setUp({ fixedCidr: "10.8.0.0/24" }).driver.info()).toThrow(
      "--fixed-cidr 10.8.0.0/24 is not inside the subnet of br0, 10.9.0.0/24",
    );
    expect(() => setUp({ fixedCidr: "10.9.0.0/16" }).driver.info()).toThrow("is not inside");
  });

  test("connect() makes a pair: one end a port of the bridge, the other eth0 of the container, addressed, up and routed", async () => {
    const { kernel, driver } = setUp();
    await driver.ensure();
    const endpoint = driver.reserve();
    await driver.connect(endpoint, 42);
    expect(kernel.get(vethOf(endpoint))).toMatchObject({ kind: "veth", up: true, master: "br0", mtu: 1400 });
    expect(kernel.get("eth0", 42)).toMatchObject({
      kind: "veth",
      up: true,
      mtu: 1400,
      mac: endpoint.macAddress,
      addresses: ["10.9.0.2/24 10.9.0.255"],
      gateway: "10.9.0.1",
    });
    expect(kernel.get("eth0")).toBeUndefined();
    expect(vethOf(endpoint).length).toBeLessThanOrEqual(15); // IFNAMSIZ
  });

  test("connect() says what failed when the kernel refuses", async () => {
    const { driver } = setUp();
    await driver.ensure();
    const endpoint = driver.reserve();
    await driver.connect(endpoint, 42);
    expect(driver.connect(endpoint, 42)).rejects.toThrow(`Cannot create ${vethOf(endpoint)} on br0: EEXIST`);
  });
});

describe("Netlink", () => {
  test("index() is undefined for an interface that is missing, and remove() is idempotent", () => {
    const kernel = new FakeKernel();
    const netlink = new Netlink(kernel.exchange);
    expect(netlink.index("gone")).toBeUndefined();
    netlink.remove("gone");
    const { index } = kernel.add("here", { kind: "dummy" });
    expect(netlink.index("here")).toBe(index);
    netlink.remove("here");
    expect(netlink.index("here")).toBeUndefined();
    expect(() => netlink.up("gone")).toThrow("Cannot find network interface gone");
  });

  test("addresses() are those of the one interface", () => {
    const kernel = new FakeKernel();
    kernel.add("one", { kind: "dummy", addresses: ["10.0.0.1/8", "200.1.2.3/30"] });
    kernel.add("other", { kind: "dummy", addresses: ["10.1.0.1/8"] });
    const netlink = new Netlink(kernel.exchange);
    expect(netlink.addresses("one")).toEqual([
      { address: 0x0a000001, prefix: 8 },
      { address: 0xc8010203, prefix: 30 },
    ]);
    expect(netlink.addresses("gone")).toEqual([]);
  });

  test("an answer that is cut off in the middle is not read past its end", () => {
    const kernel = new FakeKernel();
    kernel.add("one", { kind: "dummy", addresses: ["10.0.0.1/8"] });
    const netlink = new Netlink((request, pid) => {
      const answer = kernel.exchange(request, pid);
      return answer.subarray(0, answer.length - 3);
    });
    expect(netlink.addresses("one").length).toBeLessThanOrEqual(1);
  });
});
