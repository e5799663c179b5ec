/** Names of containers: in networks of users' own, by links, and the host's. Servers elsewhere are played in test/shim/net-names.test.ts. */

import { afterEach, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { e2e } from "../support/e2e.ts";

// what is not known here is asked of the container's own loopback, where nobody listens: no question leaves the machine
e2e(
  "names",
  (engine) => {
    const { docker, ok, inspect } = engine;
    const idle = (name: string, ...flags: readonly string[]) =>
      ok("run", "-d", "--name", name, "--stop-timeout", "0", ...flags, "busybox", "sleep", "1000");
    const addressOf = (container: string, network: string, field = "IPAddress") =>
      inspect(container, `{{(index .NetworkSettings.Networks "${network}").${field}}}`);

    /** What a container finds by a name; empty for nothing. */
    async function lookup(container: string, name: string): Promise<readonly string[]> {
      const { stdout } = await docker("exec", container, "busybox", "nslookup", name);
      return [
        ...stdout
          .split("\n\n")
          .slice(1)
          .join("\n")
          .matchAll(/^Address(?: \d+)?: (\S+)/gm),
      ].map(([, one]) => one ?? "");
    }
    const processOf = (id: string) =>
      readFileSync(`${engine.daemon.execRoot}/names/processes/${id}`, "utf8").split(" ")[0];

    afterEach(async () => {
      await engine.clear();
      await ok("network", "prune", "-f");
      for (const kind of ["networks", "containers", "processes"])
        expect(readdirSync(`${engine.daemon.execRoot}/names/${kind}`)).toEqual([]);
    });

    describe("in networks of users' own", () => {
      test("containers find each other by all of their names, in both families, and nobody else does", async () => {
        await ok("network", "create", "--ipv6", "mine");
        await ok("network", "create", "other");
        const id = await idle("db", "--network", "mine", "--network-alias", "base", "--hostname", "ship");
        await idle("web", "--network", "mine");
        await idle("stranger", "--network", "other");
        const addresses = [await addressOf("db", "mine"), await addressOf("db", "mine", "GlobalIPv6Address")];
        for (const name of ["db", "base", id.slice(0, 12), "ship", "db.mine", "BASE.mine"])
          expect((await lookup("web", name)).toSorted()).toEqual(addresses.toSorted());
        expect(await lookup("web", "db.other")).toEqual([]);
        expect(await lookup("stranger", "db")).toEqual([]);
        expect(await ok("exec", "web", "ping", "-c", "1", "-w", "10", "base")).toContain(" 0% packet loss");
        expect(await ok("exec", "web", "cat", "/etc/resolv.conf")).toMatch(
          /^nameserver 127\.0\.0\.11\n(.*\n)*options .*ndots:0$/,
        );
        expect(JSON.parse(await inspect("db", "{{json .NetworkSettings.Networks.mine.DNSNames}}"))).toEqual([
          "db",
          "base",
          id.slice(0, 12),
          "ship",
        ]);
      });

      test("names come and go with containers, connections and renaming, and are shared", async () => {
        await ok("network", "create", "mine");
        await idle("one", "--network", "mine", "--network-alias", "all");
        await idle("two", "--network", "mine", "--network-alias", "all");
        expect(await lookup("one", "all")).toHaveLength(2);
        await ok("stop", "two");
        expect(await lookup("one", "all")).toEqual([await addressOf("one", "mine")]);
        await ok("start", "two");
        await ok("rename", "two", "three");
        expect(await lookup("one", "two")).toEqual([]);
        expect(await lookup("one", "three")).toEqual([await addressOf("three", "mine")]);
        await ok("network", "disconnect", "mine", "three");
        expect(await lookup("one", "three")).toEqual([]);
        await ok("network", "connect", "--alias", "again", "mine", "three");
        expect(await lookup("one", "again")).toEqual([await addressOf("three", "mine")]);
      });

      test("a container of the default bridge gets a name service when it is connected, if its file is as it was", async () => {
        await ok("network", "create", "mine");
        await idle("db", "--network", "mine");
        await idle("late");
        await idle("own");
        await ok("exec", "own", "sh", "-c", "echo nameserver 127.0.0.9 > /etc/resolv.conf");
        for (const name of ["late", "own"]) await ok("network", "connect", "mine", name);
        expect(await lookup("late", "db")).toEqual([await addressOf("db", "mine")]);
        expect(await ok("exec", "own", "cat", "/etc/resolv.conf")).toBe("nameserver 127.0.0.9");
      });

      test("a link is a name for one container only", async () => {
        await ok("network", "create", "mine");
        await idle("db", "--network", "mine");
        await idle("web", "--network", "mine", "--link", "db:base");
        await idle("other", "--network", "mine");
        expect(await lookup("web", "base")).toEqual([await addressOf("db", "mine")]);
        expect(await lookup("other", "base")).toEqual([]);
      });

      test("names are known while no daemon runs, and the next one goes on", async () => {
        await ok("network", "create", "mine");
        const id = await idle("db", "--network", "mine");
        const web = await idle("web", "--network", "mine");
        const before = [processOf(id), processOf(web)];
        const pid = await inspect("web", "{{.State.Pid}}");
        const address = await addressOf("db", "mine");
        await engine.daemon.stop("SIGKILL");
        const found = await Bun.$`nsenter --net=/proc/${pid}/ns/net busybox nslookup db 127.0.0.11`.nothrow().text();
        expect(found).toContain(`Address: ${address}`);
        process.kill(Number(before[1]), "SIGKILL");
        await engine.daemon.launch();
        expect(processOf(id)).toBe(before[0]);
        expect(processOf(web)).not.toBe(before[1]);
        await idle("late", "--network", "mine");
        expect(await lookup("web", "late")).toEqual([await addressOf("late", "mine")]);
      });

      test("a name service that is killed is started again", async () => {
        await ok("network", "create", "mine");
        const id = await idle("db", "--network", "mine");
        const before = processOf(id);
        process.kill(Number(before), "SIGKILL");
        while ((await lookup("db", "db")).length === 0); // it takes some milliseconds
        expect(processOf(id)).not.toBe(before);
      });
    });

    describe("by links on the default bridge", () => {
      test("a link is a line in /etc/hosts, variables, and a name of the other container", async () => {
        const id = await idle("db", "--expose", "80", "--expose", "81", "-e", "COLOUR=red");
        const web = await idle("web", "--link", "db:base");
        const address = await inspect("db", "{{.NetworkSettings.IPAddress}}");
        expect(await ok("exec", "web", "cat", "/etc/hosts")).toContain(`${address}\tbase ${id.slice(0, 12)} db\n`);
        expect(await ok("exec", "web", "ping", "-c", "1", "-w", "10", "base")).toContain(" 0% packet loss");
        const env = readFileSync(`/proc/${await inspect("web", "{{.State.Pid}}")}/environ`, "utf8").split("\0");
        expect(env).toEqual(
          expect.arrayContaining([
            ...["BASE_NAME=/web/base", "BASE_ENV_COLOUR=red", `BASE_PORT=tcp://${address}:80`],
            ...[`BASE_PORT_81_TCP=tcp://${address}:81`, "BASE_PORT_80_TCP_PORT_END=81"],
          ]),
        );
        expect(await inspect("web", "{{.HostConfig.Links}}")).toBe("[/db:/web/base]");
        expect(await ok("ps", "--no-trunc", "--filter", `id=${id}`, "--format", "{{.Names}}")).toBe("db,web/base");
        await ok("rename", "db", "database");
        expect(await inspect(web, "{{.HostConfig.Links}}")).toBe("[/database:/web/base]");
      });

      test("a container that has another address is found there by those that are linked to it", async () => {
        await idle("db");
        await idle("web", "--link", "db");
        await ok("stop", "db");
        await idle("taker"); // gets the address that was the other's, or the other gets the next
        await ok("start", "db");
        const address = await inspect("db", "{{.NetworkSettings.IPAddress}}");
        const lines = (await ok("exec", "web", "cat", "/etc/hosts"))
          .split("\n")
          .filter((line) => line.includes("\tdb"));
        expect(lines.map((line) => line.split("\t")[0])).toEqual([address]);
      });

      test("one that does not run cannot be linked to; without the link it starts", async () => {
        const missing = await docker("run", "--link", "nobody", "busybox", "true");
        expect(missing.stderr).toContain("could not get container for nobody: No such container: nobody");
        await idle("db");
        await ok("create", "--name", "web", "--link", "db:base", "busybox", "true");
        await ok("stop", "db");
        const { stderr } = await docker("start", "web");
        expect(stderr).toContain("Cannot link to a non running container: /db AS /web/base");
        expect((await docker("rm", "--link", "db")).stderr).toContain("cannot remove the default link name");
        await ok("rm", "--link", "/web/base");
        expect(await inspect("web", "{{.HostConfig.Links}}")).toBe("[]");
        await ok("start", "-a", "web");
      });
    });

    test("host-gateway is the host, as the default bridge has it", async () => {
      await ok("network", "create", "mine");
      const flags = ["--rm", "--network", "mine", "--add-host", "outside:host-gateway"];
      const hosts = await ok("run", ...flags, "busybox", "cat", "/etc/hosts");
      const [bridge] = JSON.parse(await ok("network", "inspect", "bridge"));
      expect(hosts).toContain(`${bridge.IPAM.Config[0].Gateway}\toutside\n`);
      expect(await ok("run", ...flags, "busybox", "ping", "-c", "1", "-w", "10", "outside")).toContain(
        " 0% packet loss",
      );
    });
  },
  ["--dns", "127.0.0.1"],
);
