/** Containers that are hosts of their own on a wire; and options of single interfaces. */

import { afterEach, expect, test } from "bun:test";
import { e2e } from "../support/e2e.ts";
import { FAR, Hosts, NEAR } from "../support/hosts.ts";

const SERVER = "while :; do echo served | nc -l -p 80; done";
const SUBNETS = ["--subnet", "192.0.2.0/24", "--gateway", FAR.v4, "--ipv6", "--subnet", "2001:db8::/64"];
const hosts = new Hosts();

e2e(
  "macvlan",
  (engine) => {
    const { docker, ok } = engine;
    const serve = (...flags: readonly string[]) => ok("run", "-d", ...flags, "busybox", "sh", "-c", SERVER);
    const create = (name: string, ...flags: readonly string[]) =>
      ok("network", "create", "-d", "macvlan", ...flags, name);
    const links = () => hosts.sh(hosts.near, "ip -o link");

    afterEach(async () => {
      await engine.clear();
      await ok("network", "prune", "-f");
    });

    test("a container is on the parent's wire over both families, and not within reach of its own host", async () => {
      await create("wire", "-o", `parent=${hosts.wire}`, ...SUBNETS);
      const id = await serve("--network", "wire", "--ip", "192.0.2.10", "--ip6", "2001:db8::10", "-p", "8080:80");
      for (const address of ["192.0.2.10", "2001:db8::10"])
        expect(await hosts.ask(hosts.far, address, 80)).toBe("served");
      expect(await hosts.once(hosts.near, "192.0.2.10", 80)).toBe("");
      expect(await ok("exec", id, "ip", "route")).toContain(`default via ${FAR.v4} dev eth0`);
      expect(await ok("port", id)).toBe(""); // the host leads nothing there
      await engine.daemon.restart("SIGKILL");
      expect(await hosts.ask(hosts.far, "192.0.2.10", 80)).toBe("served");
      await ok("network", "connect", "bridge", id);
      await ok("network", "disconnect", "wire", id);
      expect(await hosts.once(hosts.far, "192.0.2.10", 80)).toBe("");
      expect(NEAR.v4).not.toBe("192.0.2.10");
    });

    test("without a parent containers reach each other and nobody else; what was made for that goes again", async () => {
      const before = await links();
      const id = await create("alone");
      expect(await links()).toContain(`dm-${id.slice(0, 12)}`);
      const server = await serve("--network", "alone");
      const address = await engine.inspect(server, "{{.NetworkSettings.Networks.alone.IPAddress}}");
      const ask = ["sh", "-c", `until echo | nc ${address} 80; do :; done`];
      expect(await ok("run", "--rm", "--network", "alone", "busybox", ...ask)).toBe("served");
      await engine.clear();
      await ok("network", "rm", "alone");
      expect((await links()).split("\n").length).toBe(before.split("\n").length);
    });

    test("private ones do not reach each other", async () => {
      await create("apart", "-o", `parent=${hosts.wire}`, "-o", "macvlan_mode=private", ...SUBNETS);
      for (const at of [10, 11]) await serve("--name", `box${at}`, "--network", "apart", "--ip", `192.0.2.${at}`);
      for (const at of [10, 11]) expect(await hosts.ask(hosts.far, `192.0.2.${at}`, 80)).toBe("served");
      expect((await docker("exec", "box10", "ping", "-c", "1", "-W", "1", "192.0.2.11")).code).toBe(1);
    });

    test("ipvlan: containers have the parent's MAC, and reach whom the parent does; a kernel without it says so", async () => {
      const flags = ["-o", `parent=${hosts.wire}`, "--subnet", "192.0.2.0/24", "--gateway", FAR.v4];
      const { code, stderr } = await docker("network", "create", "-d", "ipvlan", ...flags, "shared");
      const isKnown = (await hosts.sh(hosts.near, "ip link add type ipvlan")).includes("Invalid argument");
      if (!isKnown) {
        expect(stderr).toContain("this kernel has no ipvlan (CONFIG_IPVLAN)");
        expect(await ok("network", "ls", "-q", "-f", "name=shared")).toBe("");
        return;
      }
      expect([code, stderr]).toEqual([0, ""]);
      // an address that nobody had before: the far host would go on with that one's MAC for a while
      const id = await serve("--network", "shared", "--ip", "192.0.2.12");
      expect(await hosts.ask(hosts.far, "192.0.2.12", 80)).toBe("served");
      const mac = /link\/ether (\S+)/.exec(await hosts.sh(hosts.near, `ip link show ${hosts.wire}`))?.[1] ?? "none";
      expect(await ok("exec", id, "cat", "/sys/class/net/eth0/address")).toBe(mac);
    });

    test.each([
      [["-d", "macvlan", "-o", "macvlan_mode=odd"], /requested macvlan mode 'odd' is not valid/],
      [["-d", "macvlan", "-o", "parent=nowhere"], /invalid subinterface vlan name nowhere/],
      [["-d", "macvlan", "-o", "parent=nowhere.7"], /failed to find the parent interface nowhere/],
      [["-d", "macvlan", "-o", "parent=lo"], /loopback/],
      [["-d", "macvlan", "-o", "unheard=1"], /unknown option of the driver macvlan: unheard/],
      [["-d", "macvlan", "-o", "parent=lo.1.2.3.4.5.6.7"], /invalid name of a network interface/],
    ])("network create %p is refused", async (flags, words) => {
      const { code, stderr } = await docker("network", "create", ...flags, "bad");
      expect(stderr).toMatch(words);
      expect(code).toBe(1);
    });

    test("an interface's own switches are set, and unknown options refused", async () => {
      await ok("network", "create", "mine");
      const option = (text: string) => ["--network", `name=mine,driver-opt=${text}`];
      const sysctl = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1";
      const named = "com.docker.network.endpoint.ifname=front0";
      const script = "cat /proc/sys/net/ipv4/conf/front0/log_martians";
      expect(await ok("run", "--rm", ...option(`${sysctl},driver-opt=${named}`), "busybox", "sh", "-c", script)).toBe(
        "1",
      );
      for (const [text, words] of [
        ["com.docker.network.endpoint.sysctls=kernel.panic=1", "invalid endpoint sysctl"],
        ["com.docker.network.endpoint.unheard=1", "unknown option of an endpoint"],
      ] as const)
        expect((await docker("run", "--rm", ...option(text), "busybox", "true")).stderr).toContain(words);
    });
  },
  [],
  hosts,
);
