/** Rules and interfaces that somebody takes away under running containers, and hosts that drop what they forward. */

import { afterEach, expect, test } from "bun:test";
import { e2e } from "../support/e2e.ts";
import { Hosts, NEAR } from "../support/hosts.ts";
import { until } from "../support/patience.ts";

const SERVER = "while :; do echo served | nc -l -p 80; done";

const hosts = new Hosts();

e2e(
  "networks that somebody meddles with",
  (engine) => {
    const { docker, ok, inspect } = engine;
    const serve = (...flags: readonly string[]) => ok("run", "-d", ...flags, "busybox", "sh", "-c", SERVER);
    const near = (script: string) => hosts.sh(hosts.near, script);
    const rules = () => near(`nft list table inet bosun-${engine.daemon.bridge}`);
    const portOf = async (id: string): Promise<string> =>
      (await ok("port", id, "80")).split("\n")[0]?.split(":")[1] ?? "";

    afterEach(async () => {
      await engine.clear();
      await ok("network", "prune", "-f");
    });

    test.each([
      ["flush ruleset"],
      ["flush table inet TABLE"],
      ["flush chain inet TABLE forward"],
      ["flush map inet TABLE published_anywhere4"],
      ["delete table bridge TABLE"],
    ])("nft %s is mended at once", async (command) => {
      const port = await portOf(await serve("-p", "80"));
      expect(await hosts.ask(hosts.far, NEAR.v4, port)).toBe("served");
      const before = await rules();
      await near(`nft ${command.replace("TABLE", `bosun-${engine.daemon.bridge}`)}`);
      await until("the rules are as before", async () => (await rules()) === before);
      expect(await hosts.ask(hosts.far, NEAR.v4, port)).toBe("served");
    });

    test("our own changes are none of somebody else's", async () => {
      for (let at = 0; at < 3; at++) await serve("-p", "80");
      await engine.clear();
      expect(engine.daemon.log).not.toContain("cannot set firewall rules again");
    });

    test("a bridge, a container's interface, and either's state are mended", async () => {
      await ok("network", "create", "mine");
      const bridge = `br-${(await ok("network", "inspect", "-f", "{{.Id}}", "mine")).slice(0, 12)}`;
      const [server, client] = [await serve("--network", "mine"), await serve("--network", "mine")];
      const address = await inspect(server, "{{.NetworkSettings.Networks.mine.IPAddress}}");
      const reaches = async (seconds = "1") =>
        (await docker("exec", client, "ping", "-c", "1", "-W", seconds, address)).code === 0;
      expect(await reaches("10")).toBe(true);
      const veth = (await near(`ls /sys/class/net >/dev/null; ip -o link show master ${bridge}`))
        .split(/[:@]/)[1]
        ?.trim();
      for (const meddling of [
        `ip link del ${bridge}`,
        `ip link set ${bridge} down`,
        `ip link set ${veth} nomaster`,
        `ip link set ${veth} down`,
        `ip link del ${veth}`,
      ]) {
        await near(meddling);
        await until(`${meddling} is mended`, () => reaches());
        expect(await hosts.ask(hosts.near, address, 80)).toBe("served");
      }
      for (const one of [server, client]) expect(await ok("exec", one, "ip", "route")).toContain("default via");
    });

    test("where another engine or ufw has FORWARD drop, ours is let through, and nothing stays of that", async () => {
      const port = await portOf(await serve("-p", "80"));
      for (const iptables of ["iptables-nft", "iptables-legacy"]) {
        await near(`${iptables} -P FORWARD DROP`);
        await ok("network", "create", "late"); // the first generation of iptables tells nobody
        const listed = () => near(`${iptables} -S`);
        await until("the bridge is let through", async () =>
          (await listed()).includes(`-i ${engine.daemon.bridge} -j ACCEPT`),
        );
        expect(await hosts.ask(hosts.far, NEAR.v4, port)).toBe("served");
        await ok("network", "rm", "late");
        await near(`${iptables} -P FORWARD ACCEPT`);
        await ok("network", "create", "later");
        await ok("network", "rm", "later");
        await until("nothing is left", async () => !(await listed()).includes("BOSUN"));
      }
    });

    test("a chain of somebody else's that drops what is forwarded is told of", async () => {
      await near("nft add table inet theirs '{ chain f { type filter hook forward priority 10; policy drop; }; }'");
      expect(await ok("info", "-f", "{{json .Warnings}}")).toContain(
        "chain inet theirs f drops what the host forwards",
      );
      await near("nft delete table inet theirs");
      expect(await ok("info", "-f", "{{json .Warnings}}")).not.toContain("theirs");
    });

    test("an address that the host has not is refused to who asks, and waited for by who comes with the host", async () => {
      const other = "192.0.2.9";
      await near(`ip addr add ${other}/24 dev ${hosts.wire}`);
      const id = await serve("-p", `${other}:8080:80`, "--name", "early", "--restart", "always");
      const pid = Number(await inspect(id, "{{.State.Pid}}"));
      await engine.daemon.stop("SIGKILL");
      process.kill(pid, "SIGKILL");
      await near(`ip addr del ${other}/24 dev ${hosts.wire}`);
      await engine.daemon.launch();
      await until("it runs again", async () => (await inspect(id, "{{.State.Status}}")) === "running");
      const refused = await docker("restart", "-t", "0", id);
      expect(refused.stderr).toContain(
        `failed to bind host port ${other}:8080/tcp: cannot assign requested address: the host does not have ${other}`,
      );
      await near(`ip addr add ${other}/24 dev ${hosts.wire}`);
      await ok("start", id);
      expect(await hosts.ask(hosts.far, other, 8080)).toBe("served");
      await near(`ip addr del ${other}/24 dev ${hosts.wire}`);
    });

    test("a bridge that belongs to no network is removed at start; others' are not", async () => {
      await ok("network", "create", "mine");
      const bridge = `br-${(await ok("network", "inspect", "-f", "{{.Id}}", "mine")).slice(0, 12)}`;
      await near(
        `ip link add br-0123456789ab type bridge; ip link add stray type bridge; ip link set stray alias bosun-${engine.daemon.bridge}`,
      );
      await engine.daemon.restart();
      const links = await near("ip -o link");
      expect(links).toContain("br-0123456789ab");
      expect(links).toContain(bridge);
      expect(links).not.toContain("stray");
      await near("ip link del br-0123456789ab");
    });
  },
  [],
  hosts,
);
