/** `bosun network doctor`: what it says of containers and hosts that are well, and of those that are not. */

import { afterEach, expect, test } from "bun:test";
import { bosunOf } from "../support/bosun.ts";
import { e2e } from "../support/e2e.ts";
import { Hosts } from "../support/hosts.ts";

const hosts = new Hosts();

e2e(
  "network doctor",
  (engine) => {
    const { ok } = engine;
    const bosun = bosunOf(engine);
    const run = (...args: readonly string[]) => ok("run", "-d", "--name", "box", ...args);
    const examine = async () => {
      const { code, stdout } = await bosun("network", "doctor", "box");
      return `${code}\n${stdout}`;
    };
    const listening = (port: number) =>
      ok(
        "exec",
        "box",
        "sh",
        "-c",
        `until grep -q ":${port.toString(16).padStart(4, "0").toUpperCase()} .* 0A " /proc/net/tcp /proc/net/tcp6; do :; done`,
      );

    afterEach(() => engine.clear());

    test("a container that is well", async () => {
      await ok("network", "create", "mine");
      await run("--network", "mine", "-p", "8080:80", "busybox", "nc", "-ll", "-p", "80", "-e", "cat");
      await listening(80);
      const told = await examine();
      expect(told).toStartWith("0\n");
      for (const part of [
        "the host forwards IPv4",
        "are all there",
        "eth0 is up in network mine",
        "0.0.0.0:8080->80/tcp is led to a program",
      ])
        expect(told).toContain(part);
      expect(told).toContain("name service runs");
    });

    test("a program that listens elsewhere than it is published", async () => {
      await run("-p", "8080:80", "busybox", "nc", "-ll", "-p", "81", "-e", "cat");
      await listening(81);
      const told = await examine();
      expect(told).toStartWith("1\n");
      expect(told).toContain("nothing in the container listens on 80/tcp");
      expect(told).toContain("it listens on 81: publish that instead");
    });

    test("what somebody has done to the host, and containers that do not run or publish nothing", async () => {
      await run("busybox", "true");
      await ok("wait", "box");
      expect(await examine()).toContain("box does not run");
      await ok("rm", "box");
      await run("busybox", "sleep", "1000");
      expect(await examine()).toContain("no port is published");
      await hosts.sh(
        hosts.near,
        "echo 0 > /proc/sys/net/ipv4/ip_forward; nft add table inet theirs '{ chain f { type filter hook forward priority 10; policy drop; }; }'",
      );
      const told = await examine();
      expect(told).toStartWith("1\n");
      expect(told).toContain("the host does not forward IPv4");
      expect(told).toContain("sysctl -w net.ipv4.ip_forward=1");
      expect(told).toContain("chain inet theirs f drops what the host forwards");
    });
  },
  [],
  hosts,
);
