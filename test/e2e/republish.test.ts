/** Ports that running containers begin to publish, or publish no longer, and those that move with the way out. */

import { afterEach, expect, test } from "bun:test";
import { bosunOf } from "../support/bosun.ts";
import { e2e } from "../support/e2e.ts";
import { Hosts, NEAR } from "../support/hosts.ts";

const SERVER = "while :; do echo served | nc -l -p 80; done";
const hosts = new Hosts();

e2e(
  "publishing anew",
  (engine) => {
    const { ok, inspect } = engine;
    const serve = (...flags: readonly string[]) => ok("run", "-d", ...flags, "busybox", "sh", "-c", SERVER);
    const bosun = bosunOf(engine);
    const update = (...args: readonly string[]) => bosun("update", ...args);
    const portsOf = async (id: string): Promise<readonly string[]> => (await ok("port", id)).split("\n");

    /** Stays open on a host, and says what it is told. */
    function connection(host: string, address: string, port: string) {
      const child = Bun.spawn(["nsenter", `--net=/run/netns/${host}`, "busybox", "nc", address, port], {
        stdin: "pipe",
        stdout: "pipe",
      });
      const reader = child.stdout.getReader();
      return {
        async says(text: string): Promise<string> {
          child.stdin.write(`${text}\n`);
          child.stdin.flush();
          return new TextDecoder().decode((await reader.read()).value).trim();
        },
        end: () => child.kill("SIGKILL"),
      };
    }

    afterEach(async () => {
      await engine.clear();
      await ok("network", "prune", "-f");
    });

    test("connections to ports that stay last, whoever leads them, when others come and go", async () => {
      const echo = "nc -ll -p 81 -e cat";
      const id = await ok("run", "-d", "-p", "8081:81", "busybox", "sh", "-c", `${echo} & ${SERVER}`);
      await ok("exec", id, "sh", "-c", "until echo up | nc 127.0.0.1 81 2>/dev/null | grep -q up; do :; done");
      const addresses = [
        [hosts.far, NEAR.v4],
        [hosts.near, "127.0.0.1"],
        [hosts.near, "::1"],
        [hosts.far, NEAR.v6],
      ] as const;
      const open = addresses.map(([host, address]) => connection(host, address, "8081"));
      try {
        for (const one of open) expect(await one.says("first")).toBe("first");
        expect((await update("--publish-add", "8080:80", id)).code).toBe(0);
        for (const [host, address] of addresses) expect(await hosts.ask(host, address, 8080)).toBe("served");
        for (const one of open) expect(await one.says("second")).toBe("second");
        expect((await update("--publish-rm", "8081:81", id)).code).toBe(0);
        for (const one of open) expect(await one.says("third")).toBe("third");
        expect(await portsOf(id)).toEqual(["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"]);
        expect(await hosts.once(hosts.near, "127.0.0.1", 8081)).toBe("");
        expect(await hosts.once(hosts.far, NEAR.v4, 8081)).toBe("");
      } finally {
        for (const one of open) one.end();
      }
      await ok("restart", "-t", "0", id);
      expect(await hosts.ask(hosts.far, NEAR.v4, 8080)).toBe("served");
      expect(JSON.parse(await inspect(id, "{{json .HostConfig.PortBindings}}"))).toEqual({
        "80/tcp": [{ HostIp: "", HostPort: "8080" }],
      });
    });

    test("a stopped container publishes it when it starts; what -P chose can be removed by its number", async () => {
      const id = await serve("-P", "--expose", "80", "--expose", "90");
      const port = (await ok("port", id, "80")).split("\n")[0]?.split(":")[1];
      await ok("stop", "-t", "0", id);
      expect((await update("--publish-add", "127.0.0.1:8082:80", id)).code).toBe(0);
      await ok("start", id);
      expect(await hosts.ask(hosts.near, "127.0.0.1", 8082)).toBe("served");
      const [again] = (await portsOf(id)).filter((line) => line.startsWith("80/tcp -> 0.0.0.0:"));
      expect((await update("--publish-rm", `${again?.split(":")[1]}:80`, id)).code).toBe(0);
      expect((await portsOf(id)).filter((line) => line.startsWith("80/tcp"))).toEqual(["80/tcp -> 127.0.0.1:8082"]);
      expect(port).not.toBe("");
    });

    test("what cannot be had changes nothing", async () => {
      const [one, other] = [await serve("-p", "8083:80"), await serve("-p", "8084:80")];
      const taken = await update("--publish-add", "8083:80", other);
      expect(taken.stderr).toContain("Bind for 0.0.0.0:8083 failed: port is already allocated");
      expect(await portsOf(other)).toEqual(["80/tcp -> 0.0.0.0:8084", "80/tcp -> [::]:8084"]);
      for (const port of [8083, 8084]) expect(await hosts.ask(hosts.near, "::1", port)).toBe("served");
      expect((await update("--publish-rm", "9:80", one)).stderr).toContain("does not publish 9:80/tcp");
      expect((await update("--publish-add", "8083:80", one)).stderr).toContain("publishes 8083:80/tcp already");
      const bare = await ok("run", "-d", "--network", "host", "busybox", "sleep", "1000");
      expect((await update("--publish-add", "80", bare)).stderr).toContain("has no network of its own");
    });

    test("a port follows the way out, and is gone while there is none", async () => {
      await ok("network", "create", "b");
      await ok("network", "create", "a", "--internal");
      const id = await serve("-p", "8085:80", "--network", "b");
      await ok("network", "connect", "--gw-priority", "9", "bridge", id);
      expect(await hosts.ask(hosts.far, NEAR.v4, 8085)).toBe("served");
      expect(await portsOf(id)).toContain("80/tcp -> 0.0.0.0:8085");
      await ok("network", "disconnect", "bridge", id);
      expect(await hosts.ask(hosts.far, NEAR.v4, 8085)).toBe("served");
      await ok("network", "connect", "a", id);
      await ok("network", "disconnect", "b", id);
      expect(await ok("port", id)).toBe("");
      expect(await hosts.once(hosts.far, NEAR.v4, 8085)).toBe("");
      await ok("network", "connect", "bridge", id);
      expect(await hosts.ask(hosts.far, NEAR.v4, 8085)).toBe("served");
    });

    test("a keeper of the daemon before this one lets go, too", async () => {
      const id = await serve("-p", "8086:80");
      await engine.daemon.restart("SIGKILL");
      expect((await update("--publish-add", "8087:80", "--publish-rm", "8086:80", id)).code).toBe(0);
      expect(await hosts.ask(hosts.near, "::1", 8087)).toBe("served");
      expect(await hosts.once(hosts.near, "::1", 8086)).toBe("");
    });
  },
  [],
  hosts,
);
