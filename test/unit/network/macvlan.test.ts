/** What a macvlan network's options mean, and what its driver makes of a kernel that is made up; the real one is asked end to end. */

import { describe, expect, test } from "bun:test";
import { silent } from "../../../src/base/logger.ts";
import { MacvlanDriver } from "../../../src/network/driver-macvlan.ts";
import { macvlanSettings } from "../../../src/network/macvlan-options.ts";
import { Netlink } from "../../../src/network/netlink.ts";
import { FakeKernel } from "../../fake/netlink.ts";

const network = (options: Readonly<Record<string, string>>) => ({
  ...{
    id: "0123456789abcdef",
    name: "n",
    created: "",
    driver: "macvlan",
    enableIPv4: true,
    enableIPv6: false,
    options,
  },
  ...{ internal: false, attachable: false, labels: {}, ipamOptions: {}, hasOwnSubnets: true, pools: [] },
});

describe("macvlanSettings()", () => {
  test.each([
    [{}, { parent: "dm-0123456789ab", mode: "bridge", mtu: 0, made: { name: "dm-0123456789ab", vlan: undefined } }],
    [
      { parent: "eth0", macvlan_mode: "vepa" },
      { parent: "eth0", mode: "vepa", made: undefined },
    ],
    [{ parent: "eth0.10" }, { made: { name: "eth0.10", vlan: { trunk: "eth0", id: 10 } } }],
    [{ parent: "eth0.4095" }, { made: undefined }],
  ])("macvlanSettings(%p)", (options, settings) => {
    expect(macvlanSettings(network(options))).toMatchObject(settings);
  });
});

describe("MacvlanDriver", () => {
  const setUp = () => {
    const kernel = new FakeKernel();
    kernel.add("eth0", { kind: "physical" });
    return { kernel, driver: new MacvlanDriver({ netlink: new Netlink(kernel.exchange), log: silent, owner: "test" }) };
  };

  test("ensure() makes a VLAN's interface that is missing, and remove() takes away what was made only", async () => {
    const { kernel, driver } = setUp();
    for (const parent of ["eth0.10", "eth0"]) await driver.ensure(network({ parent }));
    expect(kernel.get("eth0.10")).toMatchObject({ kind: "vlan", up: true, alias: "test macvlan" });
    for (const parent of ["eth0.10", "eth0"]) await driver.remove(network({ parent }));
    expect(kernel.get("eth0.10")).toBeUndefined();
    expect(kernel.get("eth0")).toMatchObject({ up: true });
  });

  test("sweep() takes away what was made for networks that are gone", async () => {
    const { kernel, driver } = setUp();
    for (const parent of ["eth0.10", "eth0.11"]) await driver.ensure(network({ parent }));
    driver.sweep([network({ parent: "eth0.11" })]);
    expect(["eth0", "eth0.10", "eth0.11"].map((name) => kernel.get(name) !== undefined)).toEqual([true, false, true]);
  });
});
