/** Compose files with several networks, published ports and volumes, through Debian's docker-compose. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { e2e } from "../support/e2e.ts";

const compose = Bun.which("docker-compose");
if (!compose) console.log("Compose is not tried: there is no docker-compose (Debian: docker-compose)");

const FILE = `version: "2.4"
services:
  web:
    image: busybox
    command: ["sh", "-c", "while :; do echo served by $$(hostname) | nc -l -p 8080; done"]
    hostname: web-host
    ports: ["127.0.0.1::8080"]
    networks:
      front: {aliases: [www]}
      back: {ipv4_address: 10.239.0.5}
    volumes: ["data:/data"]
    init: true
    stop_grace_period: 1s
  client:
    image: busybox
    command: ["sleep", "1000"]
    networks: [front]
    depends_on: [web]
    init: true
    stop_grace_period: 1s
  hidden:
    image: busybox
    command: ["sleep", "1000"]
    networks: [back]
    init: true
    stop_grace_period: 1s
networks:
  front: {}
  back: {internal: true, ipam: {config: [{subnet: 10.239.0.0/24}]}}
volumes:
  data: {}
`;

e2e("compose", (engine) => {
  const folder = mkdtempSync(join(tmpdir(), "bosun-compose-"));
  beforeAll(() => writeFileSync(join(folder, "docker-compose.yml"), FILE));
  afterAll(() => rmSync(folder, { recursive: true }));

  /** @returns what it prints. @throws Error unless it exits with 0 */
  async function run(...args: readonly string[]): Promise<string> {
    const child = Bun.spawn([compose ?? "docker-compose", "-p", "project", ...args], {
      ...{ cwd: folder, env: { ...engine.daemon.env, HOME: folder }, stdin: "ignore", stdout: "pipe", stderr: "pipe" },
    });
    const [out, error, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    if (code !== 0) throw new Error(`docker-compose ${args.join(" ")}: exit code ${code}: ${error}`);
    return out.trimEnd();
  }

  test.skipIf(!compose)("a project goes up, is reached as its file says, and goes down without a trace", async () => {
    await run("up", "-d");
    const names = await engine.ok("ps", "--format", "{{.Names}}");
    expect(names.split("\n").toSorted()).toEqual(["project_client_1", "project_hidden_1", "project_web_1"]);

    const [host = "", port = ""] = (await run("port", "web", "8080")).split(":");
    expect(host).toBe("127.0.0.1");
    const ask = (address: string, at: string) => `until echo | nc ${address} ${at} | grep served; do :; done`;
    expect(
      await Bun.$`sh -c ${`until curl -s --http0.9 http://127.0.0.1:${port}/ | grep served; do :; done`}`.text(),
    ).toBe("served by web-host\n");
    const front = await engine.inspect("project_web_1", "{{.NetworkSettings.Networks.project_front.IPAddress}}");
    expect(await run("exec", "-T", "client", "sh", "-c", ask(front, "8080"))).toBe("served by web-host");
    expect(await run("exec", "-T", "hidden", "sh", "-c", ask("10.239.0.5", "8080"))).toBe("served by web-host");
    expect(await run("exec", "-T", "hidden", "ip", "route")).not.toContain("default");

    await run("up", "-d", "--scale", "client=2");
    expect(await engine.ok("ps", "-q", "--filter", "label=com.docker.compose.service=client")).toMatch(/^\w+\n\w+$/);
    await run("down", "-v");
    expect(await engine.ok("ps", "-aq")).toBe("");
    expect(await engine.ok("network", "ls", "-q", "--filter", "type=custom")).toBe("");
    expect(await engine.ok("volume", "ls", "-q")).toBe("");
  });
});
