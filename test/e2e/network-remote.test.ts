/** What another host sees of containers, and what they see of it: real packets over a wire between two network namespaces. */

import { afterEach, expect, test } from "bun:test";
import { e2e } from "../support/e2e.ts";
import { FAR, Hosts, NEAR } from "../support/hosts.ts";

const SERVER = "while :; do echo served | nc -l -p 80; done";
const MODE = "com.docker.network.bridge.gateway_mode_ipv";
const hosts = new Hosts();

e2e(
  "containers and another host",
  (engine) => {
    const { ok, inspect } = engine;
    const serve = (...flags: readonly string[]) => ok("run", "-d", ...flags, "busybox", "sh", "-c", SERVER);
    const create = (name: string, ...flags: readonly string[]) => ok("network", "create", "--ipv6", ...flags, name);
    const addressOf = (id: string, network: string, field = "IPAddress") =>
      inspect(id, `{{(index .NetworkSettings.Networks "${network}").${field}}}`);
    const reached = async (address: string, port: number) => (await hosts.once(hosts.far, address, port)) === "served";

    afterEach(async () => {
      await engine.clear();
      await ok("network", "prune", "-f");
    });

    test("published ports are reached over both families, unpublished ones and addresses inside are not", async () => {
      await create("both");
      const id = await serve("-p", "8080:80", "-p", "[::1]:8090:80", "--network", "both");
      for (const address of [NEAR.v4, NEAR.v6]) expect(await hosts.ask(hosts.far, address, 8080)).toBe("served");
      const closed = [
        [await addressOf(id, "both"), 80],
        [await addressOf(id, "both", "GlobalIPv6Address"), 80],
        [NEAR.v6, 8090],
        ["127.0.0.1", 8080],
      ] as const;
      const answers = closed.map(([address, port]) => reached(address, port));
      expect(await Promise.all(answers)).toEqual(closed.map(() => false));
    });

    test("a container reaches another host with its host's address; an internal one sends nothing", async () => {
      await create("out");
      await create("inner", "--internal");
      const listen = (name: string) => ok("run", "-d", "--name", name, "--network", name, "busybox", "sleep", "1000");
      for (const name of ["out", "inner"]) await listen(name);
      const capture = `const s = Bun.listen({ hostname: "::", port: 9000, socket: { open(one) { one.end(one.remoteAddress); }, data() {} } }); console.log("listens");`;
      const server = Bun.spawn(["nsenter", `--net=/run/netns/${hosts.far}`, process.execPath, "-e", capture], {
        stdout: "pipe",
      });
      try {
        await server.stdout.getReader().read();
        const ask = (from: string, address: string) =>
          engine.docker("exec", from, "sh", "-c", `echo | nc -w 1 ${address} 9000`);
        expect((await ask("out", FAR.v4)).stdout).toContain(NEAR.v4);
        expect((await ask("out", FAR.v6)).stdout).toContain(NEAR.v6);
        const inner = await Promise.all([FAR.v4, FAR.v6].map((address) => ask("inner", address)));
        expect(inner.map(({ stdout }) => stdout)).toEqual(["", ""]);
      } finally {
        server.kill("SIGKILL");
      }
    });

    test("a container sees the client's address: from another host, its own host, and itself", async () => {
      const id = await ok("run", "-d", "-p", "8081:80", "busybox", "sleep", "1000");
      const tell = `Bun.listen({ hostname: "::", port: 80, socket: { data(one) { one.end(one.remoteAddress.replace("::ffff:", "")); } } }); console.log("listens");`;
      const pid = await inspect(id, "{{.State.Pid}}");
      const server = Bun.spawn(["nsenter", "-t", pid, "-n", process.execPath, "-e", tell], { stdout: "pipe" });
      try {
        await server.stdout.getReader().read();
        const gateway = await addressOf(id, "bridge", "Gateway");
        expect(await hosts.once(hosts.far, NEAR.v4, 8081)).toBe(FAR.v4);
        expect(await hosts.once(hosts.near, NEAR.v4, 8081)).toBe(NEAR.v4);
        expect(await hosts.once(hosts.near, "127.0.0.1", 8081)).toBe(gateway);
        expect(await hosts.once(hosts.far, NEAR.v6, 8081)).toBe(gateway); // relayed: it has no IPv6
        expect(await ok("exec", id, "sh", "-c", `echo | nc ${NEAR.v4} 8081`)).toBe(gateway);
      } finally {
        server.kill("SIGKILL");
      }
    });

    test.each(["4", "6"] as const)("gateway modes of IPv%s", async (family) => {
      const mode = (name: string) => `${MODE}${family}=${name}`;
      await create("routed", "-o", mode("routed"));
      await create("unprotected", "-o", mode("nat-unprotected"));
      await create("isolated", "--internal", "-o", mode("isolated"));
      const field = family === "4" ? "IPAddress" : "GlobalIPv6Address";
      const near = family === "4" ? NEAR.v4 : NEAR.v6;
      const routed = await serve("-p", "8082:80", "--network", "routed");
      const open = await serve("-p", "8083:81", "--network", "unprotected");
      const alone = await serve("--network", "isolated");
      expect(await hosts.ask(hosts.far, await addressOf(routed, "routed", field), 80)).toBe("served");
      expect(await hosts.ask(hosts.far, await addressOf(open, "unprotected", field), 80)).toBe("served");
      await serve("--name", "shut", "--network", "routed");
      const isolated = await addressOf(alone, "isolated", field);
      const answers = [
        hosts.once(hosts.far, near, 8082),
        hosts.once(hosts.far, isolated, 80),
        hosts.once(hosts.near, isolated, 80),
        hosts.once(hosts.far, await addressOf("shut", "routed", field), 80),
      ];
      expect(await Promise.all(answers)).toEqual(["", "", "", ""]);
    });
  },
  [],
  hosts,
);

const quiet = new Hosts();
e2e(
  "a host without our rules (--iptables=false)",
  (engine) => {
    test("ports are relayed over both families, and no rule is set", async () => {
      const id = await engine.ok("run", "-d", "-p", "8080:80", "busybox", "sh", "-c", SERVER);
      for (const address of [NEAR.v4, NEAR.v6]) expect(await quiet.ask(quiet.far, address, 8080)).toBe("served");
      for (const address of ["127.0.0.1", "::1"]) expect(await quiet.ask(quiet.near, address, 8080)).toBe("served");
      expect(await engine.ok("exec", id, "sh", "-c", `echo | nc ${NEAR.v4} 8080`)).toBe("served");
      expect(await quiet.sh(quiet.near, "nft list ruleset")).toBe("");
    });
  },
  ["--iptables=false"],
  quiet,
);

const strict = new Hosts();
e2e(
  "daemons with other rules",
  (engine) => {
    const { ok, inspect } = engine;
    const serve = (...flags: readonly string[]) => ok("run", "-d", ...flags, "busybox", "sh", "-c", SERVER);

    test("--bridge none: there is no network bridge, and who names none is in none", async () => {
      expect(await ok("network", "ls", "--format", "{{.Name}}")).toBe("host\nnone");
      const id = await ok("create", "busybox", "true");
      expect(await inspect(id, "{{.HostConfig.NetworkMode}}")).toBe("none");
      const named = await engine.docker("run", "--network", "bridge", "busybox", "true");
      expect(named.stderr).toContain("network bridge not found");
    });

    test("--userland-proxy=false: rules lead what they can, also back to where it came from; the rest is refused", async () => {
      await ok("network", "create", "mine");
      const id = await serve("-p", "8080:80", "--network", "mine");
      expect(await ok("network", "inspect", "-f", "{{json .Options}}", "mine")).toContain('"1234"'); // --default-network-opt
      for (const [host, address] of [
        [strict.near, "127.0.0.1"],
        [strict.near, NEAR.v4],
      ] as const)
        expect(await strict.ask(host, address, 8080)).toBe("served");
      expect(await ok("exec", id, "sh", "-c", `until echo | nc ${NEAR.v4} 8080; do :; done`)).toBe("served");
      expect(await strict.once(strict.near, "::1", 8080)).toBe("");
      expect(await strict.sh(strict.near, "timeout 5 busybox nc -l -p 8080 </dev/null")).toContain(
        "Address already in use",
      );
    });

    test("--allow-direct-routing: a published port is reached at the container's own address", async () => {
      const id = await serve("-p", "8081:80", "--network", "mine");
      const address = await inspect(id, "{{.NetworkSettings.Networks.mine.IPAddress}}");
      expect(await strict.ask(strict.far, address, 80)).toBe("served");
      expect(await strict.once(strict.far, address, 81)).toBe("");
    });

    test("--respect-host-firewall: what the host drops does not get in, what it lets through does", async () => {
      await ok("network", "create", "plain");
      await serve("-p", "8082:80", "--network", "plain");
      await serve("-p", "8083:80", "--network", "plain");
      await strict.sh(
        strict.near,
        "nft 'table inet own { chain in { type filter hook input priority 0; policy accept; tcp dport 8082 drop; } }'",
      );
      expect(await strict.once(strict.far, NEAR.v4, 8082)).toBe("");
      expect(await strict.ask(strict.near, NEAR.v4, 8082)).toBe("served"); // led before it gets there
      await strict.sh(strict.near, "nft delete table inet own");
    });
  },
  [
    ...["--bridge", "none", "--userland-proxy=false", "--allow-direct-routing", "--respect-host-firewall"],
    "--default-network-opt=bridge=com.docker.network.driver.mtu=1234",
  ],
  strict,
);
