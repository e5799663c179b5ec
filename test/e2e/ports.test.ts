/** Published ports: from the host, over both families, from containers, and what is left when they go. */

import { expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { networkInterfaces } from "node:os";
import { e2e } from "../support/e2e.ts";

/** Answers every connection with a line. */
const SERVER = "while :; do echo served | nc -l -p 80; done";
const ASK = (address: string, port: number | string) => `until echo | nc ${address} ${port}; do :; done`;

interface Settings {
  readonly Ports: Readonly<Record<string, readonly { readonly HostIp: string; readonly HostPort: string }[] | null>>;
}

e2e("published ports", (engine) => {
  const { docker, ok, inspect } = engine;
  const serve = (...flags: readonly string[]) => ok("run", "-d", ...flags, "busybox", "sh", "-c", SERVER);
  const settings = async (id: string): Promise<Settings> => JSON.parse(await inspect(id, "{{json .NetworkSettings}}"));
  const portOf = async (id: string): Promise<number> =>
    Number((await settings(id)).Ports["80/tcp"]?.[0]?.HostPort ?? "0");

  /** What a server that may not listen yet sends. */
  async function ask(hostname: string, port: number): Promise<string> {
    for (;;) {
      const { promise, resolve } = Promise.withResolvers<string>();
      let answer = "";
      const socket = {
        data: (_: unknown, bytes: Buffer) => {
          answer += bytes.toString();
        },
        close: () => resolve(answer),
      };
      await Bun.connect({ hostname, port, socket: { ...socket, error: () => resolve("") } }).catch(() => resolve(""));
      if ((await promise) !== "") return answer.trim();
    }
  }

  const ownAddresses = () =>
    Object.values(networkInterfaces())
      .flatMap((all) => all ?? [])
      .filter(({ family, internal, address }) => family === "IPv4" && !internal && address !== "")
      .map(({ address }) => address);

  test("a container with IPv6, or nothing else, is reached over the host's loopback, too", async () => {
    for (const [name, ...flags] of [["both"], ["six", "--ipv4=false"]] as const) {
      await ok("network", "create", "--ipv6", ...flags, name);
      const id = await serve("-p", "80", "--network", name);
      const [{ HostPort = "0" } = {}] = (await settings(id)).Ports["80/tcp"] ?? [];
      for (const address of name === "both" ? ["127.0.0.1", "::1"] : ["::1"])
        expect(await ask(address, Number(HostPort))).toBe("served");
      await ok("rm", "-f", id);
      await ok("network", "rm", name);
    }
  });

  test("a port that nobody chose is the same for both families, and reached over each", async () => {
    const id = await serve("-p", "80");
    const bound = (await settings(id)).Ports["80/tcp"] ?? [];
    expect(bound.map(({ HostIp }) => HostIp)).toEqual(["0.0.0.0", "::"]);
    expect(new Set(bound.map(({ HostPort }) => HostPort)).size).toBe(1);
    const port = await portOf(id);
    for (const address of ["127.0.0.1", "::1", ...ownAddresses()]) expect(await ask(address, port)).toBe("served");
    expect(await ok("port", id)).toBe(`80/tcp -> 0.0.0.0:${port}\n80/tcp -> [::]:${port}`);
    expect(await ok("ps", "--filter", `publish=${port}`, "--format", "{{.Ports}}")).toBe(
      `0.0.0.0:${port}->80/tcp, [::]:${port}->80/tcp`,
    );
  });

  test("a port on one address is on that one only", async () => {
    const id = await serve("-p", "127.0.0.1::80");
    expect((await settings(id)).Ports["80/tcp"]?.map(({ HostIp }) => HostIp)).toEqual(["127.0.0.1"]);
    const port = await portOf(id);
    expect(await ask("127.0.0.1", port)).toBe("served");
    for (const address of ["::1", ...ownAddresses()])
      await expect(Bun.connect({ hostname: address, port, socket: { data() {} } })).rejects.toThrow();
  });

  test("containers reach it through the host: another, one of another network, and itself", async () => {
    await ok("network", "create", "apart");
    const id = await serve("-p", "80", "--name", "server");
    const port = await portOf(id);
    for (const address of ownAddresses().slice(0, 2)) {
      expect(await ok("run", "--rm", "busybox", "sh", "-c", ASK(address, port))).toBe("served");
      expect(await ok("run", "--rm", "--network", "apart", "busybox", "sh", "-c", ASK(address, port))).toBe("served");
      expect(await ok("exec", "server", "sh", "-c", ASK(address, port))).toBe("served");
    }
    await ok("network", "rm", "apart");
  });

  test("udp answers from where it was asked", async () => {
    const id = await ok("run", "-d", "-p", "80/udp", "busybox", "sleep", "1000");
    const echo = `const s = require("node:dgram").createSocket("udp4", (text, { port, address }) => s.send(text, port, address));
      s.bind(80, () => console.log("listens"));`;
    const inside = ["nsenter", "-t", await inspect(id, "{{.State.Pid}}"), "-n", process.execPath, "-e", echo];
    const server = Bun.spawn(inside, { stdout: "pipe" });
    try {
      await server.stdout.getReader().read(); // it listens
      const port = Number((await settings(id)).Ports["80/udp"]?.[0]?.HostPort);
      for (const address of ["127.0.0.1", "::1"]) {
        const client = createSocket(address.includes(":") ? "udp6" : "udp4");
        client.send("hello", port, address);
        const [answer, { port: from }] = await once(client, "message");
        client.close();
        expect(`${answer} from ${from}`).toBe(`hello from ${port}`);
      }
    } finally {
      server.kill("SIGKILL");
    }
  });

  test("-P publishes what is exposed, a range takes what is free of it", async () => {
    const id = await serve("-P", "--expose", "80", "--expose", "90-91/udp");
    expect(Object.keys((await settings(id)).Ports).toSorted()).toEqual(["80/tcp", "90/udp", "91/udp"]);
    const free = await portOf(id);
    const range = `${free}-${free + 20}`;
    const other = await serve("-p", `${range}:80`);
    expect(await portOf(other)).toBeGreaterThan(free);
  });

  test("a port that is taken is told before anything starts, and leaves nothing", async () => {
    const id = await serve("-p", "80", "--name", "first");
    const port = await portOf(id);
    const ours = await docker("run", "--name", "second", "-p", `${port}:80`, "busybox", "true");
    expect(ours.code).toBe(125);
    expect(ours.stderr).toContain("driver failed programming external connectivity on endpoint second");
    expect(ours.stderr).toContain(`Bind for 0.0.0.0:${port} failed: port is already allocated`);
    expect(await inspect("second", "{{.State.Status}}")).toBe("created");
    using taken = Bun.listen({ hostname: "0.0.0.0", port: 0, socket: { data() {} } });
    const theirs = await docker("run", "-p", `${taken.port}:80`, "busybox", "true");
    expect(theirs.stderr).toContain(`failed to bind host port 0.0.0.0:${taken.port}/tcp: address already in use`);
    await ok("rm", "-f", "first");
    expect(await ok("start", "second")).toBe("second"); // what was taken is free
  });

  test("a port stays when the daemon is killed and comes again, and goes with its container", async () => {
    const id = await serve("-p", "80", "--name", "lasting");
    const port = await portOf(id);
    expect(await ask("::1", port)).toBe("served");
    await engine.daemon.restart("SIGKILL");
    expect(await portOf(id)).toBe(port);
    for (const address of ["127.0.0.1", "::1"]) expect(await ask(address, port)).toBe("served");
    await ok("restart", "-t", "0", id);
    const later = await portOf(id);
    for (const address of ["127.0.0.1", "::1"]) expect(await ask(address, later)).toBe("served");
    await ok("rm", "-f", id);
    using free = Bun.listen({ hostname: "0.0.0.0", port: later, socket: { data() {} } });
    expect(free.port).toBe(later);
    const table = await Bun.$`nft list table inet bosun-${engine.daemon.bridge}`.env(engine.daemon.env).text();
    expect(table).not.toContain(String(later));
  });

  test("a container that ends while no daemon runs lets its ports go", async () => {
    const id = await serve("-p", "80");
    const [port, pid] = [await portOf(id), Number(await inspect(id, "{{.State.Pid}}"))];
    await engine.daemon.stop("SIGKILL");
    process.kill(pid, "SIGKILL");
    for (;;) {
      try {
        using free = Bun.listen({ hostname: "0.0.0.0", port, socket: { data() {} } });
        expect(free.port).toBe(port);
        break;
      } catch {
        await Bun.sleep(5); // the keeper hears of the end from the kernel
      }
    }
    await engine.daemon.launch();
    expect(await inspect(id, "{{.State.Status}}")).toBe("exited");
    const table = await Bun.$`nft list table inet bosun-${engine.daemon.bridge}`.env(engine.daemon.env).text();
    expect(table).not.toContain(` . ${port} :`);
  });

  test.each([
    [["-p", "x:80"], /invalid/i],
    [["-p", "80:99999"], /invalid/i],
    [["-p", "1.2.3:80:80"], /invalid/i],
  ])("%p is refused", async (flags, words) => {
    const { code, stderr } = await docker("run", "--rm", ...flags, "busybox", "true");
    expect(stderr).toMatch(words);
    expect(code).toBe(125);
  });
});
