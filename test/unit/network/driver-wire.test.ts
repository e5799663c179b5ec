/** What the options of macvlan and ipvlan networks mean, and what their driver makes of a kernel that is made up; the real one is asked end to end. */

import { describe, expect, test } from "bun:test";
import { silent } from "../../../src/base/logger.ts";
import { parseAddress } from "../../../src/network/addresses.ts";
import { BARE, type Network } from "../../../src/network/driver.ts";
import { WireDriver } from "../../../src/network/driver-wire.ts";
import { Netlink } from "../../../src/network/netlink.ts";
import { IPVLAN, MACVLAN, wireSettings } from "../../../src/network/wire-options.ts";
import { FakeKernel } from "../../fake/netlink.ts";

const ID = "0123456789abcdef";
const network = (options: Readonly<Record<string, string>>, more: Partial<Network> = {}): Network => ({
  ...{ id: ID, name: "n", created: "", driver: "macvlan", enableIPv4: true, enableIPv6: false, options },
  ...{ internal: false, attachable: false, labels: {}, ipamOptions: {}, hasOwnSubnets: true, pools: [] },
  ...more,
});
const ipvlan = (options: Readonly<Record<string, string>>, more: Partial<Network> = {}) =>
  network(options, { driver: "ipvlan", ...more });

/** What the kernel gets for a container's interface. Source: linux/if_link.h: IFLA_MACVLAN_MODE 1; IFLA_IPVLAN_MODE 1, IFLA_IPVLAN_FLAGS 2. */
const PID = 4711;
const ENDPOINT = {
  ...BARE,
  ...{ id: "e", networkId: ID, interface: "eth0", address: "192.0.2.9", prefix: 24, macAddress: "" },
} as const;

const setUp = (kind = MACVLAN) => {
  const kernel = new FakeKernel();
  kernel.add("eth0", { kind: "physical" });
  return {
    kernel,
    driver: new WireDriver(kind, { netlink: new Netlink(kernel.exchange), log: silent, owner: "test" }),
  };
};

describe("wireSettings()", () => {
  test.each([
    [MACVLAN, {}, { parent: "dm-0123456789ab", mtu: 0, made: { name: "dm-0123456789ab", vlan: undefined } }],
    [IPVLAN, {}, { parent: "di-0123456789ab", alone: true, routed: false }],
    [MACVLAN, { parent: "eth0", macvlan_mode: "vepa" }, { parent: "eth0", alone: false, made: undefined }],
    [MACVLAN, { parent: "eth0", macvlan_mode: "passthru" }, { alone: true }],
    [IPVLAN, { parent: "eth0", ipvlan_mode: "l3" }, { parent: "eth0", routed: true }],
    [MACVLAN, { parent: "eth0.10" }, { made: { name: "eth0.10", vlan: { trunk: "eth0", id: 10 } } }],
    [MACVLAN, { parent: "eth0.4095" }, { made: undefined }],
  ])("wireSettings(%#)", (kind, options, settings) => {
    expect(wireSettings(kind, network(options))).toMatchObject(settings);
  });

  test.each([
    [
      MACVLAN,
      { macvlan_mode: "odd" },
      "requested macvlan mode 'odd' is not valid, 'bridge' is the macvlan driver default",
    ],
    [IPVLAN, { ipvlan_mode: "l4" }, "requested ipvlan mode 'l4' is not valid, 'l2' is the ipvlan driver default"],
    [IPVLAN, { ipvlan_flag: "odd" }, "requested ipvlan flag 'odd' is not valid, 'bridge' is the ipvlan driver default"],
    [IPVLAN, { macvlan_mode: "bridge" }, "unknown option of the driver ipvlan: macvlan_mode"],
    [IPVLAN, { parent: "lo" }, "loopback interface is not a valid ipvlan parent link"],
  ])("wireSettings(%#) is refused", (kind, options, words) => {
    expect(() => wireSettings(kind, network(options))).toThrow(words);
  });
});

describe("WireDriver", () => {
  test("ensure() makes a VLAN's interface that is missing, and remove() takes away what was made only", async () => {
    const { kernel, driver } = setUp();
    for (const parent of ["eth0.10", "eth0"]) await driver.ensure(network({ parent }));
    expect(kernel.get("eth0.10")).toMatchObject({ kind: "vlan", parent: "eth0", up: true, alias: "test macvlan" });
    for (const parent of ["eth0.10", "eth0"]) await driver.remove(network({ parent }), []);
    expect(kernel.get("eth0.10")).toBeUndefined();
    expect(kernel.get("eth0")).toMatchObject({ up: true });
  });

  test("remove() leaves a parent that another network is on", async () => {
    const { kernel, driver } = setUp();
    const [one, other] = [network({ parent: "eth0.10" }), network({ parent: "eth0.10" }, { id: "ff" })];
    await driver.ensure(one);
    await driver.remove(one, [one, other]);
    expect(kernel.get("eth0.10")).toBeDefined();
    await driver.remove(other, [other]);
    expect(kernel.get("eth0.10")).toBeUndefined();
  });

  test("sweep() takes away what was made for networks that are gone", async () => {
    const { kernel, driver } = setUp();
    for (const parent of ["eth0.10", "eth0.11"]) await driver.ensure(network({ parent }));
    driver.sweep([network({ parent: "eth0.11" })]);
    expect(["eth0", "eth0.10", "eth0.11"].map((name) => kernel.get(name) !== undefined)).toEqual([true, false, true]);
  });

  test.each([
    [MACVLAN, { parent: "eth0" }, { kind: "macvlan", data: { 1: 4 } }],
    [MACVLAN, { parent: "eth0", macvlan_mode: "private" }, { kind: "macvlan", data: { 1: 1 } }],
    [IPVLAN, { parent: "eth0" }, { kind: "ipvlan", data: { 1: 0, 2: 0 } }],
    [IPVLAN, { parent: "eth0", ipvlan_mode: "l3", ipvlan_flag: "private" }, { kind: "ipvlan", data: { 1: 1, 2: 1 } }],
    [IPVLAN, { parent: "eth0", ipvlan_mode: "l3s", ipvlan_flag: "vepa" }, { kind: "ipvlan", data: { 1: 2, 2: 2 } }],
    [IPVLAN, { parent: "eth0", "com.docker.network.driver.mtu": "1400" }, { mtu: 1400 }],
  ])("connect() puts an interface into the container: %#", async (kind, options, made) => {
    const { kernel, driver } = setUp(kind);
    await driver.connect(network(options), ENDPOINT, PID);
    const found = kernel.get("eth0", PID);
    expect(found).toMatchObject({
      parent: "eth0",
      mac: "",
      up: true,
      addresses: ["192.0.2.9/24 192.0.2.255"],
      ...made,
    });
    expect(kernel.interfaces.size).toBe(2);
  });

  test("connect() routes by the interface alone for a gateway that is none", async () => {
    const { kernel, driver } = setUp(IPVLAN);
    const gateways = ["0.0.0.0", "::"].map(parseAddress);
    await driver.connect(ipvlan({ parent: "eth0", ipvlan_mode: "l3" }), ENDPOINT, PID, gateways);
    expect(kernel.get("eth0", PID)).toMatchObject({ gateway: "link", gateway6: "link" });
  });

  test.each([
    [ipvlan({ parent: "eth0" }), "gateway"],
    [ipvlan({ parent: "eth0" }, { internal: true }), "nowhere"],
    [ipvlan({}), "nowhere"],
    [ipvlan({ parent: "eth0.5", ipvlan_mode: "l3" }), "interface"],
    [ipvlan({ parent: "eth0", ipvlan_mode: "l3s" }, { internal: true }), "nowhere"],
  ] as const)("leaves() tells how packets do: %#", (one, way) => {
    const { driver } = setUp(IPVLAN);
    expect(driver.leaves(one)).toBe(way);
    expect(driver.needsGateway(one)).toBe(way === "gateway");
  });

  test("check() refuses a kernel without the kind, and a parent that another network has", () => {
    const { kernel, driver } = setUp(IPVLAN);
    const [one, other] = [ipvlan({ parent: "eth0" }), ipvlan({ parent: "eth0" }, { id: "ff" })];
    driver.check(one, []);
    driver.check(one, [network({ parent: "eth0" }, { id: "ff" })]);
    expect(() => driver.check(one, [other])).toThrow("network ff is already using parent interface eth0");
    kernel.unknown.add("ipvlan");
    expect(() => driver.check(one, [])).toThrow("this kernel has no ipvlan (CONFIG_IPVLAN)");
    expect(kernel.interfaces.size).toBe(1);
  });

  test("check() lets networks of macvlans share a parent unless one passes it through", () => {
    const { driver } = setUp();
    const other = (options: Readonly<Record<string, string>>) => network({ parent: "eth0", ...options }, { id: "ff" });
    driver.check(network({ parent: "eth0" }), [other({ macvlan_mode: "private" })]);
    for (const [mine, theirs] of [
      ["bridge", "passthru"],
      ["passthru", "bridge"],
    ] as const)
      expect(() =>
        driver.check(network({ parent: "eth0", macvlan_mode: mine }), [other({ macvlan_mode: theirs })]),
      ).toThrow("already using parent interface eth0");
  });
});
