/** Networks: `none`, `host` and the default bridge, from inside and from the host. */

import { expect, test } from "bun:test";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { e2e } from "../support/e2e.ts";

const MAC = /^02:42:(..):(..):(..):(..)$/;

e2e("networks", (engine) => {
  const { docker, ok, inspect } = engine;
  const run = (script: string, ...flags: readonly string[]) =>
    ok("run", "--rm", ...flags, "busybox", "sh", "-c", script);

  /** The address of the host's end, which is there also while no container is. */
  const ofBridge = () => {
    const { stdout } = Bun.spawnSync(["ip", "-4", "-o", "addr", "show", "dev", engine.daemon.bridge], {
      env: engine.daemon.env,
    });
    const [, cidr = "", address = ""] = /inet ((\S+)\/\d+) /.exec(stdout.toString()) ?? [];
    return { cidr, address };
  };

  test("none has only a loopback, which is up", async () => {
    expect(
      await run("ls /sys/class/net; ping -c 1 -w 10 127.0.0.1 | grep -c ' 0% packet loss'", "--network", "none"),
    ).toBe("lo\n1");
    expect(await run("cat /proc/net/route | wc -l", "--network", "none")).toBe("1"); // the heading
  });

  test("host is the host's network, with its name and its files", async () => {
    const id = await ok("run", "-d", "--network", "host", "busybox", "sleep", "100");
    const pid = await inspect(id, "{{.State.Pid}}");
    expect(readlinkSync(`/proc/${pid}/ns/net`)).toBe(readlinkSync("/proc/self/ns/net"));
    expect(await ok("exec", id, "hostname")).toBe((await Bun.$`hostname`.text()).trim());
    expect(await ok("exec", id, "cat", "/etc/resolv.conf")).toBe(readFileSync("/etc/resolv.conf", "utf8").trimEnd());
    expect(await ok("exec", id, "cat", "/etc/hosts")).toContain(readFileSync("/etc/hosts", "utf8").trimEnd());
  });

  test("bridge makes the bridge when the first container needs it, with an address and forwarding", async () => {
    await run("true");
    expect(ofBridge().cidr).toMatch(/^172\.\d+\.0\.1\/16$|^192\.168\.\d+\.1\/20$/);
    expect(readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8")).toBe("1\n");
    const rules = await Bun.$`nft list table inet bosun-${engine.daemon.bridge}`.env(engine.daemon.env).text();
    expect(rules).toContain(`elements = { "${engine.daemon.bridge}" }`);
    expect(rules).toContain("oifname != @bridges ip saddr @masqueraded4 masquerade");
  });

  test("bridge gives eth0 an address, a MAC derived from it, and a route through the bridge", async () => {
    const id = await ok("run", "-d", "busybox", "sleep", "100");
    const settings = JSON.parse(await inspect(id, "{{json .NetworkSettings}}"));
    const { IPAddress, IPPrefixLen, Gateway, MacAddress } = settings.Networks.bridge;
    expect(Gateway).toBe(ofBridge().address);
    expect(settings).toMatchObject({ IPAddress, IPPrefixLen, Gateway, MacAddress });
    const bytes = MAC.exec(MacAddress)
      ?.slice(1)
      .map((hex) => Number.parseInt(hex, 16));
    expect(bytes?.join(".")).toBe(IPAddress);
    const shown = await ok("exec", id, "sh", "-c", "ip -4 addr show eth0; ip link show eth0; ip route");
    expect(shown).toContain(`inet ${IPAddress}/${IPPrefixLen} `);
    expect(shown).toContain(`link/ether ${MacAddress}`);
    expect(shown).toContain(`default via ${Gateway} dev eth0`);
    expect(shown).toContain("mtu 1500");
    expect(await ok("exec", id, "sh", "-c", `ping -c 1 -w 10 ${Gateway} | grep -c ' 0% packet loss'`)).toBe("1");
    expect(existsSync(`/sys/class/net/${engine.daemon.bridge}/brif`)).toBe(true);
  });

  test("containers of the bridge reach each other and the host", async () => {
    const server = await ok("run", "-d", "busybox", "sh", "-c", "while :; do echo served | nc -l -p 8000; done");
    const address = await inspect(server, "{{.NetworkSettings.IPAddress}}");
    expect(await run(`until nc ${address} 8000 2>/dev/null | grep served; do :; done`)).toBe("served");
    using listener = Bun.listen({
      hostname: ofBridge().address,
      port: 0,
      socket: { open: (socket) => void socket.end("of the host\n"), data() {} },
    });
    expect(await run(`nc ${listener.hostname} ${listener.port}`)).toBe("of the host");
  });

  test("/etc/hosts has the container's own address and name", async () => {
    const line = await run(
      "grep \"$(hostname)\" /etc/hosts; ip -4 -o addr show eth0 | awk '{ print $4 }'",
      "-h",
      "ship",
      "--domainname",
      "sea.example",
    );
    const [hosts = "", address = ""] = line.split("\n");
    expect(hosts).toBe(`${address.split("/")[0]}\tship.sea.example ship`);
  });

  test("/etc/resolv.conf has the servers of the host that a container can reach", async () => {
    const servers = (await run("awk '/^nameserver/ { print $2 }' /etc/resolv.conf"))
      .split("\n")
      .filter((line) => line !== "");
    const ofHost = readFileSync("/etc/resolv.conf", "utf8").matchAll(/^nameserver\s+(\S+)/gm);
    const reachable = [...ofHost].map(([, server = ""]) => server).filter((server) => !/^127\.|^::1$/.test(server));
    if (reachable.length > 0) expect(servers).toEqual(reachable);
    else for (const server of servers) expect(server).not.toMatch(/^127\./);
  });

  test("addresses are free again when containers have ended", async () => {
    const address = () => run("ip -4 -o addr show eth0 | awk '{ print $4 }'");
    const first = await address();
    expect(await address()).toBe(first);
    const taken = await ok("run", "-d", "busybox", "sleep", "100");
    expect(await address()).not.toBe(`${await inspect(taken, "{{.NetworkSettings.IPAddress}}")}/16`);
  });

  test("inspect shows no address once the container has ended", async () => {
    const id = await ok("run", "-d", "busybox", "true");
    await ok("wait", id);
    expect(await inspect(id, "{{.NetworkSettings.IPAddress}}|{{.NetworkSettings.Networks.bridge.IPAddress}}")).toBe(
      "|",
    );
  });

  test("network ls and inspect show what is predefined, and who is in it", async () => {
    const names = (await ok("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}")).split("\n");
    expect(names.toSorted()).toEqual(["bridge bridge local", "host host local", "none null local"]);
    const id = await ok("run", "-d", "--name", "member", "busybox", "sleep", "100");
    const [network] = JSON.parse(await ok("network", "inspect", "bridge"));
    expect(network.IPAM.Config[0].Gateway).toBe(ofBridge().address);
    expect(network.Options["com.docker.network.bridge.name"]).toBe(engine.daemon.bridge);
    expect(network.Containers[id]).toMatchObject({ Name: "member", IPv4Address: expect.stringMatching(/\/16$|\/20$/) });
  });

  test("a bridge that was removed by hand is made again", async () => {
    await engine.clear();
    await run("true");
    await Bun.$`ip link delete ${engine.daemon.bridge}`.env(engine.daemon.env).quiet().nothrow();
    expect(await run("ls /sys/class/net")).toBe("eth0\nlo");
  });

  test.each([
    [["run", "--rm", "--network", "mine", "busybox", "true"], "network mine not found", 125],
    [["run", "--rm", "--network", "container:x", "busybox", "true"], "No such container: x", 125],
    [["network", "create", "host"], "operation is not permitted on predefined host network", 1],
    [["network", "rm", "bridge"], "bridge is a pre-defined network and cannot be removed", 1],
    [["network", "inspect", "mine"], "network mine not found", 1],
  ])("%p is refused in words", async (args, words, code) => {
    const result = await docker(...args);
    expect(result.stderr).toContain(words);
    expect(result.code).toBe(code);
  });
});
