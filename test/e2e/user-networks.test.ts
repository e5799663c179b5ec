/** Networks of users' own: addresses, several to a container, who reaches whom, and what is left of them. */

import { afterEach, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { e2e } from "../support/e2e.ts";

const ANSWER = "while :; do echo served | nc -l -p 80; done";
e2e("networks of users' own", (engine) => {
  const { docker, ok, inspect } = engine;
  const create = (name: string, ...flags: readonly string[]) => ok("network", "create", ...flags, name);
  const serve = (name: string, ...flags: readonly string[]) =>
    ok("run", "-d", "--name", name, ...flags, "busybox", "sh", "-c", ANSWER);
  const idle = (name: string, ...flags: readonly string[]) =>
    ok("run", "-d", "--name", name, ...flags, "busybox", "sleep", "1000");
  const addressOf = (container: string, network: string) =>
    inspect(container, `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`);
  /** @param seconds  to wait for the answer, where there is to be one */
  const reaches = async (container: string, address: string, seconds = "10"): Promise<boolean> =>
    (await docker("exec", container, "ping", "-c", "1", "-W", seconds, address)).code === 0;
  const isCutOff = async (container: string, address: string): Promise<boolean> =>
    !(await reaches(container, address, "1"));

  /** Of a server that may not listen yet, to the host. */
  async function answerOf(hostname: string): Promise<string> {
    for (;;) {
      const { promise, resolve } = Promise.withResolvers<string>();
      let answer = "";
      const data = (_: unknown, bytes: Buffer) => {
        answer += bytes.toString();
      };
      const socket = { data, close: () => resolve(answer), error: () => resolve("") };
      await Bun.connect({ hostname, port: 80, socket }).catch(() => resolve(""));
      if ((await promise) !== "") return answer;
    }
  }

  afterEach(async () => {
    await engine.clear();
    await ok("network", "prune", "-f");
    expect(await ok("network", "ls", "-q", "--filter", "type=custom")).toBe("");
  });

  test("create makes a bridge at once, with what was asked for; rm takes it away", async () => {
    const id = await create(
      "mine",
      "--subnet",
      "10.241.0.0/24",
      "--gateway",
      "10.241.0.9",
      "--label",
      "a=b",
      "--opt",
      "com.docker.network.driver.mtu=1400",
    );
    const bridge = `br-${id.slice(0, 12)}`;
    expect(await Bun.$`ip -4 -o addr show ${bridge}`.text()).toContain("inet 10.241.0.9/24 ");
    expect(readFileSync(`/sys/class/net/${bridge}/mtu`, "utf8")).toBe("1400\n");
    const [network] = JSON.parse(await ok("network", "inspect", "mine"));
    expect(network).toMatchObject({
      ...{ Name: "mine", Id: id, Driver: "bridge", Scope: "local", Internal: false, Labels: { a: "b" } },
      IPAM: { Driver: "default", Config: [{ Subnet: "10.241.0.0/24", Gateway: "10.241.0.9" }] },
    });
    expect(await ok("network", "rm", "mine")).toBe("mine");
    expect(existsSync(`/sys/class/net/${bridge}`)).toBe(false);
    expect((await docker("network", "inspect", "mine")).code).toBe(1);
  });

  test("containers get the addresses that they ask for, or the next that is free", async () => {
    await create(
      "mine",
      "--subnet",
      "10.242.0.0/24",
      "--ip-range",
      "10.242.0.128/25",
      "--aux-address",
      "router=10.242.0.128",
    );
    await idle("one", "--network", "mine");
    await idle("two", "--network", "mine", "--ip", "10.242.0.7", "--mac-address", "02:00:00:00:00:07");
    expect(await addressOf("one", "mine")).toBe("10.242.0.130"); // after the gateway and what is somebody else's
    expect(await addressOf("two", "mine")).toBe("10.242.0.7");
    expect(await ok("exec", "two", "cat", "/sys/class/net/eth0/address")).toBe("02:00:00:00:00:07");
    const taken = await docker("run", "--network", "mine", "--ip", "10.242.0.7", "busybox", "true");
    expect(taken.stderr).toContain("Address already in use");
    const outside = await docker("run", "--network", "mine", "--ip", "10.1.1.1", "busybox", "true");
    expect(outside.stderr).toContain("no configured subnet or ip-range contain the IP address 10.1.1.1");
    const members = JSON.parse(await ok("network", "inspect", "mine", "-f", "{{json .Containers}}"));
    expect(
      Object.values<{ Name: string }>(members)
        .map(({ Name }) => Name)
        .toSorted(),
    ).toEqual(["one", "two"]);
  });

  test("both families are reached from container to container", async () => {
    await create("both", "--ipv6", "--subnet", "10.243.0.0/24", "--subnet", "fd43::/64");
    await idle("one", "--network", "both", "--ip6", "fd43::77");
    await idle("two", "--network", "both");
    for (const address of [await addressOf("one", "both"), "fd43::77"])
      expect(await ok("exec", "two", "ping", "-c", "1", "-w", "10", address)).toContain(" 0% packet loss");
    expect(await ok("exec", "two", "ip", "-6", "route")).toContain("default via fd43::1 dev eth0");
  });

  test("who reaches whom: the same network, others, closed ones, internal ones, the host", async () => {
    await create("a");
    await create("b");
    await create("shut", "--opt", "com.docker.network.bridge.enable_icc=false");
    await create("inner", "--internal");
    for (const network of ["a", "b", "shut", "inner"]) {
      await serve(`server-${network}`, "--network", network);
      await idle(`client-${network}`, "--network", network);
    }
    const networks = ["a", "b", "shut", "inner"] as const;
    const wanted = ["a a", "b b", "inner inner"];
    const reached = networks.flatMap((from) =>
      networks.map(async (to) => {
        const address = await addressOf(`server-${to}`, to);
        const seconds = wanted.includes(`${from} ${to}`) ? "10" : "1";
        return (await reaches(`client-${from}`, address, seconds)) ? [`${from} ${to}`] : [];
      }),
    );
    expect((await Promise.all(reached)).flat().toSorted()).toEqual(wanted);
    expect(await ok("exec", "client-inner", "ip", "route")).not.toContain("default");
    for (const network of networks)
      expect(await answerOf(await addressOf(`server-${network}`, network))).toBe("served\n");
  });

  test("a closed network stays closed when the daemon is killed and comes again", async () => {
    await create("shut", "--opt", "com.docker.network.bridge.enable_icc=false");
    await idle("one", "--network", "shut");
    await idle("two", "--network", "shut");
    const address = await addressOf("one", "shut");
    expect(await isCutOff("two", address)).toBe(true);
    await engine.daemon.restart("SIGKILL");
    expect(await isCutOff("two", address)).toBe(true);
    await ok("restart", "-t", "0", "two");
    expect(await isCutOff("two", address)).toBe(true);
  });

  test("connect and disconnect change a running container, and what it is when it starts again", async () => {
    await create("first", "--subnet", "10.244.0.0/24");
    await create("second", "--subnet", "10.245.0.0/24");
    await idle("box", "--network", "first");
    await ok("network", "connect", "--ip", "10.245.0.9", "--alias", "other", "second", "box");
    expect(await ok("exec", "box", "ip", "-4", "-o", "addr", "show", "eth1")).toContain("inet 10.245.0.9/24 ");
    expect(await ok("exec", "box", "cat", "/etc/hosts")).toContain("10.245.0.9\t");
    expect(await ok("exec", "box", "ip", "route")).toContain("default via 10.244.0.1 dev eth0");
    await ok("restart", "-t", "0", "box");
    expect(await addressOf("box", "second")).toBe("10.245.0.9");
    await ok("network", "disconnect", "first", "box");
    expect(await ok("exec", "box", "ip", "route")).toContain("default via 10.245.0.1 dev eth1");
    expect(await ok("exec", "box", "cat", "/etc/hosts")).not.toContain("10.244.0.");
    const again = await docker("network", "disconnect", "first", "box");
    expect(again.stderr).toContain("is not connected to network first");
    const twice = await docker("network", "connect", "second", "box");
    expect(twice.stderr).toContain("already exists in network second");
  });

  test("the gateway of the highest priority is the way out", async () => {
    await create("one", "--subnet", "10.246.0.0/24");
    await create("two", "--subnet", "10.247.0.0/24");
    await idle("box", "--network", "one", "--network", "name=two,gw-priority=1");
    expect(await ok("exec", "box", "ip", "route")).toContain("default via 10.247.0.1");
    expect(JSON.parse(await inspect("box", "{{json .NetworkSettings.Networks}}"))).toMatchObject({
      ...{ one: { Gateway: "10.246.0.1" }, two: { Gateway: "10.247.0.1", GwPriority: 1 } },
    });
  });

  test("a network that containers run in stays; one that stopped ones name is not pruned", async () => {
    await create("used");
    const id = await idle("box", "--network", "used");
    const { stderr } = await docker("network", "rm", "used");
    expect(stderr).toContain('network used has active endpoints (name:"box" id:"');
    await ok("stop", "-t", "0", id);
    expect(await ok("network", "prune", "-f")).toBe("");
    await ok("network", "rm", "used");
    const start = await docker("start", id);
    expect(start.stderr).toContain("network used not found");
  });

  test("another container's network is shared, with its files, while that runs", async () => {
    await create("mine");
    await serve("donor", "--network", "mine", "--hostname", "donor-host");
    const ask = "until echo | nc 127.0.0.1 80 | grep served; do :; done";
    expect(await ok("run", "--rm", "--network", "container:donor", "busybox", "sh", "-c", ask)).toBe("served");
    const shared = ["run", "--rm", "--network", "container:donor", "busybox"];
    expect(await ok(...shared, "sh", "-c", "hostname; grep -c donor-host /etc/hosts")).toBe("donor-host\n1");
    const conflict = await docker("run", "--rm", "--network", "container:donor", "-p", "80", "busybox", "true");
    expect(conflict.stderr).toContain("conflicting options: port publishing and the container type network mode");
    await ok("stop", "-t", "0", "donor");
    const gone = await docker(...shared, "true");
    expect(gone.stderr).toContain("cannot join network of a non running container");
  });

  test("a killed daemon finds networks, containers and rules again, and mends what was taken away", async () => {
    const id = await create("mine");
    await serve("server", "--network", "mine");
    await idle("client", "--network", "mine");
    await engine.daemon.stop("SIGKILL");
    const bridge = `br-${id.slice(0, 12)}`;
    await Bun.$`ip link del ${bridge}; nft delete table inet bosun-${engine.daemon.bridge}`
      .env(engine.daemon.env)
      .quiet();
    await engine.daemon.launch();
    expect(await reaches("client", await addressOf("server", "mine"))).toBe(true);
    expect(await Bun.$`nft list table inet bosun-${engine.daemon.bridge}`.env(engine.daemon.env).text()).toContain(
      bridge,
    );
    await idle("late", "--network", "mine");
    expect(await addressOf("late", "mine")).not.toBe(await addressOf("client", "mine"));
  });

  test.each([
    [["network", "create", "--subnet", "x", "bad"], /invalid/i],
    [
      ["network", "create", "--subnet", "10.248.0.0/24", "--ip-range", "10.1.1.0/25", "bad"],
      /invalid|no matching subnet/i,
    ],
    [["network", "create", "-d", "nothing", "bad"], /plugin "nothing" not found/],
    [["network", "create", "--opt", "com.docker.network.unheard=1", "bad"], /unknown option of a bridge network/],
    [["network", "create", "bridge"], /operation is not permitted on predefined bridge network/],
    [["network", "connect", "host", "none"], /No such container|host network/],
  ])("%p is refused, and leaves nothing", async (args, words) => {
    const { code, stderr } = await docker(...args);
    expect(stderr).toMatch(words);
    expect(code).toBe(1);
  });

  test("subnets do not overlap, and a name is there once", async () => {
    await create("one", "--subnet", "10.249.0.0/24");
    const overlap = await docker("network", "create", "--subnet", "10.249.0.128/25", "two");
    expect(overlap.stderr).toContain("Pool overlaps with other one on this address space");
    const twice = await docker("network", "create", "one");
    expect(twice.stderr).toContain("network with name one already exists");
  });

  test("a hundred networks come and go, and leave the host as it was", async () => {
    const note = `alias bosun-${engine.daemon.bridge}`; // others make interfaces of their own meanwhile
    const links = async () =>
      (await Bun.$`ip -d -o link`.text()).split("\n").filter((line) => line.includes(note)).length;
    const before = await links();
    const body = (at: number) => ({ Name: `many${at}`, IPAM: { Config: [{ Subnet: `10.250.${at}.0/24` }] } });
    for (let at = 0; at < 100; at++) expect((await engine.daemon.post("/networks/create", body(at))).status).toBe(201);
    for (let at = 0; at < 100; at++)
      expect((await engine.daemon.api(`/networks/many${at}`, { method: "DELETE" })).status).toBe(204);
    expect(await links()).toBe(before);
  });
});
